//! Vectors 98 to 109 and 133: backoffLimitPerIndex, maxFailedIndexes and FailIndex.
//!
//! Where a vector begins with a pod whose failure-count is 1, the failure before it is part of the case, and of `failed`.

use super::{Spec, World};
use crate::model::FailureAction::{FailIndex, Ignore};
use crate::model::IndexFailures;

fn limited(parallelism: u32, completions: u32, limit: u32) -> Spec {
    Spec::new(parallelism, completions).indexed().per_index(limit)
}

fn failures(w: &World, index: u32) -> (u32, u32) {
    let IndexFailures { counted, ignored } = w.record().failures_of(index);
    (counted, ignored)
}

#[test]
fn v098_an_index_may_succeed_at_its_second_try() {
    let mut w = World::started(limited(2, 2, 1), "+0:0 +1:1");
    w.exit(0, 1);
    w.step("H0");
    w.status("a1 //");
    w.step_due_in(10_000, "+2:0");
    w.step("=0");
    w.status("a2 f1 //");
    w.exit(1, 0);
    w.step("S1");
    w.exit(2, 0);
    w.step("S2 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s2 f1 [0,1] //");
}

#[test]
fn v099_a_failure_is_counted_once_another_pod_carries_it() {
    let mut w = World::started(limited(1, 2, 1), "+0:0");
    w.exit(0, 1);
    w.step("H0");
    w.advance(10_000);
    w.update(|spec| spec.parallelism = 2);
    w.step("+1:0 +2:1");
    w.status("a2 //");
    assert_eq!((failures(&w, 0), failures(&w, 1)), ((1, 0), (0, 0)));
    assert_eq!(w.due_in_ms(), Some(0));
    w.step("=0");
    w.status("a2 f1 //");
}

#[test]
fn v100_an_index_whose_pod_waits_is_not_run_again() {
    let mut w = World::started(limited(1, 2, 1), "+0:0");
    w.exit(0, 1);
    w.step("H0");
    w.step_due_in(10_000, "+1:0");
    w.update(|spec| spec.parallelism = 2);
    w.step("=0 +2:1");
    w.status("a2 f1 //");
}

#[test]
fn v101_an_index_fails_at_its_second_failure_and_the_others_go_on() {
    let mut w = World::started(limited(1, 2, 1), "+0:0");
    w.exit(0, 1);
    w.step("H0");
    w.step_due_in(10_000, "+1:0");
    w.step("=0");
    w.advance(1000);
    w.exit(1, 1);
    w.step("X1 +2:1");
    w.status("a1 f2 /0/");
    w.conditions("");
}

#[test]
fn v102_a_fail_index_rule_fails_the_index_at_once() {
    let mut w = World::started(limited(1, 2, 1).rule(FailIndex, "In", &[3]), "+0:0");
    w.exit(0, 3);
    w.step("X0 +1:1");
    w.status("a1 f1 /0/");
}

#[test]
fn v103_an_ignored_failure_is_carried_on_apart() {
    let mut w = World::started(limited(1, 2, 1).rule(Ignore, "In", &[3]), "+0:0");
    w.exit(0, 3);
    w.step("h0");
    w.status("//");
    w.step_due_in(10_000, "+1:0");
    assert_eq!(failures(&w, 0), (0, 1));
    w.step("=0");
    w.status("a1 //");
    w.advance(1000);
    w.exit(1, 3);
    w.step("h1");
    w.step_due_in(20_000, "+2:0");
    assert_eq!(failures(&w, 0), (0, 2));
}

#[test]
fn v104_failures_that_are_not_counted_yet_hold_against_the_backoff_limit() {
    let mut w = World::started(limited(2, 2, 1).backoff_limit(1), "+0:0 +1:1");
    w.exits([0, 1], 1);
    w.step("H0 H1 FailureTarget(BackoffLimitExceeded) =0 =1 Failed(BackoffLimitExceeded)");
    w.status("f2 //");
}

#[test]
fn v105_a_job_with_failed_indexes_fails_once_all_have_ended() {
    let mut w = World::started(limited(2, 2, 1), "+0:0 +1:1");
    w.exit(0, 1);
    w.step("H0");
    w.step_due_in(10_000, "+2:0");
    w.step("=0");
    w.exit(1, 0);
    w.step("S1");
    w.exit(2, 1);
    w.step("X2 FailureTarget(FailedIndexes) Failed(FailedIndexes)");
    w.status("s1 f2 [1] /0/");
    w.message("Job has failed indexes");
}

#[test]
fn v106_more_failed_indexes_than_are_borne_fail_the_job() {
    let mut w = World::started(limited(4, 4, 1).max_failed_indexes(1), "+0:0 +1:1 +2:2 +3:3");
    w.run([3]);
    w.exits([0, 2], 1);
    w.exit(1, 0);
    w.step("H0 H2 S1");
    w.step_due_in(10_000, "+4:0 +5:2");
    w.step("=0 =2");
    w.status("a3 r1 s1 f2 [1] //");
    w.exits([4, 5], 1);
    w.step("X4 X5 FailureTarget(MaxFailedIndexesExceeded) -3");
    w.status("t1 s1 f5 [1] /0,2/");
    w.end_stopped();
    w.step("~3 Failed(MaxFailedIndexesExceeded)");
    w.status("s1 f5 [1] /0,2/");
    w.message("Job has exceeded the specified maximal number of failed indexes");
}

