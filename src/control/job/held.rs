//! Failed pods that are not counted yet (kubernetes: `getPodsWithDelayedDeletionPerIndex`).
//!
//! The last failed pod of an index keeps its finalizer, and so its annotations, until another pod of the index carries its
//! failures on, or the Job ends. It holds against `backoffLimit` all the same.

use super::backoff;
use crate::base::{JobId, Time};
use crate::control::effects::Effects;
use crate::control::state::{Job, State};
use crate::model::{Fact, IndexRun, JobRecord};
use std::collections::BTreeSet;

/// How many failures are not in `status.failed` yet.
pub(super) fn failures(job: &Job) -> u32 {
    job.record.per_index.as_ref().map_or(0, |per_index| per_index.held_failures)
}

/// Notes that new pods carry on the failures of these indexes; they are counted by the next sync.
pub(super) fn note_replaced(job: &mut Job, indexes: &[IndexRun]) -> bool {
    let Some(per_index) = job.record.per_index.as_ref().filter(|per_index| !per_index.held.is_empty()) else {
        return false;
    };
    let of_run = |run: &IndexRun| per_index.failed_once.range(run.first..run.first + run.count);
    let last = indexes.iter().flat_map(of_run).map(|(_, failed)| failed.ordinal);
    let before = job.replaced.len();
    job.replaced.extend(last.filter(|ordinal| per_index.held.contains_key(ordinal)));
    job.replaced.len() > before
}

/// Lets go of the pods whose failures another pod carries on.
pub(super) fn release_replaced(state: &mut State, id: JobId, fx: &mut Effects) {
    let ordinals = std::mem::take(&mut state.job(id).replaced);
    release(state, id, ordinals, fx);
}

/// Lets go of all: the Job is over.
pub(super) fn release_all(state: &mut State, id: JobId, fx: &mut Effects) {
    let job = state.job(id);
    job.replaced.clear();
    let ordinals = job.record.per_index.iter().flat_map(|per_index| per_index.held.keys().copied()).collect();
    release(state, id, ordinals, fx);
}

fn release(state: &mut State, id: JobId, ordinals: Vec<u32>, fx: &mut Effects) {
    let Some(per_index) = &state.job(id).record.per_index else { return };
    let failed = ordinals.iter().filter(|ordinal| per_index.held[*ordinal].counts).count();
    let failed = u32::try_from(failed).expect("no more than there are pods");
    let_go(state, id, ordinals, failed, fx);
}

/// Takes the finalizer from held pods, of which so many count; those that a client deleted go.
pub(super) fn let_go(state: &mut State, id: JobId, ordinals: Vec<u32>, failed: u32, fx: &mut Effects) {
    if ordinals.is_empty() {
        return;
    }
    let job = state.job(id);
    let deleted = ordinals.iter().copied().filter(|ordinal| job.doomed.contains(ordinal)).collect();
    state.record(fx, Fact::PodsReleased { job: id, ordinals, failed });
    state.part_with(id, deleted, fx);
}

/// After a restart: the held pods whose failures another pod carries on. `running` are the indexes of the pods that live.
pub(in crate::control) fn replaced(record: &JobRecord, running: &BTreeSet<u32>) -> Vec<u32> {
    let Some(per_index) = &record.per_index else { return Vec::new() };
    let is_carried = |(ordinal, held): &(&u32, &crate::model::HeldPod)| {
        running.contains(&held.index) || !per_index.is_last(**ordinal, **held)
    };
    per_index.held.iter().filter(is_carried).map(|(ordinal, _)| *ordinal).collect()
}

/// When the index may run again, if its last pod is held (kubernetes: `getRemainingTimePerIndex`).
pub(in crate::control) fn due(job: &Job, index: u32) -> Option<Time> {
    let per_index = job.record.per_index.as_ref()?;
    let failed = per_index.failed_once.get(&index).filter(|failed| per_index.held.contains_key(&failed.ordinal))?;
    Some(failed.last.plus_ms(backoff::delay_ms(failed.failures.all(), job.spec.backoff_delays)))
}
