//! Which pods go first when there are too many (kubernetes: controller_utils.go, ActivePods).

use crate::base::Time;
use crate::control::live::{Live, Place};
use crate::control::state::Job;
use std::cmp::Reverse;

/// Sorts so that the first ones go first: those that wait before those that were handed to a worker, those before pods whose
/// container is started again, those before ready ones, then the most recently ready, then those with the most restarts, then
/// the newest, which has the highest ordinal.
pub(super) fn sort_for_removal(job: &Job, pods: &mut [(u32, &Live)]) {
    pods.sort_by_key(|(_, pod)| {
        let restarts = job.restarts.get(&pod.ordinal);
        let (progress, ready) = match pod.place {
            Place::Running(_, at) => (3, at),
            // Its pod is assigned and in phase Running, and not ready.
            _ if restarts.is_some() => (2, Time::default()),
            Place::Queued(_) => (1, Time::default()),
            Place::Gated | Place::Waiting | Place::Refused(_) => (0, Time::default()),
        };
        (progress, Reverse(ready), Reverse(restarts.map_or(0, |restarts| restarts.count)), Reverse(pod.ordinal))
    });
}
