//! A Job is deleted and does not go at once: Foreground, Orphan, and finalizers of clients (vectors 56, 58, 129, 130).

use super::{Spec, World};
use crate::control::{Capacity, Propagation};
use crate::model::{FOREGROUND_FINALIZER, Fact, Life};

fn kept_by(finalizer: &str, spec: Spec) -> Spec {
    let mut spec = spec;
    spec.0.life = Life { finalizers: vec![finalizer.to_owned()], is_deleted: false };
    spec
}

#[test]
fn v58_in_the_foreground_the_job_goes_after_its_pods() {
    let mut w = World::started(Spec::new(2, 5), "+0 +1");
    w.exit(0, 0);
    w.run([1]);
    w.step("S0 +2");
    w.delete_with(Propagation::Foreground);
    w.step("x1 x2 rm-ended");
    w.status("t2 s1");
    assert!(w.spec().life.is_deleted && w.spec().life.has(FOREGROUND_FINALIZER));
    let ended: Vec<u32> = w.workers.stopping().into_iter().map(|(_, ordinal)| ordinal).collect();
    assert_eq!(ended, [1, 2]);
    w.exit(1, 143);
    w.step("~1");
    w.exit(2, 143);
    w.step("~2 deleted");
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_finished_job_goes_at_once_in_the_foreground_and_is_shown_once() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.delete_with(Propagation::Foreground);
    w.step("rm-ended deleted");
    assert!(matches!(w.last_facts()[0], Fact::JobChanged { .. }));
}

#[test]
fn pods_that_wait_are_gone_at_once_in_the_foreground() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.create("pi", Spec::new(3, 3));
    w.step("+0 +1(waits) +2(waits)");
    w.delete_with(Propagation::Foreground);
    w.step("x0 x1(gone) x2(gone) rm-ended");
    w.end_stopped();
    w.step("~0 deleted");
}

#[test]
fn a_second_deletion_changes_nothing_or_how_the_job_goes() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.delete_with(Propagation::Foreground);
    w.step("x0 rm-ended");
    w.delete_with(Propagation::Foreground);
    w.step("");
    w.delete_with(Propagation::Background);
    w.step("deleted");
    w.end_stopped();
    w.step("");
}

#[test]
fn a_crash_does_not_hold_up_a_job_that_is_being_deleted() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.delete_with(Propagation::Foreground);
    w.step("x0 rm-ended");
    w.crash();
    w.step("~0 deleted");
}

#[test]
fn v130_a_job_stays_until_a_client_removes_its_finalizer() {
    let mut w = World::started(kept_by("a.io/b", Spec::new(2, 2)), "+0 +1");
    w.delete_with(Propagation::Background);
    w.step("");
    assert!(w.spec().life.is_deleted);
    // Its pods run on, and no other comes.
    w.exit(0, 1);
    w.step("F0");
    w.advance(100_000);
    w.step("");
    w.status("a1 f1");
    w.crash();
    w.step(">1");
    w.update(|spec| spec.life.finalizers.clear());
    w.step("-1 deleted");
    w.end_stopped();
    w.step("");
}

#[test]
fn a_jobs_own_finalizer_outlives_its_pods_in_the_foreground() {
    let mut w = World::started(kept_by("a.io/b", Spec::new(1, 1)), "+0");
    w.delete_with(Propagation::Foreground);
    w.step("x0 rm-ended");
    w.end_stopped();
    w.step("~0");
    assert_eq!(w.spec().life.finalizers, ["a.io/b"]);
    w.update(|spec| spec.life.finalizers.clear());
    w.step("deleted");
}

#[test]
fn a_deletion_from_another_document_is_refused() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.update(|spec| spec.backoff_limit = 3);
    w.delete_with(Propagation::Orphan);
    w.step("!Conflict");
    w.delete_with(Propagation::Orphan);
    w.step("orphaned");
}

#[test]
fn orphaned_pods_run_on_and_end() {
    let mut w = World::started(Spec::new(2, 4), "+0 +1");
    w.run([0]);
    w.step("");
    w.delete_with(Propagation::Orphan);
    w.step("orphaned");
    assert!(w.workers.stopping().is_empty());
    w.exit(0, 0);
    w.run([1]);
    w.step("S0");
    w.exit(1, 1);
    w.step("F1");
    w.advance(1_000_000);
    w.step("");
    assert_eq!(w.due_in_ms(), None);
    w.delete_pod(0);
    w.step("rm0");
}

#[test]
fn an_orphaned_pod_is_deleted_while_it_runs() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.delete_with(Propagation::Orphan);
    w.step("orphaned");
    w.delete_pod(0);
    w.step("x0F");
    w.end_stopped();
    w.step("~0");
}

#[test]
fn the_name_of_an_orphaned_job_is_free_and_its_pods_names_are_not() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.delete_with(Propagation::Orphan);
    w.step("orphaned");
    w.create("pi", Spec::new(1, 1));
    w.step("pi/+0");
    w.crash();
    w.step("pi/>0 pi/>0");
}

#[test]
fn v056_a_suspended_job_that_is_being_deleted_stops_nothing_and_is_not_suspended() {
    let mut w = World::started(kept_by("a.io/b", Spec::new(2, 2)), "+0 +1");
    w.delete_with(Propagation::Background);
    w.step("");
    w.update(|spec| spec.suspend = true);
    w.step("");
    w.status("a2");
    w.conditions("");
    w.update(|spec| spec.life.finalizers.clear());
    w.step("-0 -1 deleted");
}

#[test]
fn v129_in_the_background_the_job_is_gone_at_once() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.delete_with(Propagation::Background);
    w.step("-0 -1 deleted");
}

#[test]
fn v130_the_time_after_its_end_does_not_delete_a_job_that_a_client_keeps() {
    let mut w = World::started(kept_by("a.io/b", Spec::new(1, 1).ttl_s(10)), "+0");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.step_due_in(10_000, "");
    assert!(w.spec().life.is_deleted);
    assert_eq!(w.due_in_ms(), Some(0));
    w.step("");
    assert_eq!(w.due_in_ms(), None);
    w.crash();
    w.step("");
    w.update(|spec| spec.life.finalizers.clear());
    w.step("deleted");
}

#[test]
fn somebody_elses_job_goes_as_ones_own() {
    let mut w = World::of(kept_by("a.io/b", Spec::new(1, 1).foreign()));
    w.step("");
    w.delete_with(Propagation::Foreground);
    w.step("");
    assert!(w.spec().life.is_deleted);
    w.update(|spec| spec.life.finalizers.clear());
    w.step("deleted");
}

#[test]
fn a_job_that_is_being_deleted_does_not_run_again() {
    let mut w = World::started(kept_by("a.io/b", Spec::new(2, 2).indexed().per_index(0)), "+0:0 +1:1");
    w.exit(0, 1);
    w.exit(1, 0);
    w.step("X0 S1 FailureTarget(FailedIndexes) Failed(FailedIndexes)");
    w.delete_with(Propagation::Background);
    w.step("");
    w.rerun(None);
    w.step("!Ending");
}
