//! The Events that are kept.
//!
//! Knows no clock: facts say which go. Invariant: oldest first.

use super::doc::JobKey;
use super::objects::EventObject;
use crate::base::JobId;
use crate::model::Event;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

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

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<EventObject> {
        let oldest = self.kept.pop_front()?;
        let left = self.by_job.get_mut(&oldest.event.job).expect("every Event was counted");
        *left -= 1;
        if *left == 0 {
            self.by_job.remove(&oldest.event.job);
        }
        Some(oldest)
    }

    pub(super) fn has_any(&self, job: JobId) -> bool {
        self.by_job.contains_key(&job)
    }
}