#[test]
fn v107_nothing_is_borne_at_zero_and_zero() {
    let mut w = World::started(limited(1, 4, 0).max_failed_indexes(0), "+0:0");
    w.exit(0, 1);
    w.step("X0 FailureTarget(MaxFailedIndexesExceeded) Failed(MaxFailedIndexesExceeded)");
    w.status("f1 /0/");
    assert_eq!(w.record().next_ordinal, 1, "pods in all");
}

#[test]
fn v108_the_backoff_limit_counts_over_all_indexes() {
    let mut w = World::started(limited(3, 3, 1).backoff_limit(2), "+0:0 +1:1 +2:2");
    w.exits([0, 1], 1);
    w.step("H0 H1");
    w.step_due_in(10_000, "+3:0 +4:1");
    w.step("=0 =1");
    w.status("a3 f2 //");
    w.exit(2, 1);
    w.step("H2 FailureTarget(BackoffLimitExceeded) =2 -3 -4");
    w.status("t2 f5 //");
    w.end_stopped();
    w.step("~3 ~4 Failed(BackoffLimitExceeded)");
    w.status("f5 //");
}

#[test]
fn v109_odd_indexes_fail_and_even_ones_succeed() {
    let mut w = World::started(limited(2, 4, 1), "+0:0 +1:1");
    w.exit(0, 0);
    w.exit(1, 1);
    w.step("S0 H1 +2:2");
    w.exit(2, 0);
    w.step("S2 +3:3");
    w.exit(3, 1);
    w.step("H3");
    assert_eq!((failures(&w, 1), failures(&w, 3)), ((1, 0), (1, 0)));
    w.settle();
    w.step_due_in(9900, "+4:1 +5:3");
    w.step("=1 =3");
    w.exits([4, 5], 1);
    let did = w.try_step();
    assert!(did.ends_with("FailureTarget(FailedIndexes) Failed(FailedIndexes)"), "{did}");
    w.status("s2 f4 [0,2] /1,3/");
}

#[test]
fn v133_an_index_in_back_off_keeps_its_place() {
    let mut w = World::started(limited(2, 3, 1), "+0:0 +1:1");
    w.run([1]);
    w.step("");
    w.exit(0, 1);
    w.step("H0");
    w.status("a1 r1 //");
    assert!(w.record().per_index.as_ref().expect("a limit").held.contains_key(&0));
    w.settle();
    w.advance(4900);
    w.step("");
    w.status("a1 r1 //");
    w.step_due_in(5000, "+2:0");
}

#[test]
fn an_index_backs_off_by_its_own_failures() {
    let mut w = World::started(limited(2, 2, 9), "+0:0 +1:1");
    for (ordinal, delay_s) in [(0, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 600), (8, 600)] {
        w.exit(ordinal, 1);
        w.step(&format!("H{ordinal}"));
        w.step_due_in(delay_s * 1000, &format!("+{}:0", ordinal.max(1) + 1));
        w.step(&format!("={ordinal}"));
        w.advance(1000);
    }
    w.exit(1, 1);
    w.step("H1");
    w.step_due_in(10_000, "+10:1");
}

#[test]
fn indexes_that_are_ready_do_not_wait_for_others() {
    let mut w = World::started(limited(3, 9, 9), "+0:0 +1:1 +2:2");
    w.exit(0, 1);
    w.step("H0");
    w.advance(3000);
    w.exit(1, 1);
    w.step("H1");
    w.exit(2, 0);
    w.step("S2 +3:3");
    w.settle();
    w.step_due_in(6900, "+4:0");
    w.step("=0");
    w.settle();
    w.step_due_in(2900, "+5:1");
}

#[test]
fn the_failures_of_an_index_survive_a_crash() {
    let mut w = World::started(limited(2, 2, 1), "+0:0 +1:1");
    w.exit(0, 1);
    w.step("H0");
    w.crash();
    w.step(">1");
    w.status("a1 //");
    w.step_due_in(10_000, "+2:0");
    w.crash();
    // The pod that carries the failure on is there.
    w.step("=0 >1 >2");
    w.status("a2 f1 //");
    w.exit(2, 1);
    w.step("X2");
    w.status("a1 f2 /0/");
}

#[test]
fn a_lost_pod_is_no_failure_of_its_index() {
    let mut w = World::started(limited(1, 1, 1), "+0:0");
    w.exit(0, 1);
    w.step("H0");
    w.step_due_in(10_000, "+1:0");
    w.step("=0");
    w.run([1]);
    w.step("");
    w.crash();
    w.step("I1 +2:0");
    assert_eq!(failures(&w, 0), (1, 0));
    w.status("a1 f1 //");
}

#[test]
fn failures_that_are_held_are_counted_when_the_job_succeeds() {
    let mut w = World::started(limited(2, 2, 5).success(Some("1"), None), "+0:0 +1:1");
    w.exit(0, 1);
    w.step("H0");
    w.exit(1, 0);
    w.step("S1 SuccessCriteriaMet(SuccessPolicy) =0 Complete(SuccessPolicy)");
    w.status("s1 f1 [1] //");
}
