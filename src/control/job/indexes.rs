//! Which completion indexes get the next pods (kubernetes: indexed_job_utils.go, firstPendingIndexes).

use crate::base::NO_INDEX;
use crate::control::live::Live;
use crate::control::state::Job;
use crate::model::{IndexRun, JobRecord};
use std::collections::BTreeSet;

/// Takes the `count` lowest indexes below the Job's completions that are neither completed nor held by a pod, as runs.
pub(super) fn take_lowest(job: &mut Job, count: u32) -> Vec<IndexRun> {
    let completions = job.spec.completions.expect("an Indexed Job has completions");
    let mut runs = Vec::new();
    let mut left = count;
    while left > 0
        && let Some(index) = job.retry.first().copied().filter(|index| *index < completions)
    {
        job.retry.remove(&index);
        push(&mut runs, index, 1);
        left -= 1;
    }
    let fresh = left.min(completions.saturating_sub(job.record.next_index));
    if fresh > 0 {
        push(&mut runs, job.record.next_index, fresh);
    }
    runs
}

/// `pod` no longer keeps its index from other pods, and did not complete it.
pub(in crate::control) fn give_back(job: &mut Job, pod: &mut Live) {
    if std::mem::take(&mut pod.holds_index) && pod.index != NO_INDEX {
        job.retry.insert(pod.index);
    }
}

fn push(runs: &mut Vec<IndexRun>, first: u32, count: u32) {
    match runs.last_mut() {
        Some(last) if last.first + last.count == first => last.count += count,
        _ => runs.push(IndexRun { first, count }),
    }
}

/// The indexes below `next_index` that need another pod, after a restart: those neither completed nor in `held`.
pub(in crate::control) fn indexes_to_retry(record: &JobRecord, held: &BTreeSet<u32>) -> BTreeSet<u32> {
    let done = &record.status.completed;
    (0..record.next_index).filter(|index| !done.contains(*index) && !held.contains(index)).collect()
}
