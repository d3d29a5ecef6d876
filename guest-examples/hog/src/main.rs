//! Takes memory in steps of one MiB, writes to all of it, and says how far it came: up to the MiB given, or without
//! end.

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

const STEP_BYTES: usize = 1 << 20;

fn main() -> ExitCode {
    let Some(mib_max) = mib_wanted() else {
        eprintln!("hog: usage: hog [MIB] (a whole number, no limit if not given)");
        return ExitCode::from(2);
    };
    let mut held = Vec::new();
    for mib in 1..=mib_max {
        let mut step = Vec::new();
        if step.try_reserve_exact(STEP_BYTES).is_err() {
            eprintln!("hog: refused after {} MiB", mib - 1);
            return ExitCode::FAILURE;
        }
        // Not zero, so that every page has to be backed.
        step.resize(STEP_BYTES, 1_u8);
        held.push(black_box(step));
        println!("{mib} MiB");
    }
    ExitCode::SUCCESS
}

fn mib_wanted() -> Option<u32> {
    let mut args = env::args_os().skip(1);
    let mib = match args.next() {
        Some(arg) => arg.to_str()?.parse().ok()?,
        None => u32::MAX,
    };
    args.next().is_none().then_some(mib)
}
