//! Walking the pods of a list in steps, from any place.
//!
//! For readers that stop and go on: pages, and bodies that are made while they are read. Knows neither selectors nor
//! tokens. Invariant: a place is an offset into one list; walking from it gives what an unbroken walk would give from there.

use super::doc::JobDoc;
use super::objects::PodObject;
use super::pods::place_of;
use super::read::{PodList, place_of_job};
use crate::base::JobId;
use crate::model::{CHUNK_PODS, PodRecord};
use std::sync::Arc;

/// Where a walk is: before this ordinal of the list's `job`-th Job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct PodPlace {
    /// How many Jobs are behind it.
    pub job: usize,
    /// How many ordinals of this Job are.
    pub ordinal: u32,
}

impl PodList {
    /// The Job whose pods come next; `None` at the end.
    #[must_use]
    pub fn job(&self, place: PodPlace) -> Option<&Arc<JobDoc>> {
        Some(&self.jobs.get(place.job)?.0)
    }

    /// Whether clients may have changed the labels of pods of the Job that comes next.
    #[must_use]
    pub fn has_marks(&self, place: PodPlace) -> bool {
        self.jobs.get(place.job).is_some_and(|(_, pods)| pods.has_marks())
    }

    /// The next pod of the Job at `place`, which moves behind it. Without one, `place` moves to the next Job.
    pub fn next_of_job(&self, place: &mut PodPlace) -> Option<PodObject> {
        let (doc, pods) = self.jobs.get(place.job)?;
        loop {
            let (chunk, at) = place_of(place.ordinal);
            let Some(records) = pods.chunks.get(chunk).map(|chunk| &chunk.records) else { break };
            let rest = records.get(at..).unwrap_or_default();
            if let Some(gap) = rest.iter().position(|record| !record.has(PodRecord::REMOVED)) {
                place.ordinal += u32::try_from(gap).expect("a chunk is bounded") + 1;
                return Some(pods.chunks[chunk].object(at + gap, doc));
            }
            place.ordinal = (place.ordinal / CHUNK_PODS + 1) * CHUNK_PODS;
        }
        *place = PodPlace { job: place.job + 1, ordinal: 0 };
        None
    }

    /// The place behind the pod with this ordinal of this Job, whether they are there or not.
    #[must_use]
    pub fn place_behind(&self, namespace: &str, job: &str, id: JobId, ordinal: u32) -> PodPlace {
        let wanted = (namespace, job, id);
        let at = self.jobs.partition_point(|(doc, _)| place_of_job(&doc.key) < wanted);
        let is_it = self.jobs.get(at).is_some_and(|(doc, _)| place_of_job(&doc.key) == wanted);
        PodPlace { job: at, ordinal: if is_it { ordinal.saturating_add(1) } else { 0 } }
    }

    /// How many pods are behind `place`.
    #[must_use]
    pub fn count_from(&self, place: PodPlace) -> usize {
        let mut count = 0;
        for (nth, (_, pods)) in self.jobs.iter().enumerate().skip(place.job) {
            let (chunk, at) = if nth == place.job { place_of(place.ordinal) } else { (0, 0) };
            for (number, records) in pods.chunks.iter().map(|chunk| &chunk.records).enumerate().skip(chunk) {
                let rest = if number == chunk { records.get(at..).unwrap_or_default() } else { records };
                count += rest.iter().filter(|record| !record.has(PodRecord::REMOVED)).count();
            }
        }
        count
    }
}
