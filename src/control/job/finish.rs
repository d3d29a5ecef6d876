//! Is the Job over? The first question that says yes decides (kubernetes: syncJob, `finishedCondition`).

use super::{held, restarts, success_policy};
use crate::base::{JobId, Time};
use crate::control::state::{Job, State};
use crate::model::{Condition, ConditionReason, ConditionType, JobStatus};
use std::sync::Arc;

/// How a Job ends.
#[derive(Debug, PartialEq)]
pub(super) struct Verdict {
    /// It fails; else it completes.
    pub(super) failed: bool,
    pub(super) reason: ConditionReason,
    pub(super) message: Arc<str>,
}

impl Verdict {
    fn failure(reason: ConditionReason, message: &str) -> Self {
        Self { failed: true, reason, message: message.into() }
    }

    fn of(condition: &Condition) -> Self {
        Self {
            failed: condition.kind == ConditionType::FailureTarget,
            reason: condition.reason,
            message: Arc::clone(&condition.message),
        }
    }
}

/// Whether the Job must end, whatever its pods do from here on.
pub(super) fn decide(state: &mut State, id: JobId) -> Option<Verdict> {
    let now = state.now;
    let job = state.job(id);
    let deadline = deadline(job);
    let verdict = decided(&job.record.status)
        .or_else(|| fail_job_rule(job))
        .or_else(|| too_many_failures(job))
        .or_else(|| deadline.filter(|at| now >= *at).map(|_| deadline_passed()))
        .or_else(|| failed_indexes(job))
        .or_else(|| success_policy(job));
    if let (None, Some(at)) = (&verdict, deadline) {
        state.wake_at(at, id);
    }
    verdict
}

/// A condition of an earlier sync stands; nothing turns a success into a failure or back.
fn decided(status: &JobStatus) -> Option<Verdict> {
    let success = status.condition(ConditionType::SuccessCriteriaMet);
    success.or_else(|| status.condition(ConditionType::FailureTarget)).map(Verdict::of)
}

fn fail_job_rule(job: &Job) -> Option<Verdict> {
    let message = job.news.fail_job.as_deref()?;
    Some(Verdict::failure(ConditionReason::PodFailurePolicy, message))
}

/// Strictly more than the limit; those count too that are held.
fn too_many_failures(job: &Job) -> Option<Verdict> {
    let failed = job.record.status.failed.saturating_add(held::failures(job));
    (failed > job.spec.backoff_limit || restarts::too_many(job))
        .then(|| Verdict::failure(ConditionReason::BackoffLimitExceeded, "Job has reached the specified backoff limit"))
}

/// kubernetes: `maxFailedIndexes`, and what is left when every index has ended.
fn failed_indexes(job: &Job) -> Option<Verdict> {
    let status = &job.record.status;
    let failed = status.failed_indexes.as_ref().map(|failed| failed.len()).filter(|failed| *failed > 0)?;
    if job.spec.max_failed_indexes.is_some_and(|max| failed > max) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(Verdict::failure(ConditionReason::MaxFailedIndexesExceeded, message));
    }
    let is_over = job.spec.completions.is_some_and(|completions| failed + status.succeeded >= completions);
    is_over.then(|| Verdict::failure(ConditionReason::FailedIndexes, "Job has failed indexes"))
}

fn success_policy(job: &Job) -> Option<Verdict> {
    let rule = success_policy::first_match(job)?;
    let message = format!("Matched rules at index {rule}").into();
    Some(Verdict { failed: false, reason: ConditionReason::SuccessPolicy, message })
}

/// When `activeDeadlineSeconds` will have passed; never while the Job is suspended.
fn deadline(job: &Job) -> Option<Time> {
    let seconds = job.spec.active_deadline_s.filter(|_| !job.spec.suspend)?;
    Some(job.record.status.start_time?.plus_ms(seconds.saturating_mul(1000)))
}

fn deadline_passed() -> Verdict {
    Verdict::failure(ConditionReason::DeadlineExceeded, "Job was active longer than specified deadline")
}

/// Whether enough pods succeeded and none is left.
pub(super) fn complete(job: &Job) -> Option<Verdict> {
    let status = &job.record.status;
    let enough = match job.spec.completions {
        Some(completions) => status.succeeded >= completions,
        None => status.succeeded > 0,
    };
    (enough && status.active == 0).then(|| Verdict {
        failed: false,
        reason: ConditionReason::CompletionsReached,
        message: "Reached expected number of succeeded pods".into(),
    })
}
