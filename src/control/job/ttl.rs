//! When a finished Job is deleted (kubernetes: ttlafterfinished_controller.go).

use crate::base::{JobId, Time};
use crate::control::effects::{Effects, Propagation};
use crate::control::state::{Job, State};
use crate::model::ConditionType;

/// Deletes the Job, as a client would with propagationPolicy Background, when it has been finished for long enough, or has
/// it looked at again when it will be. Clients' finalizers keep it as they do then. `ttlSecondsAfterFinished` may be set or changed after the end.
pub(super) fn expire(state: &mut State, id: JobId, fx: &mut Effects) {
    let Some(due) = due(state.job(id)) else { return };
    if due <= state.now {
        let deleted = state.delete(id, Propagation::Background, None, fx);
        debug_assert!(deleted.is_ok(), "the document of a Job with finalizers is known");
    } else {
        state.wake_at(due, id);
    }
}

fn due(job: &Job) -> Option<Time> {
    let seconds = job.spec.ttl_s?;
    let status = &job.record.status;
    let end = status.condition(ConditionType::Complete).or_else(|| status.condition(ConditionType::Failed))?;
    Some(end.at.plus_ms(u64::from(seconds) * 1000))
}
