//! Indexed Jobs whose `completions` change (kubernetes: elastic Indexed Jobs, `parseIndexesFromString`).
//!
//! What is known of indexes that are out of range is dropped: when `completions` rises again, they run again. Failures stay
//! counted.

use super::{held, indexes, success_policy};
use crate::base::JobId;
use crate::control::effects::Effects;
use crate::control::state::State;
use crate::model::Fact;

/// The Job's `completions` were `before`.
pub(in crate::control) fn resize(state: &mut State, id: JobId, before: Option<u32>, fx: &mut Effects) {
    let job = state.job(id);
    let (Some(before), Some(now)) = (before, job.spec.completions) else { return };
    if now == before || !job.spec.is_indexed() || job.spec.is_foreign || job.record.status.is_finished() {
        return;
    }
    if now < before {
        cut(state, id, now, fx);
    }
    success_policy::recount(state.job(id));
}

fn cut(state: &mut State, id: JobId, completions: u32, fx: &mut Effects) {
    let job = state.job(id);
    job.is_cut = true;
    let status = &job.record.status;
    let failed = status.failed_indexes.iter().flat_map(|failed| failed.iter_from(completions));
    let dropped: Vec<u32> = status.completed.iter_from(completions).chain(failed).collect();
    job.unpublished |= !dropped.is_empty();
    job.retry.extend(dropped);
    indexes::wake_from(job, completions);
    let held = job.record.per_index.iter().flat_map(|per_index| &per_index.held);
    let ordinals: Vec<u32> = held.filter(|(_, held)| held.index >= completions).map(|(ordinal, _)| *ordinal).collect();
    job.replaced.retain(|ordinal| !ordinals.contains(ordinal));
    state.record(fx, Fact::IndexesCut { job: id, completions });
    held::let_go(state, id, ordinals, 0, fx);
}
