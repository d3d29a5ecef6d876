//! Vectors 59 to 67: pods that are terminating, and podReplacementPolicy. Without deletes by clients, a terminating pod is
//! one that lowered parallelism stopped.

use super::{Spec, World};
use crate::model::FailureAction::Ignore;

#[test]
fn v059_a_terminating_pod_holds_its_place() {
    let mut w = World::started(Spec::new(3, None).replace_failed(), "+0..2");
    w.run([0, 1, 2]);
    w.step("");
    w.exit(1, 1);
    w.update(|spec| spec.parallelism = 1);
    w.step("F1 -2");
    w.status("a1 r1 t1 f1");
    w.advance(20_000);
    w.update(|spec| spec.parallelism = 2);
    w.step("");
    w.status("a1 r1 t1 f1");
    w.end_stopped();
    w.step("~2 +3");
    w.status("a2 r1 f1");
}

#[test]
fn v060_with_terminating_or_failed_the_place_is_free_at_once() {
    let mut w = World::started(Spec::new(2, None), "+0 +1");
    w.run([0, 1]);
    w.step("");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w.update(|spec| spec.parallelism = 2);
    w.step("+2");
    w.status("a2 r1 t1");
}

#[test]
fn v061_stopped_pods_do_not_keep_others_from_being_stopped() {
    let mut w = World::started(Spec::new(6, None).replace_failed(), "+0..5");
    w.run(0..6);
    w.step("");
    w.update(|spec| spec.parallelism = 2);
    w.step("-2..5");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w.status("a1 r1 t5");
}

#[test]
fn v062_a_terminating_pod_holds_its_index() {
    let mut w = World::started(Spec::new(2, 5).indexed().replace_failed(), "+0:0 +1:1");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0 -1");
    w.exit(0, 143);
    w.step("~0");
    w.update(|spec| spec.parallelism = 2);
    w.step("+2:0");
    w.status("a1 t1");
    w.end_stopped();
    w.step("~1 +3:1");
    w.status("a2");
}

#[test]
fn v063_with_terminating_or_failed_the_index_is_free_at_once() {
    let mut w = World::started(Spec::new(2, 5).indexed(), "+0:0 +1:1");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w.update(|spec| spec.parallelism = 2);
    w.step("+2:1");
    w.status("a2 t1");
    w.end_stopped();
    w.step("~1");
    w.status("a2");
}

#[test]
fn v067_a_failure_policy_means_replacing_only_what_has_ended() {
    let mut w = World::started(Spec::new(2, 5).rule(Ignore, "In", &[9]), "+0 +1");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w.update(|spec| spec.parallelism = 2);
    w.step("");
    w.status("a1 t1");
    w.end_stopped();
    w.step("~1 +2");
}

#[test]
fn an_index_survives_a_change_to_failed_while_its_pod_is_terminating() {
    let mut w = World::started(Spec::new(1, 1).indexed(), "+0:0");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0");
    w.update(|spec| (spec.parallelism, spec.only_replace_failed) = (1, true));
    w.step("");
    w.end_stopped();
    w.step("~0 +1:0");
    w.exit(1, 0);
    w.step("S1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn an_index_survives_a_change_to_terminating_or_failed_while_its_pod_is_terminating() {
    let mut w = World::started(Spec::new(1, 1).indexed().replace_failed(), "+0:0");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0");
    w.update(|spec| (spec.parallelism, spec.only_replace_failed) = (1, false));
    w.step("");
    w.end_stopped();
    w.step("~0 +1:0");
}

#[test]
fn an_index_given_back_twice_runs_once() {
    let mut w = World::started(Spec::new(1, 2).indexed(), "+0:0");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0");
    w.update(|spec| spec.parallelism = 1);
    w.step("+1:0");
    w.update(|spec| spec.only_replace_failed = true);
    w.step("");
    w.end_stopped();
    w.step("~0");
    w.exit(1, 0);
    w.step("S1 +2:1");
}

/// A pod that no worker has is gone as soon as it is stopped, and its index with it.
#[test]
fn a_stopped_pod_that_never_ran_holds_no_index() {
    let mut w = World::started(Spec::new(1, 1).indexed().replace_failed(), "+0:0");
    w.refuse(0, crate::model::Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.update(|spec| spec.parallelism = 0);
    w.step("-0(gone)");
    w.update(|spec| spec.parallelism = 1);
    w.step("+1:0");
}
