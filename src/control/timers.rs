//! What is due when.

use crate::base::{JobId, Time};
use std::collections::BTreeSet;

/// What a timer wakes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    /// Look at this Job again.
    Job(JobId),
    /// Try to start this pod again: its slot, its Job and its ordinal.
    Pod(u32, JobId, u32),
    /// Look whether there still is no room for those who wait.
    Room,
}

/// Deadlines in order. A Job has one at the most, its earliest: a look at a Job sets the next one.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Time, Due)>);

impl Timers {
    pub(super) fn set(&mut self, at: Time, due: Due) {
        self.0.insert((at, due));
    }

    pub(super) fn cancel(&mut self, at: Time, due: Due) {
        self.0.remove(&(at, due));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// The deadlines of Jobs.
    pub(super) fn of_jobs(&self) -> impl Iterator<Item = (JobId, Time)> + '_ {
        self.0.iter().filter_map(|(at, due)| if let Due::Job(id) = due { Some((*id, *at)) } else { None })
    }

    /// The deadlines of pods: slot, Job and ordinal.
    pub(super) fn of_pods(&self) -> impl Iterator<Item = (Time, (u32, JobId, u32))> + '_ {
        let pod = |(at, due): &(Time, Due)| match due {
            Due::Pod(slot, job, ordinal) => Some((*at, (*slot, *job, *ordinal))),
            Due::Job(_) | Due::Room => None,
        };
        self.0.iter().filter_map(pod)
    }

    /// Takes the first deadline that is not after `now`.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, due)| due)
    }
}
