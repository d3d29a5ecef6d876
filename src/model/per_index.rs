//! What a Job with a limit on the failures of each index remembers of them (kubernetes: `backoffLimitPerIndex`).
//!
//! Invariant: only indexes that failed and may run again, and pods whose failure is not counted yet, take any room.

use super::fact::Counted;
use crate::base::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The failures of one index, which its next pod carries as annotations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct IndexFailures {
    /// Those that count (kubernetes: `batch/v1 JobIndexFailureCountAnnotation`).
    pub counted: u32,
    /// Those that an `Ignore` rule matched (kubernetes: `JobIndexIgnoredFailureCountAnnotation`).
    pub ignored: u32,
}

impl IndexFailures {
    /// All of them.
    #[must_use]
    pub fn all(self) -> u32 {
        self.counted.saturating_add(self.ignored)
    }
}

/// An index that failed and may run again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FailedOnce {
    /// How often.
    pub failures: IndexFailures,
    /// The pod that failed last.
    pub ordinal: u32,
    /// When that ended.
    pub last: Time,
}

/// A pod that failed and is not counted before another pod has its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HeldPod {
    /// Its completion index.
    pub index: u32,
    /// It will count as failed.
    pub counts: bool,
}

/// A Job's failures by index.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct PerIndex {
    /// By index.
    pub failed_once: BTreeMap<u32, FailedOnce>,
    /// By ordinal.
    pub held: BTreeMap<u32, HeldPod>,
    /// How many of `held` will count as failed.
    pub held_failures: u32,
}

impl PerIndex {
    /// The failures that a pod of this index carries.
    #[must_use]
    pub fn failures(&self, index: u32) -> IndexFailures {
        self.failed_once.get(&index).map_or_else(IndexFailures::default, |failed| failed.failures)
    }

    /// Whether the pod is the last one of its index, so that its failures are not carried by another.
    #[must_use]
    pub fn is_last(&self, ordinal: u32, held: HeldPod) -> bool {
        self.failed_once.get(&held.index).is_some_and(|failed| failed.ordinal == ordinal)
    }

    /// What a pod counts for that ended, or was deleted, at that time.
    pub(super) fn count(&mut self, counted: Counted, index: u32, ordinal: u32, at: Time) {
        let counts = match counted {
            Counted::Succeeded | Counted::IndexFailed => {
                self.failed_once.remove(&index);
                return;
            }
            Counted::Held => true,
            Counted::HeldIgnored => false,
            Counted::Failed | Counted::Ignored | Counted::Dropped | Counted::Strayed => return,
        };
        let mut failures = self.failures(index);
        failures.counted += u32::from(counts);
        failures.ignored += u32::from(!counts);
        self.failed_once.insert(index, FailedOnce { failures, ordinal, last: at });
        self.held.insert(ordinal, HeldPod { index, counts });
        self.held_failures += u32::from(counts);
    }

    pub(super) fn release(&mut self, ordinals: &[u32]) {
        for ordinal in ordinals {
            let held = self.held.remove(ordinal).expect("only what is held is released");
            self.held_failures -= u32::from(held.counts);
        }
    }

    pub(super) fn forget(&mut self, indexes: impl Iterator<Item = u32>) {
        indexes.for_each(|index| _ = self.failed_once.remove(&index));
    }

    pub(super) fn cut(&mut self, completions: u32) {
        self.failed_once.split_off(&completions);
    }
}
