//! Parallelism that changes, and which pods go first (section 8.5 of the contract).

use super::{Spec, World};
use crate::control::Capacity;

#[test]
fn parallelism_zero_pauses_and_a_higher_one_resumes() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.run([0, 1]);
    w.exit(1, 0);
    w.step("S1 +2");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0 -2");
    w.status("t2 s1");
    w.advance(1000);
    w.end_stopped();
    w.step("~0 ~2");
    w.status("s1");
    w.advance(1_000_000);
    w.step("");
    w.conditions("");
    w.update(|spec| spec.parallelism = 3);
    w.step("+3..5");
    w.status("a3 s1");
}

#[test]
fn raised_parallelism_adds_pods() {
    let mut w = World::started(Spec::new(1, 5), "+0");
    w.update(|spec| spec.parallelism = 3);
    w.step("+1 +2");
}

#[test]
fn parallelism_above_what_is_missing_adds_only_what_is_missing() {
    let mut w = World::started(Spec::new(1, 3), "+0");
    w.update(|spec| spec.parallelism = 100);
    w.step("+1 +2");
    w.exits(0..3, 0);
    w.step("S0..2 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn pods_stopped_for_parallelism_never_count_and_never_back_off() {
    let mut w = World::started(Spec::new(3, 5).backoff_limit(0), "+0..2");
    w.run(0..3);
    w.update(|spec| spec.parallelism = 1);
    w.step("-1 -2");
    w.end_stopped();
    w.step("~1 ~2");
    w.update(|spec| spec.parallelism = 3);
    w.step("+3 +4");
    w.status("a3 r1");
}

/// One pod of each kind: 0 has run longest, 1 runs, 2 was handed to the worker, 3 waits.
fn one_of_each() -> World {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 3 });
    w.create("pi", Spec::new(4, 4));
    w.step("+0 +1..3(waits)");
    for ordinal in [0, 1] {
        w.advance(1000);
        w.run([ordinal]);
        w.step(&format!(">{}", ordinal + 1));
    }
    w
}

#[test]
fn what_has_come_least_far_goes_first() {
    let mut w = one_of_each();
    for (parallelism, stopped) in [(3, "-3(gone)"), (2, "-2"), (1, "-1"), (0, "-0")] {
        w.update(|spec| spec.parallelism = parallelism);
        w.step(stopped);
    }
    w.status("t3");
    w.end_stopped();
    w.step("~0..2");
}

#[test]
fn of_pods_ready_since_the_same_time_the_newest_goes_first() {
    let mut w = World::started(Spec::new(2, 4), "+0 +1");
    w.update(|spec| spec.parallelism = 4);
    w.step("+2 +3");
    w.run([3, 2, 1, 0]);
    w.step("");
    w.update(|spec| spec.parallelism = 2);
    w.step("-2 -3");
}

#[test]
fn of_ready_pods_the_most_recently_ready_goes_first() {
    let mut w = World::started(Spec::new(3, 3), "+0..2");
    for ordinal in [2, 0, 1] {
        w.run([ordinal]);
        w.advance(1000);
        w.step("");
    }
    w.update(|spec| spec.parallelism = 2);
    w.step("-1");
    w.update(|spec| spec.parallelism = 1);
    w.step("-0");
}
