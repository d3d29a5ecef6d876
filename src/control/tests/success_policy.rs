//! Vectors 110 to 123: successPolicy.

use super::{Spec, World};
use crate::model::FailureAction::FailJob;

/// Enough when 0 or 1 has succeeded.
fn either(spec: Spec) -> Spec {
    spec.indexed().success(Some("0,1"), Some(1))
}

const MET: &str = "SuccessCriteriaMet(SuccessPolicy)";

#[test]
fn v110_a_match_stops_the_others_and_counts_none_of_them() {
    let mut w = World::started(either(Spec::new(3, 3)), "+0:0 +1:1 +2:2");
    w.exit(0, 1);
    w.step("F0");
    w.step_due_in(10_000, "+3:0");
    w.run([2, 3]);
    w.step("");
    w.exit(1, 0);
    w.step(&format!("S1 {MET} -2 -3"));
    w.status("t2 s1 f1 [1]");
    w.end_stopped();
    w.step("~2 ~3 Complete(SuccessPolicy)");
    w.status("s1 f1 [1]");
    w.message("Matched rules at index 0");
}

#[test]
fn v111_a_fail_job_rule_beats_it() {
    let mut w = World::started(either(Spec::new(3, 3)).rule(FailJob, "In", &[5]), "+0:0 +1:1 +2:2");
    w.exit(0, 5);
    w.exit(1, 0);
    w.step("F0 S1 FailureTarget(PodFailurePolicy) -2");
    w.status("t1 s1 f2 [1]");
    w.end_stopped();
    w.step("~2 Failed(PodFailurePolicy)");
}

#[test]
fn v112_the_backoff_limit_beats_it() {
    let mut w = World::started(either(Spec::new(2, 2)).backoff_limit(1), "+0:0 +1:1");
    w.exit(0, 1);
    w.step("F0");
    w.step_due_in(10_000, "+2:0");
    w.exits([1], 0);
    w.exit(2, 1);
    let did = w.try_step();
    assert!(did.ends_with("FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)"), "{did}");
    w.status("s1 f2 [1]");
}

#[test]
fn v113_failed_indexes_beat_it() {
    let mut w = World::started(either(Spec::new(2, 2)).per_index(0), "+0:0 +1:1");
    w.exit(0, 1);
    w.exit(1, 0);
    w.step("X0 S1 FailureTarget(FailedIndexes) Failed(FailedIndexes)");
    w.status("s1 f1 [1] /0/");
}

#[test]
fn v114_a_fail_job_rule_that_matches_later_changes_nothing() {
    let mut w = World::started(either(Spec::new(2, 2)).rule(FailJob, "In", &[5]), "+0:0 +1:1");
    w.exit(1, 0);
    w.step(&format!("S1 {MET} -0"));
    // This exit crosses the stop.
    w.exit(0, 5);
    w.step("~0 Complete(SuccessPolicy)");
    w.status("s1 [1]");
}

#[test]
fn v115_a_backoff_limit_that_is_exceeded_later_changes_nothing() {
    let mut w = World::started(either(Spec::new(3, 3)), "+0:0 +1:1 +2:2");
    w.exit(0, 1);
    w.step("F0");
    w.exit(1, 0);
    w.step(&format!("S1 {MET} -2"));
    w.update(|spec| spec.backoff_limit = 0);
    w.step("");
    w.end_stopped();
    w.step("~2 Complete(SuccessPolicy)");
    w.status("s1 f1 [1]");
}

#[test]
fn v116_a_policy_that_is_satisfied_later_changes_nothing() {
    let mut w = World::started(either(Spec::new(2, 2)).backoff_limit(0), "+0:0 +1:1");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) -1");
    w.exit(1, 0);
    w.step("~1 Failed(BackoffLimitExceeded)");
    w.status("f2");
}

/// The position of the rule that matches when these of ten indexes have succeeded.
fn matched(rules: &[(Option<&str>, Option<u32>)], succeeded: &[u32]) -> Option<String> {
    let spec = rules.iter().fold(Spec::new(10, 10).indexed(), |spec, (indexes, count)| spec.success(*indexes, *count));
    let mut w = World::of(spec);
    w.try_step();
    w.exits(succeeded.iter().copied(), 0);
    w.try_step();
    let condition = w.job_status().conditions.first()?;
    Some(condition.message.strip_prefix("Matched rules at index ").expect("the policy's message").to_owned())
}

#[test]
fn v117_all_listed_indexes_match() {
    assert_eq!(matched(&[(Some("0-2"), None)], &[0, 1, 2, 4, 5, 6, 7]).as_deref(), Some("0"));
}

#[test]
fn v118_the_first_rule_that_matches_counts() {
    let rules = [(Some("9"), None), (Some("4,6"), None)];
    assert_eq!(matched(&rules, &[0, 1, 2, 4, 5, 6, 7]).as_deref(), Some("1"));
}

#[test]
fn v119_too_few_of_the_listed_do_not_match() {
    assert_eq!(matched(&[(Some("3-6"), Some(2))], &[0, 1, 2, 6, 7]), None);
}

#[test]
fn v120_some_of_the_listed_match_only_by_their_count() {
    let succeeded = [2, 3, 4, 6, 7, 8];
    assert_eq!(matched(&[(Some("1-3,5-7"), None)], &succeeded), None);
    assert_eq!(matched(&[(Some("1-3,5-7"), Some(4))], &succeeded).as_deref(), Some("0"));
}

#[test]
fn v121_no_listed_index_never_matches() {
    assert_eq!(matched(&[(Some(""), None)], &[0, 1, 2]), None);
    assert_eq!(matched(&[(Some(""), Some(0))], &[0, 1, 2]), None);
}

#[test]
fn v122_a_count_alone_is_about_all_indexes() {
    assert_eq!(matched(&[(None, Some(4))], &[0, 1, 2]), None);
    assert_eq!(matched(&[(None, Some(4))], &[0, 1, 2, 9]).as_deref(), Some("0"));
    assert_eq!(matched(&[(None, Some(0))], &[]), None);
}

#[test]
fn v123_what_is_left_is_never_run() {
    let mut w = World::started(Spec::new(2, 5).indexed().success(Some("0"), None), "+0:0 +1:1");
    w.exit(1, 1);
    w.step("F1");
    w.exit(0, 0);
    w.step(&format!("S0 {MET} Complete(SuccessPolicy)"));
    w.status("s1 f1 [0]");
    assert_eq!(w.record().next_ordinal, 2, "pods in all");
}

#[test]
fn what_succeeded_before_a_crash_counts() {
    let mut w = World::started(Spec::new(3, 3).indexed().success(Some("0,1"), None), "+0:0 +1:1 +2:2");
    w.exit(0, 0);
    w.step("S0");
    w.crash();
    w.step(">1 >2");
    w.exit(1, 0);
    w.step(&format!("S1 {MET} -2"));
}

#[test]
fn successes_that_are_dropped_do_not_count() {
    let mut w = World::started(Spec::new(3, 3).indexed().success(None, Some(2)), "+0:0 +1:1 +2:2");
    w.exit(2, 0);
    w.step("S2");
    w.update(|spec| (spec.parallelism, spec.completions) = (2, Some(2)));
    w.step("");
    w.exit(0, 0);
    w.step("S0");
    w.exit(1, 0);
    w.step(&format!("S1 {MET} Complete(SuccessPolicy)"));
}
