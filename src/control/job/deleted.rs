//! What a pod counts for that a client deletes (kubernetes: `isPodFailed`, `onlyReplaceFailedPods`).

use super::indexes;
use crate::base::Time;
use crate::control::live::Live;
use crate::control::state::Job;
use crate::model::Counted;

/// A client deletes a pod that has not ended: whether it counts as failed at once. Otherwise its end counts.
pub(in crate::control) fn count_deletion(job: &mut Job, pod: &mut Live, now: Time) -> bool {
    if job.is_stray(pod.ordinal) {
        return false;
    }
    if !job.index_counts(pod.index) {
        indexes::give_back(job, pod);
        return false;
    }
    if job.spec.only_replace_failed {
        job.deleted.insert(pod.ordinal);
        return false;
    }
    job.news.failures.push(now);
    indexes::give_back(job, pod);
    true
}

/// A deleted pod ends that never ran: it failed, unless it counts already.
pub(in crate::control) fn count_unstarted(job: &mut Job, pod: &mut Live, now: Time) -> Counted {
    if job.is_stray(pod.ordinal) {
        return Counted::Strayed;
    }
    indexes::give_back(job, pod);
    if !job.deleted.remove(&pod.ordinal) {
        return Counted::Dropped;
    }
    job.news.failures.push(now);
    Counted::Failed
}
