//! What guests see on the small engine.

use super::{End, OnEngine, bare, in_runtime, program, with_args};

type World = OnEngine<false>;

#[path = "exits.rs"]
mod exits;
#[path = "explained.rs"]
mod explained;
#[path = "isolation.rs"]
mod isolation;
#[path = "memory.rs"]
mod memory;
#[path = "stops.rs"]
mod stops;

/// Runs a program whose `_start` is `body`, with `proc_exit` as `$exit` and one page of memory.
fn run_body(body: &str) -> End {
    let world = World::shared();
    world.run(&world.image(&program(body)), bare())
}
