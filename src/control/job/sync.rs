//! The order of decisions for one Job. Keep it readable as a list: it is Kubernetes' (v1.36: job_controller.go, syncJob).

use super::{backoff, finish, held, manage, suspend, track, ttl};
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
    if job.spec.is_foreign {
        return;
    }
    let is_finished = job.record.status.is_finished();
    // Whatever is still to come is asked for again.
    state.forget_wake(id);
    if is_finished {
        state.retire(id);
        track::publish(state, id, fx);
        return ttl::expire(state, id, fx);
    }
    begin(state, id, fx);
    backoff::remember(state, id, fx);
    held::release_replaced(state, id, fx);
    match finish::decide(state, id) {
        Some(verdict) => {
            track::target(state, id, &verdict, fx);
            manage::stop_all(state, id, verdict.failed, fx);
        }
        None => {
            // A Job that is being deleted gets no more pods, and is not suspended any more.
            let is_deleted = state.job(id).spec.life.is_deleted;
            if !is_deleted {
                manage::manage(state, id, fx);
            }
            match finish::complete(state.job(id)) {
                Some(verdict) => track::target(state, id, &verdict, fx),
                // Nor is one that completes.
                None if !is_deleted => suspend::note(state, id, fx),
                None => {}
            }
        }
    }
    track::finish_when_all_ended(state, id, fx);
    track::publish(state, id, fx);
    ttl::expire(state, id, fx);
}

/// What the first sync sets.
fn begin(state: &mut State, id: JobId, fx: &mut Effects) {
    let job = state.job(id);
    let starts = job.record.status.start_time.is_none() && !job.spec.suspend;
    if job.spec.backoff_limit_per_index.is_some() && job.record.per_index.is_none() {
        state.record(fx, Fact::IndexesLimited { job: id });
    }
    if starts {
        let at = state.now;
        state.record(fx, Fact::JobStarted { job: id, at });
    }
}
