//! A client deletes pods: what that counts for, and when they go (vectors 59 to 67).

use super::{Spec, World};
use crate::control::{Capacity, PodChange, PodSeen};
use crate::model::{Fact, FailureAction, Reason};

#[test]
fn v60_a_deleted_pod_counts_as_failed_at_once_and_is_replaced_after_the_back_off() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.run([0]);
    w.step("");
    w.delete_pod(0);
    w.step("x0F");
    w.status("t1 f1");
    w.settle();
    w.end_stopped();
    w.step("~0");
    w.status("f1");
    w.settle();
    w.step_due_in(9800, "+1");
    w.status("a1 f1");
}

#[test]
fn v65_two_deleted_pods_fail_at_once_and_are_replaced_while_they_end() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.run([0, 1]);
    w.step("");
    w.delete_pod(0);
    w.delete_pod(1);
    w.step("x0F x1F");
    w.status("t2 f2");
    w.settle();
    w.step_due_in(19_900, "+2 +3");
    w.status("a2 t2 f2");
    w.end_stopped();
    w.step("~0 ~1");
    w.status("a2 f2");
}

#[test]
fn v64_with_policy_failed_deleted_pods_count_once_they_have_ended() {
    let mut w = World::started(Spec::new(2, 2).replace_failed(), "+0 +1");
    w.run([0, 1]);
    w.step("");
    w.delete_pod(0);
    w.delete_pod(1);
    w.step("x0 x1");
    w.status("t2");
    w.settle();
    w.end_stopped();
    w.step("F~0 F~1");
    w.status("f2");
    w.settle();
    w.step_due_in(19_900, "+2 +3");
}

#[test]
fn v59_a_pod_that_is_being_deleted_holds_its_place_with_policy_failed() {
    let mut w = World::started(Spec::new(2, None).replace_failed(), "+0 +1");
    w.run([0, 1]);
    w.step("");
    w.delete_pod(1);
    w.step("x1");
    w.advance(100_000);
    w.step("");
    w.status("a1 r1 t1");
}

#[test]
fn v66_a_deleted_pod_that_ends_with_0_counts_as_succeeded() {
    let mut w = World::started(Spec::new(1, 1).replace_failed(), "+0");
    w.run([0]);
    w.step("");
    w.exit(0, 0);
    w.report_now();
    w.delete_pod(0);
    w.step("S~0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    let mut w = World::started(Spec::new(1, 1).replace_failed(), "+0");
    w.delete_pod(0);
    w.step("x0");
    w.exit(0, 0);
    w.step("S~0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s1");
}

#[test]
fn v62_and_v63_the_index_of_a_deleted_pod_is_free_when_its_policy_says_so() {
    let mut w = World::started(Spec::new(2, 5).indexed().replace_failed(), "+0:0 +1:1");
    w.delete_pod(1);
    w.exit(0, 0);
    w.step("x1 S0 +2:2");
    w.status("a1 t1 s1 [0]");
    let mut w = World::started(Spec::new(2, 5).indexed(), "+0:0 +1:1");
    w.delete_pod(1);
    w.step("x1F");
    w.settle();
    w.step_due_in(9900, "+2:1");
    w.status("a2 t1 f1");
}

#[test]
fn v67_a_failure_policy_looks_at_a_deleted_pod_once_it_has_ended() {
    let mut w = World::started(Spec::new(1, 1).rule(FailureAction::Ignore, "In", &[143]).backoff_limit(0), "+0");
    w.run([0]);
    w.step("");
    w.delete_pod(0);
    w.step("x0");
    w.settle();
    w.end_stopped();
    w.step("I~0");
    w.status("");
    w.settle();
    w.step_due_in(9900, "+1");
}

#[test]
fn a_deleted_pod_may_be_one_failure_too_many() {
    let mut w = World::started(Spec::new(2, 2).backoff_limit(0), "+0 +1");
    w.delete_pod(0);
    w.step("x0F FailureTarget(BackoffLimitExceeded) -1");
    w.end_stopped();
    w.step("~0 ~1 Failed(BackoffLimitExceeded)");
    w.status("f2");
}

#[test]
fn a_pod_is_deleted_once() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.delete_pod(0);
    w.delete_pod(0);
    w.step("x0F");
    w.delete_pod(0);
    w.step("");
    w.end_stopped();
    w.step("~0");
}

#[test]
fn a_pod_that_waits_is_gone_at_once_and_failed() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.create("pi", Spec::new(3, 3));
    w.step("+0 +1(waits) +2(waits)");
    w.delete_pod(2);
    w.step("x2F(gone)");
    w.status("a2 f1");
    w.exit(0, 0);
    w.step("S0 +3(waits) >1");
    let mut w = World::started(Spec::new(1, 1).replace_failed(), "+0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.delete_pod(0);
    w.step("x0(gone)");
    w.status("f1");
}

