//! Conditions in two phases.

use super::{Spec, World};
use crate::base::Time;
use crate::model::{ConditionType, Fact};

/// The conditions and published versions of the last step, in order.
fn published(w: &World) -> Vec<Option<ConditionType>> {
    let facts = w.last_facts().iter();
    let seen = facts.filter_map(|fact| match fact {
        Fact::ConditionSet { condition, .. } => Some(Some(condition.kind)),
        Fact::StatusPublished { .. } => Some(None),
        _ => None,
    });
    seen.collect()
}

#[test]
fn failure_target_has_a_version_of_its_own_before_failed() {
    let mut w = World::started(Spec::new(1, 1).backoff_limit(0), "+0");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    let (first, second) = (ConditionType::FailureTarget, ConditionType::Failed);
    assert_eq!(published(&w), [Some(first), None, Some(second), None]);
}

#[test]
fn success_criteria_met_has_a_version_of_its_own_before_complete() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    let (first, second) = (ConditionType::SuccessCriteriaMet, ConditionType::Complete);
    assert_eq!(published(&w), [Some(first), None, Some(second), None]);
    w.conditions("SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

/// Vector 81 without indexes: the last completion arrives while a stopped pod is still there.
#[test]
fn complete_waits_for_the_last_terminating_pod() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.exit(0, 0);
    w.update(|spec| spec.completions = Some(1));
    w.step("S0 -1 SuccessCriteriaMet(CompletionsReached)");
    w.status("t1 s1");
    assert_eq!(w.job_status().completion_time, None);
    w.advance(5000);
    w.end_stopped();
    w.step("~1 Complete(CompletionsReached)");
    w.status("s1");
    assert_eq!(w.job_status().completion_time, Some(w.now));
    assert_eq!(w.job_status().conditions[0].at, Time(w.now.0 - 5000));
}

#[test]
fn failed_waits_for_the_last_terminating_pod() {
    let mut w = World::started(Spec::new(3, 3).backoff_limit(0), "+0..2");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) -1 -2");
    w.exit(1, 143);
    w.step("~1");
    w.conditions("FailureTarget(BackoffLimitExceeded)");
    w.exit(2, 143);
    w.step("~2 Failed(BackoffLimitExceeded)");
}

/// A pod that scaling down stopped before was never counted, and the failure does not change that.
#[test]
fn a_pod_stopped_before_the_failure_does_not_count_but_is_waited_for() {
    let mut w = World::started(Spec::new(3, 3).backoff_limit(0), "+0..2");
    w.update(|spec| spec.parallelism = 2);
    w.step("-2");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) -1");
    w.status("t2 f2");
    w.end_stopped();
    w.step("~1 ~2 Failed(BackoffLimitExceeded)");
    w.status("f2");
}

#[test]
fn a_failure_that_is_decided_stays_whatever_the_pods_do() {
    let mut w = World::started(Spec::new(2, 1).backoff_limit(0), "+0");
    w.update(|spec| spec.completions = Some(2));
    w.step("+1");
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) -1");
    w.update(|spec| spec.completions = Some(1));
    w.exit(1, 0);
    w.step("~1 Failed(BackoffLimitExceeded)");
    w.status("f2");
}

#[test]
fn a_success_that_is_decided_stays_whatever_the_pods_do() {
    let mut w = World::started(Spec::new(2, 2).deadline_s(10).backoff_limit(0), "+0 +1");
    w.exit(0, 0);
    w.update(|spec| spec.completions = Some(1));
    w.step("S0 -1 SuccessCriteriaMet(CompletionsReached)");
    w.advance(20_000);
    w.exit(1, 5);
    w.step("~1 Complete(CompletionsReached)");
    w.status("s1");
}

#[test]
fn a_finished_job_does_not_change_any_more() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    let status = w.job_status().clone();
    w.advance(1000);
    w.update(|spec| {
        spec.parallelism = 5;
        spec.completions = Some(9);
        spec.backoff_limit = 0;
        spec.active_deadline_s = Some(0);
    });
    w.step("");
    w.advance(1000);
    w.step("");
    assert_eq!(*w.job_status(), status);
}

/// Vector 134; kubernetes issue 139428: the number of active pods stays true during a back-off.
#[test]
fn v134_active_pods_are_shown_during_a_back_off() {
    let mut w = World::started(Spec::new(2, 4), "+0 +1");
    w.run([0]);
    w.exit(1, 1);
    w.step("F1");
    w.status("a1 r1 f1");
    w.step_due_in(10_000, "+2");
    w.status("a2 r1 f1");
}
