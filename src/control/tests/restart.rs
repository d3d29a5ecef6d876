//! A crash, and what the next boot makes of it.

use super::{Spec, World};
use crate::model::{Fact, FailureAction::FailJob, Reason};

#[test]
fn pods_shown_running_are_lost_ignored_and_replaced_at_once() {
    let mut w = World::started(Spec::new(3, 5).backoff_limit(0), "+0..2");
    w.run([0, 1]);
    w.step("");
    w.advance(5000);
    w.crash();
    w.step("I0 I1 +3 +4 >2");
    w.status("a3");
    assert_eq!(w.record().backoff.failures, 0);
}

#[test]
fn pods_never_shown_running_start_again_as_the_same_pods() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.crash();
    w.step(">0 >1");
    w.status("a2");
    w.exits([0, 1], 0);
    w.step("S0 S1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn stopping_pods_are_gone_and_do_not_count() {
    let mut w = World::started(Spec::new(3, 5), "+0..2");
    w.run([0, 1]);
    w.step("");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1 -2");
    w.crash();
    w.step("I0 ~1 ~2 +3");
    w.status("a1");
}

#[test]
fn a_failure_that_was_decided_before_the_crash_is_finished_after_it() {
    let mut w = World::started(Spec::new(2, 2).rule(FailJob, "In", &[5]), "+0 +1");
    w.run([1]);
    w.exit(0, 5);
    w.step("F0 FailureTarget(PodFailurePolicy) -1");
    w.crash();
    w.step("~1 Failed(PodFailurePolicy)");
    w.status("f2");
}

#[test]
fn a_success_that_was_decided_before_the_crash_is_finished_after_it() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.exit(0, 0);
    w.update(|spec| spec.completions = Some(1));
    w.step("S0 -1 SuccessCriteriaMet(CompletionsReached)");
    w.crash();
    w.step("~1 Complete(CompletionsReached)");
}

#[test]
fn indexes_without_a_pod_come_back() {
    let mut w = World::started(Spec::new(4, 6).indexed(), "+0:0 +1:1 +2:2 +3:3");
    w.run([1]);
    w.exit(0, 0);
    w.exit_at(2, 1, crate::base::Time(w.now.0 - 1));
    w.update(|spec| spec.parallelism = 1);
    w.step("S0 F2 -3");
    w.status("a1 r1 t1 s1 f1 [0]");
    w.crash();
    w.step("I1 ~3 +4:1");
    w.update(|spec| spec.parallelism = 9);
    w.step("+5:2 +6:3 +7:4 +8:5");
}

#[test]
fn a_back_off_from_before_the_crash_is_served_to_its_end() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 1);
    w.step("F0");
    w.advance(4000);
    w.crash();
    w.step("");
    w.step_due_in(6000, "+1");
}

#[test]
fn the_deadline_counts_from_the_first_start() {
    let mut w = World::of(Spec::new(1, 1).deadline_s(10));
    w.step("+0");
    w.advance(4000);
    w.crash();
    w.step(">0");
    w.step_due_in(6000, "FailureTarget(DeadlineExceeded) -0");
}

#[test]
fn a_deadline_that_passed_while_the_engine_was_down() {
    let mut w = World::started(Spec::new(2, 2).deadline_s(10), "+0 +1");
    w.run([0]);
    w.step("");
    w.advance(60_000);
    w.crash();
    w.step("I0 FailureTarget(DeadlineExceeded) -1(gone) Failed(DeadlineExceeded)");
    w.status("f1");
}

#[test]
fn a_refused_pod_keeps_its_tries() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.advance(10_000);
    w.step(">0");
    w.crash();
    w.step(">0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ImagePullBackOff)");
    w.step_due_in(20_000, ">0");
}

#[test]
fn a_finished_job_stays_as_it_is() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    let record = w.record().clone();
    w.crash();
    w.step("");
    assert_eq!(*w.record(), record);
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn versions_ordinals_and_job_numbers_go_on() {
    let mut w = World::started(Spec::new(1, 5), "+0");
    w.exit(0, 0);
    w.step("S0 +1");
    let (id, rv) = (w.id(), w.record().rv);
    w.crash();
    w.step(">1");
    w.exit(1, 0);
    w.step("S1 +2");
    w.settle();
    assert!(w.record().rv > rv);
    w.create("next", Spec::new(1, 1));
    w.step("next/+0");
    assert!(w.id() > id);
}

#[test]
fn names_and_namespaces_are_known_after_a_crash() {
    let mut w = World::of(Spec::new(1, 5));
    w.namespace("team");
    w.step("+0");
    w.crash();
    w.step(">0");
    w.create("pi", Spec::new(1, 1));
    w.namespace("team");
    w.step("!AlreadyExists !AlreadyExists");
    w.update(|spec| spec.parallelism = 2);
    w.step("+1");
}

#[test]
fn what_was_not_durable_never_happened() {
    let mut w = World::started(Spec::new(2, 3), "+0 +1");
    w.commit();
    w.exit(0, 0);
    w.step("S0 +2");
    w.crash_losing_undurable();
    w.step(">0 >1");
    w.status("a2");
    w.exits([0, 1], 0);
    w.step("S0 S1 +2");
}

#[test]
fn the_clock_may_stand_earlier_after_a_crash() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.run([0]);
    w.exit(1, 1);
    w.step("F1");
    w.now = crate::base::Time(w.now.0 - 3_600_000);
    w.crash();
    w.step("I0");
    w.advance(2 * 3_600_000);
    w.step("+2 +3");
}

#[test]
fn what_follows_from_a_loss_that_counts_is_durable_with_it() {
    let mut w = World::started(Spec::new(1, 1).rule_on(FailJob, "DisruptionTarget"), "+0");
    w.run([0]);
    w.step("");
    w.crash();
    // The engine commits these before its first step, and may die in between.
    assert!(w.boot_facts().iter().any(|fact| matches!(fact, Fact::ConditionSet { .. })), "{:?}", w.boot_facts());
}
