//! Which completion indexes get the next pods (kubernetes: indexed_job_utils.go, firstPendingIndexes).
//!
//! Below `record.next_index` an index is completed, failed, held by a pod, in `Job::retry`, or in `Job::resting` while the
//! back-off of its own lasts.

use super::{failure_policy, held};
use crate::base::{NO_INDEX, Time};
use crate::control::live::Live;
use crate::control::state::Job;
use crate::model::{IndexRun, PodEnd};
use std::collections::{BTreeMap, BTreeSet};

/// Indexes that may not run before some time.
#[derive(Debug, Default)]
pub(in crate::control) struct Resting {
    by_index: BTreeMap<u32, Time>,
    by_time: BTreeSet<(Time, u32)>,
}

impl Resting {
    pub(in crate::control) fn insert(&mut self, index: u32, until: Time) {
        self.by_index.insert(index, until);
        self.by_time.insert((until, index));
    }

    fn remove(&mut self, index: u32) {
        if let Some(until) = self.by_index.remove(&index) {
            self.by_time.remove(&(until, index));
        }
    }

    /// When the first of them may run.
    pub(in crate::control) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(until, _)| *until)
    }

    pub(in crate::control) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_index.keys().copied()
    }

    pub(in crate::control) fn contains(&self, index: u32) -> bool {
        self.by_index.contains_key(&index)
    }
}

/// Takes what can run now of the `count` lowest indexes below the Job's completions that need a pod, at the most `max`, in
/// order. One that rests keeps its place among them.
pub(super) fn take_lowest(job: &mut Job, count: u32, max: u32, now: Time) -> Vec<u32> {
    wake_until(job, now);
    let completions = job.spec.completions.expect("an Indexed Job has completions");
    let mut taken = Vec::new();
    let (mut left, mut after) = (count, 0);
    while left > 0 && taken.len() < max as usize {
        let ready = job.retry.first().copied().filter(|index| *index < completions);
        let resting = job.resting.by_index.range(after..completions).next().map(|(index, _)| *index);
        match (ready, resting) {
            (Some(index), resting) if resting.is_none_or(|resting| index < resting) => {
                job.retry.remove(&index);
                taken.push(index);
            }
            (_, Some(index)) => after = index + 1,
            (_, None) => break,
        }
        left -= 1;
    }
    let room = max.saturating_sub(u32::try_from(taken.len()).expect("no more than max"));
    let next = job.record.next_index;
    let fresh = left.min(room).min(completions.saturating_sub(next));
    taken.extend(next..next + fresh);
    taken
}

/// Puts back what was taken and got no pod.
pub(super) fn put_back(job: &mut Job, indexes: &[u32]) {
    let next = job.record.next_index;
    job.retry.extend(indexes.iter().filter(|index| **index < next));
}

/// Consecutive indexes together.
pub(super) fn runs(indexes: &[u32]) -> Vec<IndexRun> {
    let mut runs: Vec<IndexRun> = Vec::new();
    for &index in indexes {
        match runs.last_mut() {
            Some(last) if last.first + last.count == index => last.count += 1,
            _ => runs.push(IndexRun { first: index, count: 1 }),
        }
    }
    runs
}

/// `pod` no longer keeps its index from other pods, and did not complete it.
pub(in crate::control) fn give_back(job: &mut Job, pod: &mut Live) {
    if std::mem::take(&mut pod.holds_index) && pod.index != NO_INDEX {
        job.retry.insert(pod.index);
    }
}

/// As [`give_back`], for after the back-off of the index.
pub(super) fn rest(job: &mut Job, pod: &mut Live, end: &PodEnd) {
    let until = end.finished().plus_ms(failure_policy::index_delay_ms(job, pod.index));
    if std::mem::take(&mut pod.holds_index) {
        job.resting.insert(pod.index, until);
    }
}

/// The back-off of some is over.
fn wake_until(job: &mut Job, now: Time) {
    while let Some((_, index)) = job.resting.by_time.first().copied().filter(|(until, _)| *until <= now) {
        job.resting.remove(index);
        job.retry.insert(index);
    }
}

/// What happened to the indexes from `first` on is forgotten.
pub(super) fn wake_from(job: &mut Job, first: u32) {
    let indexes: Vec<u32> = job.resting.by_index.range(first..).map(|(index, _)| *index).collect();
    for index in indexes {
        job.resting.remove(index);
        job.retry.insert(index);
    }
}

/// Works out anew which indexes below `next_index` need another pod: all but those completed, failed or in `held`.
pub(in crate::control) fn restore(job: &mut Job, held: &BTreeSet<u32>) {
    job.retry.clear();
    job.resting = Resting::default();
    let status = &job.record.status;
    let is_open =
        |index: &u32| !status.completed.contains(*index) && !status.has_failed(*index) && !held.contains(index);
    let open: Vec<u32> = (0..job.record.next_index).filter(is_open).collect();
    for index in open {
        match held::due(job, index) {
            Some(until) => job.resting.insert(index, until),
            None => _ = job.retry.insert(index),
        }
    }
}
