//! Prints what tells one pod of an Indexed Job from the others: `JOB_COMPLETION_INDEX` and `HOSTNAME`, those that are
//! set.

use std::env;
use std::process;

fn main() {
    if env::args_os().len() > 1 {
        eprintln!("index: usage: index (no arguments)");
        process::exit(2);
    }
    for name in ["JOB_COMPLETION_INDEX", "HOSTNAME"] {
        if let Some(value) = env::var_os(name) {
            println!("{name}={}", value.to_string_lossy());
        }
    }
}
