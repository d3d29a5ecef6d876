//! What the mirror does not show of pods, but a watcher that comes late has to know: when they were created, and those of
//! Jobs that are gone.
//!
//! Knows no watcher. Invariant: whatever happened above `evicted_rv` is still known.

use super::doc::JobDoc;
use super::pods::Pods;
use crate::base::JobId;
use crate::model::PodRecord;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How many creations of pods are remembered, of up to 4096 pods each: 3 MiB. A watcher that is further behind gets
/// [`super::Expired`].
pub(super) const BIRTHS_MAX: usize = 1 << 17;

/// How much pods of deleted Jobs may take together, bytes: about 250,000 pods. A watcher that has not heard of a deletion
/// that is no longer known gets [`super::Expired`].
pub(super) const GRAVES_BYTES_MAX: usize = 16 << 20;

/// About what a grave takes beside its records and its document, bytes.
const GRAVE_BYTES: usize = 512;

/// Pods with neighbouring ordinals and versions that were created together.
#[derive(Clone, Copy, Debug)]
struct Birth {
    rv: u64,
    job: JobId,
    first: u32,
    count: u32,
}

impl Birth {
    fn last_rv(&self) -> u64 {
        self.rv + u64::from(self.count) - 1
    }
}

/// The recent creations of pods, oldest first.
#[derive(Debug)]
pub(super) struct Births {
    recent: VecDeque<Birth>,
    max: usize,
    evicted_rv: u64,
}

impl Births {
    /// Nothing was created above `rv`.
    pub(super) fn new(rv: u64, max: usize) -> Self {
        Self { recent: VecDeque::new(), max, evicted_rv: rv }
    }

    pub(super) fn push(&mut self, rv: u64, job: JobId, first: u32, count: u32) {
        if count == 0 {
            return;
        }
        self.recent.push_back(Birth { rv, job, first, count });
        if self.recent.len() > self.max {
            self.evicted_rv = self.recent.pop_front().map_or(rv, |oldest| oldest.last_rv());
        }
    }

    /// The lowest version from which nothing is missing.
    pub(super) fn evicted_rv(&self) -> u64 {
        self.evicted_rv
    }

    /// The Jobs that got pods above `rv`, each time with the first ordinal; the first time of a Job has the lowest one.
    pub(super) fn after(&self, rv: u64) -> impl Iterator<Item = (JobId, u32)> {
        let at = self.recent.partition_point(|birth| birth.last_rv() <= rv);
        self.recent.range(at..).map(move |birth| {
            let known = (rv + 1).saturating_sub(birth.rv);
            (
                birth.job,
                birth.first + u32::try_from(known).expect("a creation that ends above `rv` is cut within itself"),
            )
        })
    }
}

/// A Job that is gone, with the pods that it had.
#[derive(Debug)]
pub(super) struct Grave {
    pub(super) doc: Arc<JobDoc>,
    pub(super) pods: Pods,
    /// The version at which the pod with ordinal 0 went; each went at that of its ordinal.
    pub(super) first_rv: u64,
    last_rv: u64,
    bytes: usize,
}

impl Grave {
    /// At which version a pod went.
    pub(super) fn rv(&self, record: &PodRecord) -> u64 {
        if record.has(PodRecord::REMOVED) { record.rv } else { self.first_rv + u64::from(record.ordinal) }
    }
}

/// The Jobs that went last.
#[derive(Debug)]
pub(super) struct Graves {
    by_job: BTreeMap<JobId, Grave>,
    order: VecDeque<JobId>,
    bytes: usize,
    bytes_max: usize,
    evicted_rv: u64,
}

impl Graves {
    /// Nothing went above `rv`.
    pub(super) fn new(rv: u64, bytes_max: usize) -> Self {
        Self { by_job: BTreeMap::new(), order: VecDeque::new(), bytes: 0, bytes_max, evicted_rv: rv }
    }

    /// A Job went whose pods went from `first_rv` on; one without pods leaves nothing.
    pub(super) fn push(&mut self, doc: Arc<JobDoc>, pods: Pods, first_rv: u64) {
        let Some(last) = pods.next_ordinal().checked_sub(1) else { return };
        let records: usize = pods.chunks.iter().map(|chunk| chunk.records.capacity()).sum();
        let bytes = GRAVE_BYTES + records * size_of::<PodRecord>() + doc.bytes();
        let job = doc.key.id;
        self.bytes += bytes;
        self.order.push_back(job);
        self.by_job.insert(job, Grave { doc, pods, first_rv, last_rv: first_rv + u64::from(last), bytes });
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.order.pop_front().and_then(|job| self.by_job.remove(&job)) else { break };
            self.bytes -= oldest.bytes;
            self.evicted_rv = oldest.last_rv;
        }
    }

    /// The lowest version from which nothing is missing.
    pub(super) fn evicted_rv(&self) -> u64 {
        self.evicted_rv
    }

    pub(super) fn get(&self, job: JobId) -> Option<&Grave> {
        self.by_job.get(&job)
    }

    /// The first from this number on.
    pub(super) fn from(&self, job: JobId) -> Option<(JobId, &Grave)> {
        self.by_job.range(job..).next().map(|(job, grave)| (*job, grave))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_creation_is_cut_at_the_version_that_is_known() {
        let mut births = Births::new(9, 2);
        births.push(10, JobId(1), 0, 4);
        births.push(14, JobId(2), 0, 0);
        births.push(20, JobId(1), 4, 2);
        let after = |births: &Births, rv| births.after(rv).collect::<Vec<_>>();
        assert_eq!(after(&births, 9), [(JobId(1), 0), (JobId(1), 4)]);
        assert_eq!(after(&births, 10), [(JobId(1), 1), (JobId(1), 4)]);
        assert_eq!(after(&births, 12), [(JobId(1), 3), (JobId(1), 4)]);
        assert_eq!(after(&births, 13), [(JobId(1), 4)]);
        assert_eq!(after(&births, 21), []);
        assert_eq!(births.evicted_rv(), 9);
        births.push(30, JobId(3), 0, 1);
        assert_eq!((births.evicted_rv(), births.recent.len()), (13, 2));
    }
}
