//! What clients write, and what is refused.

use super::{Spec, World};
use crate::base::Uid;
use crate::model::Kind;

#[test]
fn a_job_in_an_unknown_namespace_is_refused() {
    let mut w = World::empty();
    w.create_as("nowhere", "pi", Uid(1), Spec::new(1, 1));
    w.step("!NoNamespace");
    assert!(w.last_facts().is_empty());
}

#[test]
fn a_name_is_given_once_in_a_namespace() {
    let mut w = World::of(Spec::new(1, 1));
    w.step("+0");
    w.create("pi", Spec::new(5, 5));
    w.step("!AlreadyExists");
    w.status("a1");
}

#[test]
fn two_creations_of_one_name_in_one_step_make_one_job() {
    let mut w = World::of(Spec::new(1, 1));
    w.create("pi", Spec::new(1, 1));
    w.step("+0 !AlreadyExists");
}

#[test]
fn the_same_name_in_another_namespace_is_another_job() {
    let mut w = World::of(Spec::new(1, 1));
    w.namespace("team");
    w.create_as("team", "pi", Uid::v4(99), Spec::new(1, 1));
    w.step("pi/+0 pi/+0");
}

#[test]
fn a_namespace_is_created_once() {
    let mut w = World::empty();
    w.namespace("team");
    w.step("");
    w.namespace("team");
    w.step("!AlreadyExists");
}

#[test]
fn a_change_from_an_old_version_is_refused() {
    let mut w = World::of(Spec::new(1, 5));
    w.step("+0");
    let (old, _) = w.store.job_doc("default", "pi").expect("the Job");
    w.update(|spec| spec.parallelism = 2);
    w.step("+1");
    w.update_from(old, "default", Spec::new(5, 5).0);
    w.step("!Conflict");
    w.status("a2");
}

/// Status updates have versions of their own, so that they do not starve a client's change.
#[test]
fn a_status_update_is_no_conflict() {
    let mut w = World::started(Spec::new(1, 5), "+0");
    let (read, _) = w.store.job_doc("default", "pi").expect("the Job");
    w.exit(0, 0);
    w.step("S0 +1");
    assert!(w.record().rv > read);
    w.update_from(read, "default", Spec::new(2, 5).0);
    w.step("+2");
}

#[test]
fn two_changes_from_the_same_version_in_one_step() {
    let mut w = World::of(Spec::new(1, 5));
    w.step("+0");
    w.update(|spec| spec.parallelism = 2);
    w.update(|spec| spec.parallelism = 5);
    w.step("+1 !Conflict");
}

#[test]
fn a_change_of_what_is_not_there_is_refused() {
    let mut w = World::of(Spec::new(1, 1));
    w.step("+0");
    w.update_from(1, "nowhere", Spec::new(1, 1).0);
    w.focus("no-such-job");
    w.update_from(1, "default", Spec::new(1, 1).0);
    w.step("!NotFound !NotFound");
}

#[test]
fn a_reply_names_the_version_of_its_document() {
    let mut w = World::of(Spec::new(1, 5));
    w.step("+0");
    let (created, _) = w.store.job_doc("default", "pi").expect("the Job");
    assert_eq!(w.last_written(), [created]);
    w.update(|spec| spec.parallelism = 2);
    w.step("+1");
    let (changed, _) = w.store.job_doc("default", "pi").expect("the Job");
    assert_eq!(w.last_written(), [changed]);
    assert!(changed > created);
}

#[test]
fn a_namespace_is_changed_from_its_current_version() {
    let mut w = World::empty();
    w.namespace("team");
    w.step("");
    let made = w.store.doc_rv(Kind::Namespace, "team");
    w.update_namespace("team", made);
    w.update_namespace("team", made);
    w.step("!Conflict");
    let changed = w.store.doc_rv(Kind::Namespace, "team");
    assert_eq!(w.last_written(), [changed]);
    assert!(changed > made);
    w.update_namespace("nowhere", changed);
    w.step("!NotFound");
    w.crash();
    w.step("");
    w.update_namespace("team", made);
    w.update_namespace("team", changed);
    w.step("!Conflict");
}
