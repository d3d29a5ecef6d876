//! What a step does at its limits.

use super::{Spec, World};
use crate::base::NAMES_PER_PREFIX;
use crate::control::Capacity;
use crate::model::EventNote;

#[test]
fn pods_beyond_the_limit_of_a_step_come_in_the_next() {
    let mut w = World::of(Spec::new(4097, None));
    w.step("+0..4095");
    w.step_due_in(0, "+4096");
    w.advance(100);
    w.step("");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn as_many_pods_as_the_limit_of_a_step() {
    let mut w = World::of(Spec::new(4096, None));
    w.step("+0..4095");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_job_whose_names_are_used_up_says_so_and_rests() {
    let mut w = World::of(Spec::new(0, None));
    w.step("");
    w.skip_ordinals(NAMES_PER_PREFIX - 2);
    w.step("");
    w.advance(1000);
    w.update(|spec| spec.parallelism = 20_000);
    w.step("+14348905 +14348906");
    let why = "all 14348907 pod names of the Job are used up".into();
    assert_eq!(w.take_events().last(), Some(&EventNote::FailedCreate { why }));
    assert_eq!(w.due_in_ms(), None, "nothing to do");
}

#[test]
fn pods_wait_for_room_and_take_it_in_their_order() {
    let mut w = World::with_capacity(Capacity { workers: 2, queue_max: 1, alive_max: 2 });
    w.create("pi", Spec::new(6, 6));
    w.step("+0 +1 +2..5(waits)");
    w.run([0]);
    w.step(">2");
    w.run([1, 2]);
    w.step(">3");
    w.exit(0, 0);
    w.step("S0 >4");
    w.status("a5 r2 s1");
}

#[test]
fn parallelism_of_every_size_is_accepted() {
    let mut w = World::of(Spec::new(u32::MAX, u32::MAX));
    w.step("+0..4095");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0..4095");
}

/// `check` counts what waits and what is due after every step.
#[test]
fn changing_a_job_for_ever_costs_no_memory() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.create("first", Spec::new(1, 1));
    w.step("+0");
    w.create("pi", Spec::new(3, 9));
    w.step("pi/+0..2(waits)");
    for round in 0..50 {
        w.update(|spec| (spec.parallelism, spec.active_deadline_s) = (0, Some(5000 + round)));
        w.try_step();
        w.update(|spec| spec.parallelism = 3);
        w.try_step();
    }
    w.status("a3");
    w.focus("first");
    w.exit(0, 0);
    w.step("first/S0 first/SuccessCriteriaMet(CompletionsReached) first/Complete(CompletionsReached) pi/>150");
}
