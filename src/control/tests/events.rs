//! Events about a Job (section 12 of the contract).

use super::{Spec, World};
use crate::base::NO_INDEX;
use crate::control::EVENT_KEPT_MS;
use crate::control::kept::EXPIRE_EVERY_MS;
use crate::model::{ConditionReason, EventNote, Fact};

fn created(ordinal: u32) -> EventNote {
    EventNote::SuccessfulCreate { ordinal, index: NO_INDEX }
}

fn deleted(ordinal: u32) -> EventNote {
    EventNote::SuccessfulDelete { ordinal, index: NO_INDEX }
}

#[test]
fn a_job_that_completes() {
    let mut w = World::started(Spec::new(2, 2), "+0 +1");
    w.exits([0, 1], 0);
    w.step("S0 S1 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    assert_eq!(w.take_events(), [created(0), created(1), EventNote::Completed]);
}

#[test]
fn events_of_indexed_pods_know_the_index() {
    let mut w = World::of(Spec::new(1, 1).indexed());
    w.step("+0:0");
    assert_eq!(w.take_events(), [EventNote::SuccessfulCreate { ordinal: 0, index: 0 }]);
}

#[test]
fn a_failure_is_said_at_failed_not_at_failure_target() {
    let mut w = World::started(Spec::new(2, 2).backoff_limit(0), "+0 +1");
    w.take_events();
    w.exit(0, 1);
    w.step("F0 FailureTarget(BackoffLimitExceeded) -1");
    assert_eq!(w.take_events(), [deleted(1)]);
    w.end_stopped();
    w.step("~1 Failed(BackoffLimitExceeded)");
    let message = "Job has reached the specified backoff limit".into();
    assert_eq!(w.take_events(), [EventNote::JobFailed { reason: ConditionReason::BackoffLimitExceeded, message }]);
}

#[test]
fn pods_stopped_for_parallelism_are_said() {
    let mut w = World::started(Spec::new(3, 3), "+0..2");
    w.take_events();
    w.update(|spec| spec.parallelism = 1);
    w.step("-1 -2");
    assert_eq!(w.take_events(), [deleted(1), deleted(2)]);
}

/// Completions cannot be lowered by clients of a NonIndexed Job; kubernetes gets there by races.
#[test]
fn too_many_successes_are_said_before_completed() {
    let mut w = World::started(Spec::new(3, 3), "+0..2");
    w.take_events();
    w.exits(0..3, 0);
    w.update(|spec| spec.completions = Some(2));
    w.step("S0..2 SuccessCriteriaMet(CompletionsReached) Complete(CompletionsReached)");
    assert_eq!(w.take_events(), [EventNote::TooManySucceededPods, EventNote::Completed]);
}

#[test]
fn only_the_first_25_pods_are_said_but_the_end_always_is() {
    let mut w = World::of(Spec::new(100, 100));
    w.step("+0..99");
    assert_eq!(w.take_events(), (0..25).map(created).collect::<Vec<_>>());
    w.update(|spec| spec.parallelism = 50);
    w.step("-50..99");
    assert_eq!(w.take_events(), []);
    w.update(|spec| spec.active_deadline_s = Some(0));
    w.step("FailureTarget(DeadlineExceeded) -0..49");
    w.end_stopped();
    w.step("~0..99 Failed(DeadlineExceeded)");
    assert_eq!(w.take_events().len(), 1);
}

#[test]
fn after_a_pause_as_many_are_said_as_five_minutes_have_passed() {
    let mut w = World::of(Spec::new(100, 200));
    w.step("+0..99");
    w.take_events();
    w.advance(3 * 300_000);
    w.update(|spec| spec.parallelism = 110);
    w.step("+100..109");
    assert_eq!(w.take_events(), [created(100), created(101), created(102)]);
}

/// An hour and the minute in which Events go together.
const LATE_MS: u64 = EVENT_KEPT_MS + EXPIRE_EVERY_MS;

#[test]
fn events_go_after_an_hour_without_anything_else_happening() {
    let mut w = World::of(Spec::new(2, 2));
    w.step("+0 +1");
    w.settle();
    assert_eq!(w.due_in_ms(), None);
    assert_eq!(w.state.next_deadline(), Some(w.now.plus_ms(LATE_MS - 100)));
    w.advance(LATE_MS - 101);
    w.step("");
    assert_eq!(w.last_facts(), []);
    w.advance(1);
    let rv = w.next_rv();
    w.step("");
    assert_eq!((w.last_facts(), w.next_rv()), (&[Fact::EventsExpired { count: 2 }][..], rv + 2));
    assert_eq!(w.state.next_deadline(), None);
}

#[test]
fn events_go_after_a_restart_as_well() {
    let mut w = World::of(Spec::new(2, 2));
    w.step("+0 +1");
    w.advance(LATE_MS);
    w.crash();
    w.step(">0 >1");
    assert!(w.last_facts().contains(&Fact::EventsExpired { count: 2 }), "{:?}", w.last_facts());
}
