//! Sleeps for the seconds given, fractions allowed, and says when it is awake again.

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    match time_wanted() {
        Some(time) => {
            thread::sleep(time);
            println!("awake after {} s", time.as_secs_f64());
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("sleep: usage: sleep SECONDS (0 or more, fractions allowed)");
            ExitCode::from(2)
        }
    }
}

fn time_wanted() -> Option<Duration> {
    let mut args = env::args_os().skip(1);
    let seconds: f64 = args.next()?.to_str()?.parse().ok()?;
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    args.next().is_none().then_some(time)
}
