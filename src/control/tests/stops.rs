//! Stops that cross what the workers say.

use super::{Spec, World};

fn stopping() -> World {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.run([0]);
    w.step("");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w
}

#[test]
fn a_success_that_crosses_the_stop_does_not_count() {
    let mut w = stopping();
    w.exit(1, 0);
    w.step("~1");
    w.status("a1 r1");
}

#[test]
fn a_failure_that_crosses_the_stop_does_not_count_and_does_not_back_off() {
    let mut w = stopping();
    w.exit(1, 1);
    w.step("~1");
    w.update(|spec| spec.parallelism = 2);
    w.step("+2");
    w.status("a2 r1");
}

#[test]
fn a_start_that_crosses_the_stop_is_not_shown() {
    let mut w = stopping();
    w.run([1]);
    w.step("");
    w.status("a1 r1 t1");
    w.end_stopped();
    w.step("~1");
    w.status("a1 r1");
}

#[test]
fn a_start_and_a_stop_in_the_same_step() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.run([0]);
    w.update(|spec| spec.parallelism = 0);
    w.step("-0");
    w.status("t1");
}

/// An exit of the failing Job that crosses the stop was counted as failed when it was told to stop.
#[test]
fn an_exit_that_crosses_the_stop_of_a_failing_job_is_counted_once() {
    for code in [0, 1] {
        let mut w = World::started(Spec::new(2, 2).backoff_limit(0), "+0 +1");
        w.exit(0, 1);
        w.step("F0 FailureTarget(BackoffLimitExceeded) -1");
        w.status("t1 f2");
        w.exit(1, code);
        w.step("~1 Failed(BackoffLimitExceeded)");
        w.status("f2");
    }
}

#[test]
fn a_failing_job_leaves_the_pods_of_others_alone() {
    let mut w = World::of(Spec::new(2, 2).backoff_limit(0));
    w.step("+0 +1");
    w.create("other", Spec::new(2, 2));
    w.step("other/+0 other/+1");
    w.focus("pi");
    w.exit(0, 1);
    w.step("pi/F0 pi/FailureTarget(BackoffLimitExceeded) pi/-1");
    w.focus("other");
    w.status("a2");
}

#[test]
fn a_draining_engine_starts_no_pod() {
    for drains in [false, true] {
        let mut w = World::started(Spec::new(1, 3), "+0");
        w.run([0]);
        if drains {
            w.drain();
        }
        w.exit(0, 0);
        w.history = Some(String::new());
        w.try_step();
        let did = w.history.take().expect("kept");
        assert_eq!(did.contains("launches: []"), drains, "{did}");
    }
}
