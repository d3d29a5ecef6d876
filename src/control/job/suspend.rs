//! Whether the Job is suspended, as its status shows it (kubernetes: syncJob, `ensureJobConditionStatus`).

use crate::base::JobId;
use crate::control::effects::Effects;
use crate::control::state::State;
use crate::model::{Condition, ConditionReason, ConditionType, EventNote, Fact};

/// Sets condition Suspended when it is not what `suspend` says. A Job that never was suspended has none. The fact clears
/// `startTime` on suspension and sets it anew on resumption.
pub(super) fn note(state: &mut State, id: JobId, fx: &mut Effects) {
    let at = state.now;
    let job = state.job(id);
    let (reason, message, note) = match (job.spec.suspend, job.record.status.is_suspended()) {
        (true, false) => (ConditionReason::JobSuspended, "Job suspended", EventNote::Suspended),
        (false, true) => (ConditionReason::JobResumed, "Job resumed", EventNote::Resumed),
        _ => return,
    };
    job.urgent = true;
    let condition = Condition { kind: ConditionType::Suspended, at, reason, message: message.into() };
    state.record(fx, Fact::ConditionSet { job: id, condition });
    state.note(fx, id, note);
}
