//! Vectors 48 to 51: activeDeadlineSeconds.

use super::{Spec, World};

const DEADLINE: &str = "FailureTarget(DeadlineExceeded)";

#[test]
fn v048_a_running_pod_is_stopped_and_counts_as_failed() {
    let mut w = World::started(Spec::new(1, 1).deadline_s(10), "+0");
    w.run([0]);
    w.step("");
    w.advance(14_000);
    w.step("FailureTarget(DeadlineExceeded) -0");
    w.status("t1 f1");
    w.advance(1000);
    w.end_stopped();
    w.step("~0 Failed(DeadlineExceeded)");
    w.message("Job was active longer than specified deadline");
}

#[test]
fn v049_successes_stay_counted() {
    let mut w = World::started(Spec::new(1, 2).deadline_s(10), "+0");
    w.exit(0, 0);
    w.step("S0 +1");
    w.run([1]);
    w.advance(14_000);
    w.step("FailureTarget(DeadlineExceeded) -1");
    w.status("t1 s1 f1");
}

#[test]
fn v050_exactly_at_the_deadline_without_pods() {
    let mut w = World::of(Spec::new(0, 1).deadline_s(10));
    w.step("");
    w.advance(10_000);
    w.step("FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded)");
    w.status("");
}

#[test]
fn v051_the_backoff_limit_is_asked_before_the_deadline() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(0).deadline_s(1), "+0");
    w.exit(0, 1);
    w.advance(9000);
    w.step("F0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    w.status("f1");
}

#[test]
fn the_timer_fires_exactly_at_the_deadline() {
    let mut w = World::of(Spec::new(1, 1).deadline_s(10));
    w.step("+0");
    w.step_due_in(10_000, &format!("{DEADLINE} -0"));
}

#[test]
fn a_millisecond_before_the_deadline_nothing_happens() {
    let mut w = World::of(Spec::new(1, 1).deadline_s(10));
    w.step("+0");
    w.advance(9999);
    w.step("");
    w.step_due_in(1, &format!("{DEADLINE} -0"));
}

#[test]
fn a_deadline_of_zero_fails_before_any_pod() {
    let mut w = World::of(Spec::new(1, 1).deadline_s(0));
    w.step("FailureTarget(DeadlineExceeded) Failed(DeadlineExceeded)");
    w.status("");
}

#[test]
fn a_deadline_set_later_counts_from_the_start_time() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.update(|spec| spec.active_deadline_s = Some(3));
    w.step("");
    w.step_due_in(2000, &format!("{DEADLINE} -0"));
}

#[test]
fn a_shortened_deadline_that_has_passed_fails_at_once() {
    let mut w = World::started(Spec::new(1, 1).deadline_s(1000), "+0");
    w.update(|spec| spec.active_deadline_s = Some(1));
    w.step(&format!("{DEADLINE} -0"));
}

#[test]
fn a_lifted_deadline_never_fires() {
    let mut w = World::started(Spec::new(1, 1).deadline_s(10), "+0");
    w.update(|spec| spec.active_deadline_s = None);
    w.step("");
    w.advance(1_000_000);
    w.step("");
    w.status("a1");
}

#[test]
fn the_longest_deadline_is_no_overflow() {
    let mut w = World::of(Spec::new(1, 1).deadline_s(u64::MAX));
    w.step("+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn a_finished_job_leaves_no_timer() {
    let mut w = World::started(Spec::new(1, 1).deadline_s(1000), "+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    assert_eq!(w.due_in_ms(), None);
}
