//! Vectors 38 to 44 and 47: containers that are started again in their pods.

use super::{Spec, World};
use crate::model::FailureAction::FailJob;

fn of(parallelism: u32, completions: u32, backoff_limit: u32) -> Spec {
    Spec::new(parallelism, completions).on_failure().backoff_limit(backoff_limit)
}

fn restarts(w: &World, ordinal: u32) -> u32 {
    w.store.restarts[&(w.id(), ordinal)].count
}

const EXCEEDED: &str = "FailureTarget(BackoffLimitExceeded)";
const FAILED: &str = "Failed(BackoffLimitExceeded)";

#[test]
fn v038_a_running_pod_without_restarts_is_fine_at_limit_zero() {
    let mut w = World::started(of(1, 1, 0), "+0");
    w.run([0]);
    w.step("");
    w.status("a1 r1");
}

#[test]
fn v039_the_first_restart_is_one_too_many_at_limit_zero() {
    let mut w = World::started(of(1, 1, 0), "+0");
    w.run([0]);
    w.step("");
    w.exit(0, 1);
    w.step(&format!("C0 R0 {EXCEEDED} -0(gone) {FAILED}"));
    w.status("f1");
}

#[test]
fn v040_a_running_pod_without_restarts_is_fine_at_limit_one() {
    let mut w = World::started(of(1, 1, 1), "+0");
    w.run([0]);
    w.step("");
    w.status("a1 r1");
}

#[test]
fn v041_the_first_restart_is_one_too_many_at_limit_one() {
    let mut w = World::started(of(2, 2, 1), "+0 +1");
    w.run([0, 1]);
    w.step("");
    w.exit(0, 1);
    w.step(&format!("C0 R0 {EXCEEDED} -0(gone) -1"));
    w.status("t1 f2");
    w.end_stopped();
    w.step(&format!("~1 {FAILED}"));
    w.status("f2");
}

#[test]
fn v042_two_restarts_of_a_pod_are_too_many_at_limit_two() {
    let mut w = World::started(of(1, 5, 2), "+0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.status("a1");
    w.exit(0, 1);
    w.step("C0");
    w.step_due_in(10_000, &format!("R0 {EXCEEDED} -0(gone) {FAILED}"));
    w.status("f1");
}

#[test]
fn v043_restarts_of_all_pods_count_together() {
    let mut w = World::started(of(2, 5, 2), "+0 +1");
    w.exits([0, 1], 1);
    w.step(&format!("C0 C1 R0 R1 {EXCEEDED} -0(gone) -1(gone) {FAILED}"));
    w.status("f2");
}

#[test]
fn v044_fewer_restarts_than_the_limit_are_fine() {
    let mut w = World::started(of(2, 5, 3), "+0 +1");
    w.exits([0, 1], 1);
    w.step("C0 C1 R0 R1 >0 >1");
    w.run([0, 1]);
    w.step("");
    w.status("a2 r2");
}

#[test]
fn v047_pods_that_fail_once_complete_the_job_without_a_failure() {
    let mut w = World::started(of(2, 4, 6), "+0 +1");
    for pair in [[0, 1], [2, 3]] {
        w.exits(pair, 1);
        w.try_step();
        w.status(if pair[0] == 0 { "a2" } else { "a2 s2" });
        assert_eq!(pair.map(|ordinal| restarts(&w, ordinal)), [1, 1]);
        w.exits(pair, 0);
        w.advance(1000);
        w.try_step();
    }
    w.conditions("SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s4");
    assert_eq!(w.record().next_ordinal, 4, "pods in all");
}

#[test]
fn restarts_wait_ever_longer_up_to_five_minutes() {
    let mut w = World::started(of(1, 1, 100), "+0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    for (restart, delay_s) in (2..).zip([10, 20, 40, 80, 160, 300, 300]) {
        w.run([0]);
        w.advance(1000);
        w.step("");
        w.status("a1 r1");
        w.exit(0, 1);
        w.step("C0");
        w.advance(100);
        w.step("");
        w.status("a1");
        w.step_due_in(delay_s * 1000 - 100, "R0 >0");
        assert_eq!(restarts(&w, 0), restart);
    }
}

#[test]
fn a_container_that_ran_for_ten_minutes_begins_anew() {
    let mut w = World::started(of(1, 1, 100), "+0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.exit(0, 1);
    w.step("C0");
    w.step_due_in(10_000, "R0 >0");
    w.run([0]);
    w.advance(600_001);
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.exit(0, 1);
    w.step("C0");
    w.step_due_in(10_000, "R0 >0");
}

#[test]
fn a_success_ends_the_pod() {
    let mut w = World::started(of(1, 1, 6), "+0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn a_pod_that_waits_for_its_restart_can_be_stopped() {
    let mut w = World::started(of(2, 2, 6), "+0 +1");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.exit(0, 1);
    w.step("C0");
    w.update(|spec| spec.suspend = true);
    w.step("-0(gone) -1 Suspended(JobSuspended)");
    w.end_stopped();
    w.step("~1");
    w.settle();
    assert_eq!(w.due_in_ms(), None);
    w.update(|spec| spec.suspend = false);
    w.step("+2 +3 Suspended(JobResumed)");
}

#[test]
fn a_stopped_pod_is_not_started_again() {
    let mut w = World::started(of(2, 2, 6), "+0 +1");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w.exit(1, 1);
    w.step("~1");
}

#[test]
fn a_pod_that_waits_for_its_restart_waits_on_after_a_crash() {
    let mut w = World::started(of(1, 1, 6), "+0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.run([0]);
    w.step("");
    w.exit(0, 1);
    w.step("C0");
    w.advance(4000);
    w.crash();
    w.step("");
    w.status("a1");
    w.step_due_in(6000, "R0 >0");
    assert_eq!(restarts(&w, 0), 2);
    w.exit(0, 1);
    w.step("C0");
    w.step_due_in(20_000, "R0 >0");
}

#[test]
fn a_rule_of_the_container_starts_it_again_whatever_the_pod_says() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(0).restarts_at(&[42]), "+0");
    w.exit(0, 42);
    w.step("C0 R0 >0");
    // Such restarts do not hold against backoffLimit: the pod's own policy is Never.
    w.exit(0, 42);
    w.step("C0");
    w.step_due_in(10_000, "R0 >0");
    w.exit(0, 1);
    w.step(&format!("F0 {EXCEEDED} {FAILED}"));
    w.status("f1");
}

#[test]
fn v084_a_failure_policy_is_about_pods_that_failed_not_about_containers_that_start_again() {
    let mut w = World::started(Spec::new(1, 1).restarts_at(&[42]).rule(FailJob, "In", &[42, 5]), "+0");
    w.exit(0, 42);
    w.step("C0 R0 >0");
    w.exit(0, 5);
    w.step("F0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
}

#[test]
fn an_index_keeps_its_pod_over_restarts() {
    let mut w = World::started(Spec::new(1, 2).indexed().on_failure().per_index(0), "+0:0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.exit(0, 0);
    w.step("S0 +1:1");
    w.status("a1 s1 [0] //");
}

#[test]
fn of_too_many_pods_one_that_never_ran_goes_before_one_that_is_started_again() {
    let mut w = World::started(Spec::new(2, 4).on_failure(), "+0 +1");
    for _ in 0..2 {
        w.exit(1, 1);
        w.try_step();
    }
    w.update(|spec| spec.parallelism = 1);
    w.step("-0");
}
