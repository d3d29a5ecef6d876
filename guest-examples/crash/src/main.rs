//! Panics three calls deep. Built with line tables, so that a backtrace can name this file and the lines of all four
//! frames.

use std::env;
use std::hint::black_box;
use std::process;

const SHELVES: [&str; 3] = ["bolts", "nuts", "washers"];

fn main() {
    if env::args_os().len() > 1 {
        eprintln!("crash: usage: crash (no arguments)");
        process::exit(2);
    }
    let shelf = ship_order("hinges");
    println!("shipped from shelf {shelf}");
}

// Each function works on what its callee returns: a call in tail position may be merged into its caller's frame.

#[inline(never)]
fn ship_order(item: &str) -> usize {
    let shelf = reserve(black_box(item));
    black_box(shelf) + 1
}

#[inline(never)]
fn reserve(item: &str) -> usize {
    let shelf = shelf_of(black_box(item));
    black_box(shelf) * 10
}

#[inline(never)]
fn shelf_of(item: &str) -> usize {
    match SHELVES.iter().position(|&name| name == item) {
        Some(shelf) => shelf,
        None => panic!("no shelf for {item}"),
    }
}
