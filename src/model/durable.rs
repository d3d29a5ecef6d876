//! What a store gives back at boot, and the compact state that replaces old batches.

use super::{Batch, DocWrite, Event, IndexFailures, JobRecord, JobStatus, PodMark, PodRecord, Restarts};
use crate::base::{JobId, UidKey};

/// What `store::Store::recover` found.
#[derive(Debug)]
pub struct Recovered {
    /// Key of the pods' uids, drawn when the store was made.
    pub uid_key: UidKey,
    /// This boot's number, 1 for the first; never given twice.
    pub boot: u32,
    /// A fresh random seed, drawn and kept at this boot.
    pub seed: u64,
    /// The last resourceVersion that is durable, 0 in a new store.
    pub last_rv: u64,
    /// Every resourceVersion that this boot gives must be at least this; higher than any that was ever shown.
    pub first_rv: u64,
    /// The number of the next Job: above that of every Job that was ever created, also of those that are gone.
    pub next_job: u32,
    /// Documents, head state, in order of (kind, namespace, name).
    pub docs: Vec<DocWrite>,
    /// Jobs as of the last fold, in order of id.
    pub jobs: Vec<JobRecord>,
    /// The status that clients saw, of the Jobs whose record was ahead of it at the last fold.
    pub shown: Vec<(JobId, JobStatus)>,
    /// Pods as of the last fold, in order of (job, number).
    pub chunks: Vec<Chunk>,
    /// Events as of the last fold, oldest first, with their resourceVersions.
    pub events: Vec<(u64, Event)>,
    /// Batches after the last fold, in order; `docs` is empty in each.
    pub batches: Vec<Batch>,
}

#[cfg(test)]
impl Recovered {
    /// A new store.
    pub(crate) fn empty() -> Self {
        Self {
            uid_key: UidKey(42),
            boot: 1,
            seed: 1,
            last_rv: 0,
            first_rv: 1,
            next_job: 0,
            docs: Vec::new(),
            jobs: Vec::new(),
            shown: Vec::new(),
            chunks: Vec::new(),
            events: Vec::new(),
            batches: Vec::new(),
        }
    }
}

/// How many pods a chunk covers: ordinals `number * CHUNK_PODS ..`.
pub const CHUNK_PODS: u32 = 4096;

/// Pods of a Job with neighbouring ordinals.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// The Job.
    pub job: JobId,
    /// Which of its chunks.
    pub number: u32,
    /// Records from the chunk's first ordinal on.
    pub records: Vec<PodRecord>,
    /// `state.*.message` of the pods that have one.
    pub messages: Vec<(u32, Box<str>)>,
    /// Earlier failures of their index, of the pods that carry any.
    pub failures: Vec<(u32, IndexFailures)>,
    /// What is kept of the pods whose container was started again.
    pub restarts: Vec<(u32, Restarts)>,
    /// Of the pods that were told to stop, or that clients changed.
    pub marks: Vec<(u32, PodMark)>,
}

/// A piece of the compact state that takes the place of batches. All pieces of one fold speak of the same moment.
#[derive(Debug, Default)]
pub struct Fold {
    /// The last resourceVersion that the state covers.
    pub last_rv: u64,
    /// More pieces follow: nothing of the fold counts before the one without this.
    pub goes_on: bool,
    /// The Jobs that are gone since the last fold: what earlier folds kept of them is deleted.
    pub removed: Vec<JobId>,
    /// The Jobs that changed since the last fold, and those gone that a kept event is about.
    pub jobs: Vec<JobRecord>,
    /// The status that clients see, of those of `jobs` whose record is ahead of it.
    pub shown: Vec<(JobId, JobStatus)>,
    /// The chunks that changed since the last fold.
    pub chunks: Vec<Chunk>,
    /// The events since the last fold that are kept, oldest first, with their resourceVersions.
    pub events: Vec<(u64, Event)>,
    /// In the last piece: events with a lower resourceVersion are kept no more.
    pub events_from: u64,
}
