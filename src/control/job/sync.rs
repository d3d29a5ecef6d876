//! The order of decisions for one Job. Keep it readable as a list: it is Kubernetes' (v1.36: job_controller.go, syncJob).

use super::{backoff, finish, manage, track};
use crate::base::JobId;
use crate::control::effects::Effects;
use crate::control::state::State;
use crate::model::Fact;

/// Looks at a Job after something happened to it: its spec, its pods or the time.
pub(in crate::control) fn sync(state: &mut State, id: JobId, fx: &mut Effects) {
    // What is left of an orphaned Job is what its pods have of it.
    if state.jobs.get(&id).is_none_or(|job| job.record.placement.orphaned) || state.end_deleted(id, fx) {
        return;
    }
    let job = state.job(id);
    if job.record.status.is_finished() {
        state.sched.forget_needs(id);
        state.job(id).retire();
        return track::publish(state, id, fx);
    }
    if job.record.status.start_time.is_none() {
        let at = state.now;
        state.record(fx, Fact::JobStarted { job: id, at });
    }
    backoff::remember(state, id, fx);
    match finish::decide(state, id) {
        Some(verdict) => {
            track::target(state, id, &verdict, fx);
            manage::stop_all(state, id, verdict.failed, fx);
        }
        None => {
            // A Job that is being deleted gets no more pods.
            if !state.job(id).spec.life.is_deleted {
                manage::manage(state, id, fx);
            }
            if let Some(verdict) = finish::complete(state.job(id)) {
                track::target(state, id, &verdict, fx);
            }
        }
    }
    track::finish_when_all_ended(state, id, fx);
    track::publish(state, id, fx);
}
