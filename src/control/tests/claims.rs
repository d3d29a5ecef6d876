//! A Job has the pods that it selects and nobody else owns (vectors 124 and 125).

use super::{Spec, World};
use crate::control::{Capacity, NewMeta, PodChange, Propagation};
use crate::model::{OwnerReference, PodMeta, Selector};

/// A Job whose pods have the label `app=a`, which it selects.
pub(super) fn selecting(spec: Spec) -> Spec {
    let mut spec = spec;
    spec.0.selector = Selector { match_labels: labels(&[("app", "a")]), ..Selector::default() };
    spec
}

fn labels(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// What the template says of the Job's pods.
fn template(w: &World) -> PodMeta {
    let owner = OwnerReference {
        api_version: "batch/v1".to_owned(),
        kind: "Job".to_owned(),
        name: w.record().name.to_string(),
        uid: w.record().uid.to_string(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    PodMeta { labels: labels(&[("app", "a")]), owner_references: vec![owner], ..PodMeta::default() }
}

/// A client changes a pod's metadata, from what it is.
pub(super) fn change(w: &mut World, ordinal: u32, change: impl FnOnce(&mut PodMeta)) {
    let default = template(w);
    let base = w.store.meta(w.id(), ordinal);
    let mut meta = base.as_deref().map_or_else(|| default.clone(), PodMeta::read);
    change(&mut meta);
    let new = NewMeta { base, meta: meta.write(), default: default.write() };
    w.change_pod(ordinal, None, PodChange::Meta(new));
}

fn meta(w: &World, ordinal: u32) -> Option<PodMeta> {
    w.store.meta(w.id(), ordinal).map(|meta| PodMeta::read(&meta))
}

#[test]
fn v124_a_pod_that_lost_its_owner_is_adopted_again() {
    let mut w = World::started(selecting(Spec::new(1, 1)), "+0");
    w.run([0]);
    w.step("");
    change(&mut w, 0, |meta| meta.owner_references.clear());
    w.step("m0 m0");
    w.status("a1 r1");
    assert_eq!(meta(&w, 0), None, "as the template says");
    w.exit(0, 0);
    w.step("S0 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn v125_a_pod_that_lost_its_labels_is_let_go_and_replaced() {
    let mut w = World::started(selecting(Spec::new(1, 1)), "+0");
    w.run([0]);
    w.step("");
    change(&mut w, 0, |meta| meta.labels.clear());
    w.step("m0 m0(left) +1");
    w.status("a1");
    assert_eq!(meta(&w, 0), Some(PodMeta::default()));
    // Its end counts for nobody, and it stays.
    w.exit(0, 1);
    w.step("stray 0");
    w.status("a1");
    w.exit(1, 0);
    w.step("S1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    w.status("s1");
}

#[test]
fn the_index_of_a_pod_that_was_let_go_is_given_again() {
    let mut w = World::started(selecting(Spec::new(2, 2).indexed()), "+0:0 +1:1");
    change(&mut w, 1, |meta| meta.labels.clear());
    w.step("m1 m1(left) +2:1");
    // While another pod has it, it does not come back.
    change(&mut w, 1, |meta| meta.labels = labels(&[("app", "a")]));
    w.step("m1");
    w.exits([0, 1, 2], 0);
    w.step("S0 stray 1 S2 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
}

#[test]
fn a_pod_that_is_selected_again_is_adopted_and_one_too_many_goes() {
    let mut w = World::started(selecting(Spec::new(1, 1)), "+0");
    change(&mut w, 0, |meta| meta.labels.clear());
    w.step("m0 m0(left) +1");
    change(&mut w, 0, |meta| meta.labels = labels(&[("app", "a")]));
    w.step("m0 m0(joined) -1");
    w.status("a1 t1");
    assert_eq!(meta(&w, 0), None);
}

#[test]
fn a_pod_that_somebody_else_owns_is_not_adopted() {
    let mut w = World::started(selecting(Spec::new(1, 1)), "+0");
    change(&mut w, 0, |meta| meta.owner_references[0].uid = "another".to_owned());
    w.step("m0 m0(left) +1");
    w.status("a1");
}

#[test]
fn changes_of_what_selects_nothing_change_nothing_else() {
    let mut w = World::started(selecting(Spec::new(1, 1)), "+0");
    change(&mut w, 0, |meta| meta.annotations = labels(&[("a", "b")]));
    w.step("m0");
    w.crash();
    w.step(">0");
    let stale = NewMeta { base: None, meta: "{}".into(), default: "{}".into() };
    w.change_pod(0, None, PodChange::Meta(stale));
    w.step("!Conflict");
    change(&mut w, 0, |meta| meta.annotations.clear());
    w.step("m0");
    assert_eq!(meta(&w, 0), None);
}

#[test]
fn a_pod_with_a_finalizer_stays_until_it_is_removed() {
    let mut w = World::started(selecting(Spec::new(2, 2)), "+0 +1");
    change(&mut w, 0, |meta| meta.finalizers.push("a.io/b".to_owned()));
    w.delete_pod(0);
    w.step("m0 x0F");
    w.end_stopped();
    w.step("D0");
    change(&mut w, 0, |meta| meta.finalizers.clear());
    w.step("m0 rm0");
    change(&mut w, 1, |meta| meta.finalizers.push("a.io/b".to_owned()));
    w.exit(1, 0);
    w.step("m1 S1 +2");
    w.delete_pod(1);
    w.step("x1");
    change(&mut w, 1, |meta| meta.finalizers.clear());
    w.step("m1 rm1");
}

#[test]
fn a_pod_that_was_let_go_is_deleted_alone_and_outlives_its_job() {
    let mut w = World::started(selecting(Spec::new(2, 2)), "+0 +1");
    change(&mut w, 0, |meta| meta.labels.clear());
    w.step("m0 m0(left) +2");
    w.delete_with(Propagation::Background);
    w.step("x1 x2 rm-ended orphaned");
    w.end_stopped();
    w.step("~1 ~2");
    w.delete_pod(0);
    w.step("x0");
    w.status("");
    w.end_stopped();
    w.step("stray 0");
}

#[test]
fn restarts_of_a_pod_that_was_let_go_do_not_count() {
    let mut w = World::started(selecting(Spec::new(1, 1).on_failure().backoff_limit(2)), "+0");
    w.exit(0, 1);
    w.step("C0 R0 >0");
    change(&mut w, 0, |meta| meta.labels.clear());
    w.step("m0 m0(left) +1");
    w.exit(0, 1);
    w.step("C0");
    w.run([1]);
    w.step("");
    w.status("a1 r1");
    w.settle();
    w.step_due_in(9900, "R0 >0");
    w.run([0]);
    w.step("");
    w.status("a1 r1");
    w.crash();
    w.step("stray 0 I1 +2");
    w.status("a1");
}

#[test]
fn a_pod_that_was_let_go_runs_on_after_the_job_has_finished() {
    let mut w = World::with_capacity(Capacity { workers: 1, queue_max: 1, alive_max: 1 });
    w.create("pi", selecting(Spec::new(1, 1)));
    w.step("+0");
    w.create("other", selecting(Spec::new(2, 2)));
    w.step("other/+0(waits) other/+1(waits)");
    change(&mut w, 0, |meta| meta.labels.clear());
    w.step("other/m0 other/m0(left) other/+2(waits)");
    w.update(|spec| spec.active_deadline_s = Some(0));
    w.step("other/FailureTarget(DeadlineExceeded) other/-1(gone) other/-2(gone) other/Failed(DeadlineExceeded)");
    w.focus("pi");
    w.exit(0, 0);
    w.step("pi/S0 pi/SuccessCriteriaMet(CompletionsReached) pi/Complete(CompletionsReached) other/>0");
    w.focus("other");
    w.exit(0, 0);
    w.step("other/stray 0");
}
