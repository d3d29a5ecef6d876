//! Prints `hello, world`, or `hello, ` and its arguments joined by spaces.

use std::env;

fn main() {
    let names: Vec<String> = env::args_os().skip(1).map(|name| name.to_string_lossy().into_owned()).collect();
    if names.is_empty() {
        println!("hello, world");
    } else {
        println!("hello, {}", names.join(" "));
    }
}
