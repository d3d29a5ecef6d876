//! Which pods go first when there are too many (kubernetes: controller_utils.go, ActivePods).

use crate::base::Time;
use crate::control::live::{Live, Place};
use std::cmp::Reverse;

/// Sorts so that the first ones go first: those that wait before those that were handed to a worker, those before running
/// ones, then the most recently ready, then the newest, which has the highest ordinal.
pub(super) fn sort_for_removal(pods: &mut [(u32, &Live)]) {
    pods.sort_by_key(|(_, pod)| {
        let (progress, ready) = match pod.place {
            Place::Gated | Place::Waiting | Place::Refused(_) => (0, Time::default()),
            Place::Queued(_) => (1, Time::default()),
            Place::Running(_, at) => (2, at),
        };
        (progress, Reverse(ready), Reverse(pod.ordinal))
    });
}
