//! What is due when.

use crate::base::{JobId, Time};
use std::collections::BTreeSet;

/// What a timer wakes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Due {
    /// Look at this Job again.
    Job(JobId),
    /// Try to start this pod again: slot and ordinal.
    Pod(u32, u32),
}

/// Deadlines in order. One that is no longer wanted fires once for nothing.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Time, Due)>);

impl Timers {
    pub(super) fn set(&mut self, at: Time, due: Due) {
        self.0.insert((at, due));
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the first deadline that is not after `now`.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Due> {
        if self.next()? > now {
            return None;
        }
        self.0.pop_first().map(|(_, due)| due)
    }
}
