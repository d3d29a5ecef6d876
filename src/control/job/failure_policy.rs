//! What an end means for the Job (kubernetes: pod_failure_policy.go, matchPodFailurePolicy; calculateFailedIndexes).

use super::{backoff, indexes, success_policy};
use crate::base::{NO_INDEX, Time};
use crate::control::live::Live;
use crate::control::state::Job;
use crate::model::{ConditionType, Counted, FailureAction, FailureRule, PodConditionPattern, PodEnd};
use std::sync::Arc;

/// What every pod that failed shows, in order; `DisruptionTarget` comes after these.
const FAILED_POD_CONDITIONS: [(&str, &str); 5] = [
    ("PodReadyToStartContainers", "False"),
    ("Initialized", "True"),
    ("Ready", "False"),
    ("ContainersReady", "False"),
    ("PodScheduled", "True"),
];

/// The condition of a pod that was lost or evicted.
const DISRUPTION_TARGET: (&str, &str) = ("DisruptionTarget", "True");

/// Decides how an end counts and keeps what the next sync must know of it.
pub(in crate::control) fn count_end(job: &mut Job, pod: &mut Live, end: &PodEnd) -> Counted {
    if job.is_stray(pod.ordinal) {
        return Counted::Strayed;
    }
    // What the controller stopped does not count; what a client deleted may count by its end.
    let is_dropped = pod.stopping && !pod.counts_by_end;
    if is_dropped || !job.index_counts(pod.index) {
        indexes::give_back(job, pod);
        return Counted::Dropped;
    }
    if end.exit_code == 0 {
        job.news.success = job.news.success.max(Some(end.finished()));
        success_policy::note_success(job, pod.index);
        return Counted::Succeeded;
    }
    let found = first_match(job, end);
    count_failed(job, pod, end, found)
}

/// A pod failed: what it counts for, and what becomes of its index.
fn count_failed(job: &mut Job, pod: &mut Live, end: &PodEnd, found: Option<Match>) -> Counted {
    let counted = count_failure(job, end, found);
    match counted {
        Counted::IndexFailed => pod.holds_index = false,
        Counted::Held | Counted::HeldIgnored => indexes::rest(job, pod, end),
        _ => indexes::give_back(job, pod),
    }
    counted
}

/// A client deletes a pod that has not ended: what it counts for at once. Of those that Kubernetes replaces only once they
/// have failed, the end counts (kubernetes: `isPodFailed`, `onlyReplaceFailedPods`).
pub(in crate::control) fn count_deletion(job: &mut Job, pod: &mut Live, now: Time) -> Counted {
    if job.is_stray(pod.ordinal) {
        return Counted::Strayed;
    }
    if !job.index_counts(pod.index) {
        indexes::give_back(job, pod);
        return Counted::Dropped;
    }
    if job.spec.only_replace_failed {
        pod.counts_by_end = true;
        return Counted::Dropped;
    }
    let end = pod.end(Counted::Dropped, now);
    count_failed(job, pod, &end, None)
}

/// A deleted pod ends that never ran: it failed, unless it counts already. Nothing of it has an exit code.
pub(in crate::control) fn count_unstarted(job: &mut Job, pod: &mut Live, end: &PodEnd) -> Counted {
    if job.is_stray(pod.ordinal) {
        return Counted::Strayed;
    }
    if !pod.counts_by_end || !job.index_counts(pod.index) {
        indexes::give_back(job, pod);
        return Counted::Dropped;
    }
    let found = match_by_condition(job, end);
    count_failed(job, pod, end, found)
}

/// A pod was lost with the engine: that counts only if a rule about the condition says so.
pub(in crate::control) fn count_lost(job: &mut Job, end: &PodEnd) -> Counted {
    match match_by_condition(job, end) {
        None | Some(Match { action: FailureAction::Ignore, .. }) => Counted::Ignored,
        found => count_failure(job, end, found),
    }
}

