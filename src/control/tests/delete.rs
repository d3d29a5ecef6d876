//! A Job is deleted, with its pods and whatever else refers to it.

use super::{Spec, World};
use crate::base::Uid;
use crate::control::Capacity;
use crate::model::{Fact, Reason};

fn id_of(w: &World) -> u32 {
    w.id().0
}

/// Ends what is left on the workers of a Job that is gone; nothing may come of it.
#[track_caller]
fn end_unseen(w: &mut World) {
    assert!(!w.workers.stopping().is_empty(), "something is left to end");
    w.end_stopped();
    w.step("");
    assert!(w.workers.alive.is_empty() && w.last_facts().is_empty());
}

#[test]
fn guests_that_run_are_told_to_stop_and_their_late_reports_change_nothing() {
    let mut w = World::started(Spec::new(3, 5), "+0..2");
    w.run([0, 1]);
    w.step("");
    w.delete();
    w.step("-0..2 deleted");
    assert!(matches!(w.last_facts()[0], Fact::PodsStopping { ready: 2, counted_failed: false, .. }));
    w.run_of(0, [2]);
    w.step("");
    end_unseen(&mut w);
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn every_pod_that_ever_was_has_a_version_and_the_job_the_last() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.exits([0, 1], 0);
    w.step("S0 S1 +2 +3");
    let before = w.next_rv();
    w.delete();
    w.step("-2 -3 deleted");
    // Two that stop, four that go, the Job.
    assert_eq!(w.last_written(), [before + 2 + 4]);
    assert_eq!(w.next_rv(), before + 7);
}

#[test]
fn pods_that_stop_already_are_told_once() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.update(|spec| spec.parallelism = 1);
    w.step("-1");
    w.delete();
    w.step("-0 deleted");
    end_unseen(&mut w);
}

#[test]
fn pods_that_wait_for_a_worker_are_forgotten() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.create("a", Spec::new(3, 3));
    w.step("+0 +1(waits) +2(waits)");
    w.create("b", Spec::new(2, 2));
    w.step("b/+0(waits) b/+1(waits)");
    w.focus("a");
    w.delete();
    w.step("-0 deleted");
    w.end_stopped();
    w.step(">0");
    w.focus("b");
    w.exit(0, 0);
    w.step("S0 >1");
}

#[test]
fn a_pod_that_waits_for_its_next_try_is_forgotten_with_its_timer() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.refuse(0, Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    w.settle();
    w.delete();
    w.step("deleted");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_refusal_that_crosses_the_deletion_ends_the_pod() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    let id = w.id();
    w.delete();
    w.step("-0 deleted");
    w.workers.refuse(id, 0, Reason::ErrImagePull);
    w.step("");
    assert_eq!((w.due_in_ms(), w.last_facts().len()), (None, 0));
}

#[test]
fn an_exit_that_is_heard_of_after_the_deletion_is_not_seen() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.delete();
    w.exit(0, 0);
    w.step("-0 deleted");
    w.step("");
}

#[test]
fn an_exit_that_is_heard_of_just_before_the_deletion_is_seen() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 0);
    w.report_now();
    w.delete();
    w.step("S0 deleted");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn deadlines_back_off_and_unpublished_status_go_with_the_job() {
    let mut w = World::started(Spec::new(2, 3).deadline_s(60), "+0 +1");
    w.exit(0, 1);
    w.step("F0");
    assert!(w.due_in_ms().is_some());
    w.delete();
    w.step("-1 deleted");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_finished_job_goes_with_pods_that_are_long_forgotten_here() {
    let mut w = World::started(Spec::new(3, 3), "+0..2");
    w.exits([0, 1, 2], 0);
    w.step("S0..2 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.delete();
    w.step("deleted");
    let at = w.now;
    let job = crate::base::JobId(0);
    assert_eq!(w.last_facts(), [Fact::JobRemoved { job, at, ordinals: 3 }]);
}

#[test]
fn the_name_is_free_at_once_and_the_new_job_is_another_one() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.delete();
    w.create("pi", Spec::new(1, 1));
    w.step("-0 -1 deleted +0");
    assert_eq!(id_of(&w), 1);
    w.end_stopped();
    w.step("");
    w.status("a1");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn a_job_created_and_deleted_in_one_step_has_no_pods() {
    let mut w = World::of(Spec::new(1, 1));
    w.delete();
    w.step("deleted");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_deletion_that_means_another_job_is_refused() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    let uid = w.record().uid;
    w.delete_if("default", Some(Uid::v4(5)), None);
    w.step(&format!("!WrongUid {{ found: {uid:?} }}"));
    w.delete_if("nowhere", None, None);
    w.step("!NotFound");
    w.delete_if("default", Some(uid), None);
    w.delete_if("default", Some(uid), None);
    w.step("-0 deleted !NotFound");
}

#[test]
fn a_deletion_of_another_version_is_refused() {
    let mut w = World::started(Spec::new(1, 5), "+0");
    let read = w.record().rv;
    let changed = w.next_rv();
    w.update(|spec| spec.parallelism = 2);
    w.delete_if("default", None, Some(read));
    w.step(&format!("+1 !WrongVersion {{ found: {changed} }}"));
    // A version counts only for the Job that was meant.
    w.delete_if("default", Some(Uid::v4(5)), Some(read));
    let uid = w.record().uid;
    w.step(&format!("!WrongUid {{ found: {uid:?} }}"));
    let now = w.record().rv;
    w.delete_if("default", Some(uid), Some(now));
    w.step("-0 -1 deleted");
}

#[test]
fn a_change_of_a_deleted_job_is_refused() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.delete();
    w.update(|spec| spec.parallelism = 2);
    w.step("-0 deleted !NotFound");
}

#[test]
fn numbers_are_not_given_again_after_a_restart() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.create("next", Spec::new(1, 1));
    w.step("next/+0");
    w.delete();
    w.step("-0 deleted");
    w.crash();
    w.step(">0");
    w.create("next", Spec::new(1, 1));
    w.step("next/+0");
    assert_eq!(id_of(&w), 2);
}

#[test]
fn a_crash_before_the_deletion_is_durable_leaves_the_job() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.commit();
    w.delete();
    w.step("-0 deleted");
    w.crash_losing_undurable();
    w.step(">0");
    w.status("a1");
}

#[test]
fn a_crash_after_the_deletion_leaves_nothing() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.run([0]);
    w.step("");
    w.delete();
    w.step("-0 -1 deleted");
    w.crash();
    w.step("");
    assert_eq!(w.due_in_ms(), None);
}

/// Names that only a rival gave which is gone are free.
#[test]
fn a_deleted_rival_takes_no_names() {
    let mut w = World::empty();
    w.create("x", Spec::new(100, 100).indexed());
    w.try_step();
    w.delete();
    w.create("x-0", Spec::new(3, 3));
    w.try_step();
    assert_eq!(w.record().next_ordinal, 3);
    w.create("x", Spec::new(1, 1).indexed());
    w.step("x/+0:0");
}