#[test]
fn a_refusal_that_crosses_the_deletion_fails_the_pod() {
    let mut w = World::started(Spec::new(1, 1).replace_failed(), "+0");
    w.refuse(0, Reason::ErrImagePull);
    w.report_now();
    w.delete_pod(0);
    w.step("W0(ErrImagePull) x0(gone)");
    let mut w = World::started(Spec::new(1, 1).replace_failed(), "+0");
    w.delete_pod(0);
    w.step("x0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("F~0");
    w.status("f1");
}

#[test]
fn a_pod_that_has_ended_goes_at_once_and_counts_on() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.exit(0, 0);
    w.step("S0");
    w.delete_pod(0);
    w.step("rm0");
    w.status("a1 s1");
    w.exit(1, 0);
    w.step("S1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.delete_pod(1);
    w.step("rm1");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_pod_that_is_not_as_it_was_seen_is_not_deleted() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    let waiting = PodSeen { started: false, stopping: false, ended: false, attempts: 0 };
    let delete = || PodChange::Delete { grace_s: 0, evict: true };
    w.run([0]);
    w.report_now();
    w.change_pod(0, Some(waiting), delete());
    w.step("!Conflict");
    w.change_pod(0, Some(PodSeen { started: true, ..waiting }), delete());
    w.step("x0F");
    let Fact::PodsDeleted { pods, .. } = &w.last_facts()[0] else { panic!("it was deleted") };
    assert!(pods[0].evicted && pods[0].grace_s == 0 && pods[0].was_ready);
    w.end_stopped();
    w.step("~0");
    w.change_pod(0, Some(PodSeen { started: true, stopping: true, ..waiting }), delete());
    w.step("!Conflict");
}

#[test]
fn a_deleted_pod_is_gone_after_a_crash() {
    let mut w = World::started(Spec::new(1, 1).replace_failed(), "+0");
    w.run([0]);
    w.step("");
    w.delete_pod(0);
    w.step("x0");
    w.crash();
    w.step("I~0 +1");
}

#[test]
fn an_evicted_pod_is_disrupted_for_the_failure_policy() {
    let spec = |action| Spec::new(1, 1).rule_on(action, "DisruptionTarget").backoff_limit(0);
    let evicted = |spec| {
        let mut w = World::started(spec, "+0");
        w.run([0]);
        w.step("");
        w.change_pod(0, None, PodChange::Delete { grace_s: 30, evict: true });
        w.step("x0");
        w.end_stopped();
        w
    };
    let mut w = evicted(spec(FailureAction::Ignore));
    w.step("I~0");
    w.settle();
    w.step_due_in(9900, "+1");
    w.status("a1");
    let mut w = evicted(spec(FailureAction::FailJob));
    w.step("F~0 FailureTarget(PodFailurePolicy) Failed(PodFailurePolicy)");
    // One that is only deleted is not.
    let mut w = World::started(spec(FailureAction::Ignore), "+0");
    w.delete_pod(0);
    w.step("x0");
    w.end_stopped();
    w.step("F~0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
}

#[test]
fn an_evicted_pod_that_never_ran_is_disrupted_too() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.create("pi", Spec::new(2, 2).rule_on(FailureAction::FailJob, "DisruptionTarget"));
    w.step("+0 +1(waits)");
    w.change_pod(1, None, PodChange::Delete { grace_s: 30, evict: true });
    w.step("x1(gone) FailureTarget(PodFailurePolicy) -0");
    let message = &w.job_status().conditions[0].message;
    assert!(message.ends_with(" has condition DisruptionTarget matching FailJob rule at index 0"), "{message}");
}

#[test]
fn a_deleted_pod_is_a_failure_of_its_index_at_once() {
    let mut w = World::started(Spec::new(2, 2).indexed().per_index(1), "+0:0 +1:1");
    w.run([0]);
    w.step("");
    w.delete_pod(0);
    w.step("x0H");
    w.status("a1 t1 //");
    w.settle();
    w.step_due_in(9900, "+2:0");
    w.step("=0");
    w.status("a2 t1 f1 //");
    w.end_stopped();
    w.step("~0");
    w.delete_pod(2);
    w.step("x2X");
    w.status("a1 t1 f2 /0/");
    w.end_stopped();
    w.step("~2");
    w.exit(1, 0);
    w.step("S1 FailureTarget(FailedIndexes) Failed(FailedIndexes)");
    w.status("s1 f2 [1] /0/");
}

#[test]
fn a_deleted_pod_whose_failure_is_not_counted_stays_until_it_is() {
    for policy in [true, false] {
        let spec = Spec::new(1, 1).indexed().per_index(1);
        let mut w = World::started(if policy { spec.replace_failed() } else { spec }, "+0:0");
        w.run([0]);
        w.step("");
        w.delete_pod(0);
        w.step(if policy { "x0" } else { "x0H" });
        w.end_stopped();
        w.step(if policy { "H0" } else { "D0" });
        w.status("//");
        w.crash();
        w.step("");
        w.step_due_in(10_000, "+1:0");
        w.step("=0 rm0");
        w.status("a1 f1 //");
    }
}

#[test]
fn a_held_pod_that_is_deleted_stays_until_it_is_counted() {
    let mut w = World::started(Spec::new(1, 1).indexed().per_index(1), "+0:0");
    w.exit(0, 1);
    w.step("H0");
    w.delete_pod(0);
    w.step("x0");
    w.delete_pod(0);
    w.step("");
    w.step_due_in(10_000, "+1:0");
    w.step("=0 rm0");
    w.status("a1 f1 //");
}

#[test]
fn a_deleted_pod_whose_container_waits_for_its_next_start_is_gone_and_failed() {
    let mut w = World::started(Spec::new(1, 1).on_failure(), "+0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    w.advance(1000);
    w.exit(0, 1);
    w.step("C0");
    w.delete_pod(0);
    w.step("x0F(gone)");
    w.status("f1");
    w.step_due_in(10_000, "+1");
    w.exit(1, 0);
    w.step("S1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn a_deleted_pod_is_not_started_again() {
    let mut w = World::started(Spec::new(1, 1).on_failure().replace_failed(), "+0");
    w.run([0]);
    w.step("");
    w.delete_pod(0);
    w.step("x0");
    w.end_stopped();
    w.step("F~0");
}

#[test]
fn a_pod_of_a_suspended_job_is_deleted_once() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.run([0]);
    w.step("");
    w.update(|spec| spec.suspend = true);
    w.step("-0 Suspended(JobSuspended)");
    w.delete_pod(0);
    w.step("");
    w.end_stopped();
    w.step("~0");
    w.status("");
}
