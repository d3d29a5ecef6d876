//! When clients see a new status.

use super::{Spec, World};
use crate::model::Fact;

fn published(w: &World) -> usize {
    w.last_facts().iter().filter(|fact| matches!(fact, Fact::StatusPublished { .. })).count()
}

#[test]
fn a_status_is_published_at_most_each_100_ms() {
    let mut w = World::of(Spec::new(2, 100));
    w.step("+0 +1");
    assert_eq!(published(&w), 1);
    w.advance(1);
    w.exit(0, 0);
    w.step("S0 +2");
    assert_eq!(published(&w), 0);
    w.advance(98);
    w.exit(1, 0);
    w.step("S1 +3");
    assert_eq!(published(&w), 0);
    w.step_due_in(1, "");
    assert_eq!(published(&w), 1);
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn a_condition_is_published_at_once() {
    let mut w = World::of(Spec::new(1, 1).backoff_limit(0));
    w.step("+0");
    w.advance(1);
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) Failed(BackoffLimitExceeded)");
    assert_eq!(published(&w), 2);
    assert_eq!(w.due_in_ms(), None);
}

#[test]
fn what_changes_no_status_is_not_published() {
    let mut w = World::started(Spec::new(1, 1), "+0");
    w.update(|spec| spec.backoff_limit = 3);
    w.step("");
    assert_eq!(published(&w), 0);
    w.refuse(0, crate::model::Reason::ErrImagePull);
    w.step("W0(ErrImagePull)");
    assert_eq!(published(&w), 0);
}

#[test]
fn a_status_gets_the_version_of_its_publication() {
    let mut w = World::of(Spec::new(1, 1));
    w.step("+0");
    let before = w.record().rv;
    w.advance(100);
    w.run([0]);
    w.step("");
    assert_eq!(w.record().rv, before + 2, "the pod's start, then the status");
}
