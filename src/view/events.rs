//! The Events that are kept.
//!
//! Knows no clock: an Event is old when a newer fact says so. Invariant: oldest first, never more than [`EVENTS_MAX`].

use super::doc::JobKey;
use super::objects::EventObject;
use crate::base::{JobId, Time};
use crate::model::Event;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How many Events are kept; one more drops the oldest.
pub const EVENTS_MAX: usize = 100_000;

/// How long an Event is kept, ms (kubernetes: kube-apiserver `--event-ttl`, one hour).
pub const EVENT_KEPT_MS: u64 = 3_600_000;

#[derive(Debug, Default)]
pub(super) struct EventLog {
    pub(super) kept: VecDeque<EventObject>,
    /// How many of them are about a Job: what is kept of a Job that is gone goes with the last one.
    by_job: BTreeMap<JobId, usize>,
}

impl EventLog {
    pub(super) fn push(&mut self, rv: u64, event: Event, job: Arc<JobKey>) -> EventObject {
        *self.by_job.entry(event.job).or_insert(0) += 1;
        let object = EventObject { rv, made_rv: rv, event: Arc::new(event), job };
        self.kept.push_back(object.clone());
        object
    }

    /// Takes the oldest Event if it must go at `now`.
    pub(super) fn pop_due(&mut self, now: Time) -> Option<EventObject> {
        let oldest = self.kept.front()?;
        if self.kept.len() <= EVENTS_MAX && now.since_ms(oldest.event.at) < EVENT_KEPT_MS {
            return None;
        }
        let due = self.kept.pop_front()?;
        let left = self.by_job.get_mut(&due.event.job).expect("every Event was counted");
        *left -= 1;
        if *left == 0 {
            self.by_job.remove(&due.event.job);
        }
        Some(due)
    }

    pub(super) fn has_any(&self, job: JobId) -> bool {
        self.by_job.contains_key(&job)
    }
}
