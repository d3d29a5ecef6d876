//! Jobs without completions (section 8.7 of the contract).

use super::{Spec, World};

#[test]
fn v132_failures_beyond_the_limit_beat_a_success_seen_with_them() {
    let mut w = World::started(Spec::new(3, None).backoff_limit(0), "+0..2");
    w.run([1]);
    w.exit(0, 0);
    w.exit(2, 1);
    w.step("S0 F2 FailureTarget(BackoffLimitExceeded) -1");
    w.status("t1 s1 f2");
    w.advance(1000);
    w.end_stopped();
    w.step("~1 Failed(BackoffLimitExceeded)");
}

#[test]
fn failures_before_the_first_success_are_replaced() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.exit(0, 1);
    w.step("F0");
    w.step_due_in(10_000, "+2");
    w.status("a2 f1");
}

#[test]
fn failures_after_the_first_success_are_not_replaced() {
    let mut w = World::started(Spec::new(3, None), "+0..2");
    w.exit(0, 0);
    w.step("S0");
    w.advance(1000);
    w.exit(1, 1);
    w.step("F1");
    w.advance(60_000);
    w.step("");
    w.status("a1 s1 f1");
    w.exit(2, 1);
    w.step("F2 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s1 f2");
}

#[test]
fn failures_after_the_first_success_can_fail_the_job() {
    let mut w = World::started(Spec::new(4, None).backoff_limit(1), "+0..3");
    w.exit(0, 0);
    w.step("S0");
    w.exits([1, 2], 1);
    w.step("F1 F2 FailureTarget(BackoffLimitExceeded) -3");
    w.status("t1 s1 f3");
}

#[test]
fn parallelism_means_nothing_after_the_first_success() {
    let mut w = World::started(Spec::new(3, None), "+0..2");
    w.exit(0, 0);
    w.step("S0");
    for parallelism in [10, 1, 0] {
        w.update(|spec| spec.parallelism = parallelism);
        w.step("");
    }
    w.status("a2 s1");
}

#[test]
fn all_failures_leave_a_work_queue_unfinished() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.exits([0, 1], 1);
    w.step("F0 F1");
    w.conditions("");
    w.step_due_in(20_000, "+2 +3");
}
