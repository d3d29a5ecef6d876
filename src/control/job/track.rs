//! Conditions in two phases, and the status that clients see (kubernetes: trackJobStatusAndRemoveFinalizers).

use super::finish::Verdict;
use super::held;
use crate::base::JobId;
use crate::control::effects::Effects;
use crate::control::state::State;
use crate::model::{Condition, ConditionType, EventNote, Fact, JobStatus};
use std::sync::Arc;

/// A status is published at the most this often, unless a condition changes.
const PUBLISH_EVERY_MS: u64 = 100;

/// First phase: says how the Job will end, once. No failure is held back any more.
pub(super) fn target(state: &mut State, id: JobId, verdict: &Verdict, fx: &mut Effects) {
    let kind = if verdict.failed { ConditionType::FailureTarget } else { ConditionType::SuccessCriteriaMet };
    if state.job(id).record.status.condition(kind).is_none() {
        let (reason, message, at) = (verdict.reason, Arc::clone(&verdict.message), state.now);
        state.record(fx, Fact::ConditionSet { job: id, condition: Condition { kind, at, reason, message } });
        state.job(id).urgent = true;
        held::release_all(state, id, fx);
    }
}

/// Second phase: once no pod is left, Failed or Complete. The first phase has a version of its own, before.
pub(super) fn finish_when_all_ended(state: &mut State, id: JobId, fx: &mut Effects) {
    let status = &state.job(id).record.status;
    let Some(target) = pending(status).cloned() else { return };
    if status.active > 0 || status.terminating > 0 {
        return;
    }
    if state.job(id).urgent {
        publish_now(state, id, fx);
    }
    let failed = target.kind == ConditionType::FailureTarget;
    let kind = if failed { ConditionType::Failed } else { ConditionType::Complete };
    let condition = Condition { kind, at: state.now, ..target };
    let (reason, message) = (condition.reason, condition.message.as_ref().into());
    state.record(fx, Fact::ConditionSet { job: id, condition });
    publish_now(state, id, fx);
    state.forget_wake(id);
    state.retire(id);
    if failed {
        return state.note(fx, id, EventNote::JobFailed { reason, message });
    }
    let job = state.job(id);
    if job.spec.completions.is_some_and(|completions| job.record.status.succeeded > completions) {
        state.note(fx, id, EventNote::TooManySucceededPods);
    }
    state.note(fx, id, EventNote::Completed);
}

/// The first phase's condition while the second is still to come.
fn pending(status: &JobStatus) -> Option<&Condition> {
    let success = status.condition(ConditionType::SuccessCriteriaMet);
    success.or_else(|| status.condition(ConditionType::FailureTarget)).filter(|_| !status.is_finished())
}

/// Publishes a changed status, at once if a condition is new or the last time is long enough ago, else when it will be.
pub(super) fn publish(state: &mut State, id: JobId, fx: &mut Effects) {
    let now = state.now;
    let job = state.job(id);
    if !job.unpublished {
        return;
    }
    let due = job.published.plus_ms(PUBLISH_EVERY_MS);
    if job.urgent || now >= due {
        publish_now(state, id, fx);
    } else {
        state.wake_at(due, id);
    }
}

fn publish_now(state: &mut State, id: JobId, fx: &mut Effects) {
    let now = state.now;
    let job = state.job(id);
    if std::mem::take(&mut job.unpublished) {
        job.published = now;
        job.urgent = false;
        state.record(fx, Fact::StatusPublished { job: id });
    }
}
