//! Ends with 0 and says nothing.

fn main() {}
