//! Never ends and never makes a system call: what a deadline, a fuel limit or a delete has to stop from outside.

use std::env;
use std::hint::black_box;
use std::process;

fn main() {
    if env::args_os().len() > 1 {
        eprintln!("spin: usage: spin (no arguments)");
        process::exit(2);
    }
    let mut turns: u64 = 0;
    loop {
        // The counter passes through memory the optimiser cannot see into, so each turn is real work.
        turns = black_box(turns).wrapping_add(1);
    }
}