fn count_failure(job: &mut Job, end: &PodEnd, found: Option<Match>) -> Counted {
    job.news.failures.push(end.finished());
    let action = found.as_ref().map_or(FailureAction::Count, |found| found.action);
    if let Some(found) = found.filter(|found| found.action == FailureAction::FailJob)
        && job.news.fail_job.is_none()
    {
        job.news.fail_job = Some(fail_job_message(job, end, &found));
    }
    let counts = action != FailureAction::Ignore;
    let status = &job.record.status;
    let target = status.condition(ConditionType::FailureTarget);
    // Nothing carries on what fails of a Job that is about to end.
    let is_ending = target.or_else(|| status.condition(ConditionType::SuccessCriteriaMet)).is_some();
    let Some(limit) = job.spec.backoff_limit_per_index.filter(|_| !is_ending) else {
        return if counts { Counted::Failed } else { Counted::Ignored };
    };
    let is_last = counts && job.record.failures_of(end.index).counted >= limit;
    match (action, counts) {
        (FailureAction::FailIndex, _) => Counted::IndexFailed,
        _ if is_last => Counted::IndexFailed,
        (_, true) => Counted::Held,
        (_, false) => Counted::HeldIgnored,
    }
}

/// The first rule that matched.
struct Match {
    at: usize,
    action: FailureAction,
    by: By,
}

enum By {
    ExitCode,
    /// The condition's type.
    Condition(&'static str),
}

fn first_match(job: &Job, end: &PodEnd) -> Option<Match> {
    let container = job.spec.template.container.as_str();
    let matched = |(at, rule): (usize, &FailureRule)| {
        let by = if matches_exit_code(rule, end, container) {
            By::ExitCode
        } else {
            By::Condition(matching_condition(&rule.on_pod_conditions, end)?)
        };
        Some(Match { at, action: rule.action, by })
    };
    job.spec.failure_policy.iter().enumerate().find_map(matched)
}

/// As [`first_match`], of a pod that shows no exit code.
fn match_by_condition(job: &Job, end: &PodEnd) -> Option<Match> {
    first_match(job, end).filter(|found| matches!(found.by, By::Condition(_)))
}

fn matches_exit_code(rule: &FailureRule, end: &PodEnd, container: &str) -> bool {
    let codes = &rule.on_exit_codes;
    let named = codes.container.as_deref().is_none_or(|name| name == container);
    // A zero exit code never matches, not even NotIn.
    named && end.exit_code != 0 && codes.has(end.exit_code)
}

/// The first condition of the pod that a pattern is about.
fn matching_condition(patterns: &[PodConditionPattern], end: &PodEnd) -> Option<&'static str> {
    let conditions = FAILED_POD_CONDITIONS.into_iter().chain(end.disrupted.then_some(DISRUPTION_TARGET));
    let is_meant = |(kind, status): &(&str, &str)| {
        patterns.iter().any(|pattern| (pattern.kind.as_str(), pattern.status.as_str()) == (*kind, *status))
    };
    conditions.into_iter().find(is_meant).map(|(kind, _)| kind)
}

fn fail_job_message(job: &Job, end: &PodEnd, found: &Match) -> Arc<str> {
    let index = (end.index != NO_INDEX).then_some(end.index);
    let name = job.names.pod_name(&job.record.name, index, end.ordinal);
    let (namespace, rule) = (&job.record.namespace, found.at);
    match found.by {
        By::ExitCode => format!(
            "Container {} for pod {namespace}/{name} failed with exit code {} matching FailJob rule at index {rule}",
            job.spec.template.container, end.exit_code,
        ),
        By::Condition(kind) => {
            format!("Pod {namespace}/{name} has condition {kind} matching FailJob rule at index {rule}")
        }
    }
    .into()
}

/// The back-off of an index whose pod just ended, ms from its end (kubernetes: `getRemainingTimePerIndex`).
pub(super) fn index_delay_ms(job: &Job, index: u32) -> u64 {
    backoff::delay_ms(job.record.failures_of(index).all().saturating_add(1), job.spec.backoff_delays)
}
