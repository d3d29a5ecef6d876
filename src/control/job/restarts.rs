//! Containers that are started again in their pods (kubernetes: kubelet, `computePodActions`, `doBackOff`).
//!
//! The first restart follows at once, the next ones after 10 s, doubling, at the most 300 s; a container that ran for ten
//! minutes begins anew. Invariant: `Job::restart_sum` is the sum of `restartCount` over the Job's own pods that have not ended.

use crate::base::Time;
use crate::control::state::Job;
use crate::model::{RestartPolicy, Restarts};

/// kubernetes: kubelet, `initialBackOffPeriod`, ms.
const BACK_OFF_MS: u32 = 10_000;
/// kubernetes: `MaxContainerBackOff`, ms.
const BACK_OFF_MAX_MS: u32 = 300_000;
/// A container that ran for longer begins anew, ms (kubernetes: `flowcontrol.Backoff`, twice the maximum).
const FORGOTTEN_AFTER_MS: u64 = 2 * BACK_OFF_MAX_MS as u64;

/// The restarts of a pod that has not ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::control) struct LiveRestarts {
    /// `restartCount`.
    pub(in crate::control) count: u32,
    /// Its container has ended and waits for its next start.
    pub(in crate::control) is_waiting: bool,
    /// How long it waits when it ends again, ms.
    next_ms: u32,
    /// When it was started again.
    since: Time,
}

impl LiveRestarts {
    /// As it was kept.
    pub(in crate::control) fn restored(kept: &Restarts) -> Self {
        Self { count: kept.count, is_waiting: kept.is_waiting, next_ms: after(kept.back_off_ms), since: kept.due() }
    }
}

fn after(back_off_ms: u32) -> u32 {
    if back_off_ms == 0 { BACK_OFF_MS } else { back_off_ms.saturating_mul(2).min(BACK_OFF_MAX_MS) }
}

/// The container of a pod ended at `finished` and will be started again: how long it waits, ms.
pub(in crate::control) fn back_off_ms(job: &mut Job, ordinal: u32, finished: Time) -> u32 {
    let first = LiveRestarts { count: 0, is_waiting: true, next_ms: 0, since: finished };
    let restarts = job.restarts.entry(ordinal).or_insert(first);
    restarts.is_waiting = true;
    if finished.since_ms(restarts.since) > FORGOTTEN_AFTER_MS {
        restarts.next_ms = 0;
    }
    let back_off_ms = restarts.next_ms;
    restarts.next_ms = after(back_off_ms);
    back_off_ms
}

/// The container is started again now. False when it did not wait for that.
pub(in crate::control) fn restart(job: &mut Job, ordinal: u32, now: Time) -> bool {
    let Some(restarts) = job.restarts.get_mut(&ordinal).filter(|restarts| restarts.is_waiting) else { return false };
    restarts.is_waiting = false;
    restarts.since = now;
    restarts.count = restarts.count.saturating_add(1);
    if !job.is_stray(ordinal) {
        job.restart_sum = job.restart_sum.saturating_add(1);
    }
    true
}

/// A pod has ended.
pub(in crate::control) fn forget(job: &mut Job, ordinal: u32) {
    if let Some(restarts) = job.restarts.remove(&ordinal).filter(|_| !job.is_stray(ordinal)) {
        job.restart_sum = job.restart_sum.saturating_sub(restarts.count);
    }
}

/// `restartCount` of a pod that has not ended.
pub(in crate::control) fn count(job: &Job, ordinal: u32) -> u32 {
    job.restarts.get(&ordinal).map_or(0, |restarts| restarts.count)
}

/// Whether there were too many restarts (kubernetes: `pastBackoffLimitOnFailure`): unlike failures, as many as the limit are.
pub(super) fn too_many(job: &Job) -> bool {
    let limit = job.spec.backoff_limit;
    let counts = job.spec.template.restart_policy == RestartPolicy::OnFailure;
    counts && job.restart_sum > 0 && job.restart_sum >= limit
}
