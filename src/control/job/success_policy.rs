//! Have enough of the right indexes succeeded? (kubernetes: success_policy.go, matchSuccessPolicy).
//!
//! Invariant: `Job::success_hits` has, for each rule, how many of its indexes are completed; a look costs the same however
//! many indexes there are.

use crate::control::state::Job;
use crate::model::SuccessRule;

/// The position of the first rule that matches.
pub(super) fn first_match(job: &Job) -> Option<usize> {
    let succeeded = job.record.status.succeeded;
    if succeeded == 0 {
        return None;
    }
    let matches = |(rule, hits): (&SuccessRule, &u32)| match (&rule.indexes, rule.count) {
        (Some(listed), _) if listed.is_empty() => false,
        (Some(listed), count) => *hits == listed.len() || count.is_some_and(|count| *hits >= count),
        (None, count) => count.is_some_and(|count| succeeded >= count),
    };
    job.spec.success_policy.iter().zip(&job.success_hits).position(matches)
}

/// An index is about to be completed.
pub(super) fn note_success(job: &mut Job, index: u32) {
    for (rule, hits) in job.spec.success_policy.iter().zip(&mut job.success_hits) {
        *hits += u32::from(rule.indexes.as_ref().is_some_and(|listed| listed.contains(index)));
    }
}

/// Counts anew: after a restart, or when other indexes are completed than before.
pub(in crate::control) fn recount(job: &mut Job) {
    let completed = &job.record.status.completed;
    let hits = |rule: &SuccessRule| rule.indexes.as_ref().map_or(0, |listed| listed.common(completed));
    job.success_hits = job.spec.success_policy.iter().map(hits).collect();
}
