//! What an exit means for the Job (kubernetes: pod_failure_policy.go, matchPodFailurePolicy).

use super::indexes;
use crate::base::NO_INDEX;
use crate::control::live::Live;
use crate::control::state::Job;
use crate::model::{Counted, Exit, FailureAction, FailureRule};
use std::sync::Arc;

/// Decides how an exit counts and keeps what the next sync must know of it.
pub(in crate::control) fn count_exit(job: &mut Job, pod: &mut Live, exit: &Exit) -> Counted {
    // What the controller stopped does not count; what a client deleted may count by its end.
    let is_dropped = pod.stopping && !job.deleted.remove(&pod.ordinal);
    if is_dropped || !job.index_counts(pod.index) {
        indexes::give_back(job, pod);
        return Counted::Dropped;
    }
    if exit.exit_code == 0 {
        job.news.success = job.news.success.max(Some(exit.finished));
        return Counted::Succeeded;
    }
    job.news.failures.push(exit.finished);
    indexes::give_back(job, pod);
    match first_match(job, exit) {
        Some((_, FailureAction::Ignore)) => Counted::Ignored,
        Some((rule, FailureAction::FailJob)) => {
            if job.news.fail_job.is_none() {
                job.news.fail_job = Some(fail_job_message(job, pod, exit, rule));
            }
            Counted::Failed
        }
        Some((_, FailureAction::Count)) | None => Counted::Failed,
    }
}

/// The first rule that matches, with its position.
fn first_match(job: &Job, exit: &Exit) -> Option<(usize, FailureAction)> {
    let container = job.spec.template.container.as_str();
    let matches = |rule: &FailureRule| {
        let codes = &rule.on_exit_codes;
        let named = codes.container.as_deref().is_none_or(|name| name == container);
        // A zero exit code never matches, not even NotIn.
        named && exit.exit_code != 0 && codes.values.contains(&i32::from(exit.exit_code)) == codes.is_in
    };
    let (at, rule) = job.spec.failure_policy.iter().enumerate().find(|(_, rule)| matches(rule))?;
    Some((at, rule.action))
}

fn fail_job_message(job: &Job, pod: &Live, exit: &Exit, rule: usize) -> Arc<str> {
    let index = (pod.index != NO_INDEX).then_some(pod.index);
    format!(
        "Container {} for pod {}/{} failed with exit code {} matching FailJob rule at index {rule}",
        job.spec.template.container,
        job.record.namespace,
        job.names.pod_name(&job.record.name, index, pod.ordinal),
        exit.exit_code,
    )
    .into()
}
