//! What must hold after every step of every case.

use super::store::MemStore;
use crate::base::{JobId, Time};
use crate::control::{Effects, State};
use crate::model::{Condition, ConditionType, Event, EventNote, Fact, JobRecord, JobStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A status may be published this often.
const PUBLISH_EVERY_MS: u64 = 100;
/// Events about pods that always pass.
const EVENT_BURST: usize = 25;

/// Watches the facts of one life of the state.
#[derive(Default)]
pub(super) struct Verifier {
    next_rv: u64,
    records: BTreeMap<JobId, JobRecord>,
    shown: BTreeMap<JobId, (Time, Arc<JobStatus>)>,
    /// Jobs whose status changed since it was published.
    changed: BTreeSet<JobId>,
    pod_events_due: BTreeMap<JobId, usize>,
    /// Jobs that run again, and must be published at once.
    urgent: BTreeSet<JobId>,
}

impl Verifier {
    /// For a state that was restored from `store`; `next_rv` is above every version that was given before.
    pub(super) fn restored(store: &MemStore, next_rv: u64) -> Self {
        Self { next_rv, records: store.jobs.clone(), ..Self::default() }
    }

    /// Looks at one step.
    pub(super) fn step(&mut self, now: Time, fx: &Effects, state: &State) {
        if !fx.batch.is_empty() {
            assert_eq!(fx.batch.first_rv, self.next_rv, "versions follow one another");
            self.next_rv = fx.batch.next_rv();
        }
        let mut unpublished: BTreeMap<JobId, ConditionType> = BTreeMap::new();
        for (rv, fact) in fx.batch.numbered() {
            self.fact(now, rv, fact, &mut unpublished);
        }
        assert!(self.urgent.is_empty(), "a rerun is published in its step");
        assert!(unpublished.is_empty(), "conditions are published in their step: {unpublished:?}");
        self.events(fx);
        self.statuses_get_published(state);
        assert!(state.jobs().eq(self.records.values()), "replay gives another state");
        state.check();
    }

    fn fact(&mut self, now: Time, rv: u64, fact: &Fact, unpublished: &mut BTreeMap<JobId, ConditionType>) {
        if let Some(record) = JobRecord::created_by(fact, rv) {
            self.records.insert(record.id, record);
        }
        if let Fact::Recorded { event } = fact {
            assert!(self.records.contains_key(&event.job), "an Event about a Job that is gone");
        }
        let Some(id) = fact.job().filter(|_| !matches!(fact, Fact::JobCreated { .. } | Fact::Recorded { .. })) else {
            return;
        };
        let record = self.records.get_mut(&id).expect("a Job that was created");
        let before = record.status.clone();
        let was_finished = before.is_finished();
        record.apply(fact, rv);
        if record.status != before && !record.placement.orphaned {
            self.changed.insert(id);
        }
        match fact {
            Fact::ConditionSet { condition, .. } => {
                assert!(!was_finished, "a condition after the end");
                two_phases(&record.status, condition);
                let before = unpublished.insert(id, condition.kind);
                assert_eq!(before, None, "each condition has a version of its own");
            }
            Fact::StatusPublished { .. } => {
                let has_condition = unpublished.remove(&id).is_some() | self.urgent.remove(&id);
                let last = self.shown.insert(id, (now, record.status.clone()));
                let has_changed = self.changed.remove(&id);
                let Some((at, _)) = last else { return };
                assert!(has_changed, "a status is published that did not change");
                let is_early = now < at.plus_ms(PUBLISH_EVERY_MS);
                assert!(has_condition || !is_early, "a status is published too early");
            }
            Fact::JobRemoved { .. } => self.forget(id),
            Fact::IndexesRerun { goes_on, .. } => {
                assert_eq!(was_finished, *goes_on, "a rerun knows of the end");
                self.urgent.insert(id);
            }
            Fact::JobChanged { .. }
            | Fact::PodsRemoved { .. }
            | Fact::EndedPodsRemoved { .. }
            | Fact::PodChanged { .. } => {}
            Fact::JobOrphaned { .. } => {
                self.shown.remove(&id);
                self.changed.remove(&id);
            }
            // Pods that left a Job go on when it has ended.
            _ => assert!(
                !was_finished || (fact.pods() > 0 && record.status == before),
                "a finished Job changes: {fact:?}"
            ),
        }
    }

    fn forget(&mut self, id: JobId) {
        self.records.remove(&id);
        self.shown.remove(&id);
        self.changed.remove(&id);
        self.pod_events_due.remove(&id);
    }

    /// What clients do not see yet is due soon.
    fn statuses_get_published(&self, state: &State) {
        for (id, record) in &self.records {
            let Some((at, shown)) = self.shown.get(id) else { continue };
            if *shown != record.status {
                let due = state.next_deadline().expect("an unpublished status has a deadline");
                assert!(due <= at.plus_ms(PUBLISH_EVERY_MS), "job {}: published too late", id.0);
            }
        }
    }

    /// Events say what the facts say: all of it at the end of a Job and for its first pods, never anything else.
    fn events(&mut self, fx: &Effects) {
        let events = |id: JobId| {
            fx.batch.facts.iter().filter_map(move |fact| match fact {
                Fact::Recorded { event: Event { job, note, .. } } if *job == id => Some(note),
                _ => None,
            })
        };
        for id in self.records.keys().copied() {
            let facts = || fx.batch.facts.iter().filter(move |fact| fact.job() == Some(id));
            let created: Vec<u32> = facts().flat_map(created).collect();
            let stopped: Vec<u32> = facts().flat_map(stopped).collect();
            let due = self.pod_events_due.entry(id).or_default();
            *due += created.len() + stopped.len();
            let said_created = events(id).filter_map(|note| match note {
                EventNote::SuccessfulCreate { ordinal, .. } => Some(*ordinal),
                _ => None,
            });
            let said_stopped = events(id).filter_map(|note| match note {
                EventNote::SuccessfulDelete { ordinal, .. } => Some(*ordinal),
                _ => None,
            });
            said(&created, said_created.collect(), *due);
            said(&stopped, said_stopped.collect(), *due);
            let is_of_condition = |note: &&EventNote| {
                let is_end = matches!(note, EventNote::Completed | EventNote::JobFailed { .. });
                is_end || matches!(note, EventNote::Suspended | EventNote::Resumed)
            };
            let ends: Vec<&EventNote> = events(id).filter(is_of_condition).collect();
            let expected: Vec<EventNote> = facts().filter_map(end_event).collect();
            assert!(ends.into_iter().eq(expected.iter()), "the end of job {} and its Event differ", id.0);
        }
    }
}

fn said(facts: &[u32], events: Vec<u32>, due: usize) {
    if due <= EVENT_BURST {
        assert_eq!(events, facts, "an Event for each of the first pods");
    } else {
        assert!(events.iter().all(|ordinal| facts.contains(ordinal)), "an Event about nothing");
    }
}

fn created(fact: &Fact) -> Vec<u32> {
    match fact {
        Fact::PodsCreated { first, count, .. } => (*first..first + count).collect(),
        _ => Vec::new(),
    }
}

fn stopped(fact: &Fact) -> Vec<u32> {
    match fact {
        Fact::PodsStopping { ordinals, .. } => ordinals.clone(),
        _ => Vec::new(),
    }
}

fn end_event(fact: &Fact) -> Option<EventNote> {
    let Fact::ConditionSet { condition, .. } = fact else { return None };
    match condition.kind {
        ConditionType::Complete => Some(EventNote::Completed),
        ConditionType::Failed => {
            Some(EventNote::JobFailed { reason: condition.reason, message: condition.message.as_ref().into() })
        }
        ConditionType::Suspended if condition.is_true() => Some(EventNote::Suspended),
        ConditionType::Suspended => Some(EventNote::Resumed),
        _ => None,
    }
}

/// The second phase copies the first, and comes once no pod is left.
fn two_phases(status: &JobStatus, condition: &Condition) {
    let first = match condition.kind {
        ConditionType::Failed => ConditionType::FailureTarget,
        ConditionType::Complete => ConditionType::SuccessCriteriaMet,
        ConditionType::Suspended => {
            assert_eq!(status.start_time.is_none(), condition.is_true(), "startTime is that of the last resumption");
            return;
        }
        ConditionType::FailureTarget | ConditionType::SuccessCriteriaMet => {
            let verdicts = status.conditions.iter().filter(|condition| condition.kind != ConditionType::Suspended);
            assert_eq!(verdicts.count(), 1, "one verdict");
            return;
        }
    };
    let first = status.condition(first).expect("the first phase comes first");
    assert_eq!((first.reason, &first.message), (condition.reason, &condition.message), "the second phase copies");
    assert_eq!((status.active, status.terminating, status.ready), (0, 0, 0), "finished with pods");
}
