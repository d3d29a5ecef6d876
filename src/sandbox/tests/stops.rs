//! Guests that do not end by themselves: they yield at ticks, and dropping frees them.

use super::{World, bare, in_runtime, program, with_args};
use crate::exec::{PodLog, PodSetup, Runtime as _};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Polls a guest `times` times while another thread ticks; it must be pending each time. Then drops it, and shows in a
/// sandbox of one slot that its slot is free.
fn yields_and_is_droppable(image: impl FnOnce(&World) -> String, pod: PodSetup, times: usize) {
    let world = World::new(1);
    let image = image(&world);
    let code = world.load(&image, pod.fuel).unwrap_or_else(|error| panic!("{}", error.message));
    world.ticking(|| {
        in_runtime(async {
            let mut run = Box::pin(world.sandbox.run(code, pod, PodLog::default()));
            for time in 0..times {
                let poll = Pin::new(&mut run).poll(&mut Context::from_waker(Waker::noop()));
                assert!(matches!(poll, Poll::Pending), "poll {time}: {poll:?}");
            }
        });
    });
    assert_eq!(world.run("coracle/hello", bare()).outcome.exit_code, 0, "the slot is free again");
}

#[test]
fn an_endless_loop_yields_at_every_tick_and_is_droppable() {
    yields_and_is_droppable(|world| world.image(&program("(loop $again (br $again))")), bare(), 3);
}

#[test]
fn an_endless_loop_with_fuel_yields_as_well() {
    let pod = PodSetup { fuel: Some(u64::MAX), ..bare() };
    yields_and_is_droppable(|world| world.image(&program("(loop $again (br $again))")), pod, 3);
}

#[test]
fn endless_recursion_of_calls_yields() {
    let text = r#"(module (func $f (if (i32.const 1) (then (return_call $f)))) (func (export "_start") (call $f)))"#;
    yields_and_is_droppable(|world| world.image(text), bare(), 3);
}

#[test]
fn a_start_function_that_loops_is_interruptible() {
    let text = r#"(module (func $s (loop $again (br $again))) (start $s) (func (export "_start")))"#;
    yields_and_is_droppable(|world| world.image(text), bare(), 3);
}

#[test]
fn the_spin_guest_is_droppable() {
    yields_and_is_droppable(|_| "coracle/spin".to_owned(), with_args(&["spin"]), 2);
}

#[test]
fn a_sleeping_guest_is_droppable() {
    yields_and_is_droppable(|_| "coracle/sleep".to_owned(), with_args(&["sleep", "1000"]), 2);
}

#[test]
fn a_guest_that_sleeps_for_ever_is_droppable() {
    yields_and_is_droppable(|_| "coracle/sleep".to_owned(), with_args(&["sleep", "18000000000"]), 2);
}

#[test]
fn a_guest_that_calls_the_host_without_end_yields() {
    let text = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (memory (export "memory") 1)
        (func (export "_start") (loop $again (drop (call $yield)) (br $again))))"#;
    yields_and_is_droppable(|world| world.image(text), bare(), 3);
}

#[test]
fn a_pod_that_was_never_polled_is_droppable() {
    yields_and_is_droppable(|_| "coracle/spin".to_owned(), bare(), 0);
}
