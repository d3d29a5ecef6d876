//! Where the logs of pods end that have ended, until their records say so.
//!
//! Owns batches of such ends, one for each report, and who follows which pod. Knows nothing of segments and not when a record is
//! shown. Invariant: the end of a log is found here from its hand-over until it is settled, by a follower until he is gone.

use crate::base::JobId;
use crate::model::{Exit, LogExtent, NO_SEGMENT};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A Job and an ordinal.
pub(super) type Pod = (JobId, u32);

/// The ends of logs that no longer grow. As many as there are exits on their way to the disk, which the engine bounds.
#[derive(Debug, Default)]
pub(super) struct Ends {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Each in order of its pods: a report costs its pods a copy of 20 bytes, no place in a map.
    batches: BTreeMap<u64, Vec<(Pod, LogExtent)>>,
    followed: BTreeMap<Pod, Followed>,
}

/// Whoever follows a pod may come late to its end.
#[derive(Debug, Default)]
struct Followed {
    followers: usize,
    end: Option<LogExtent>,
}

impl Ends {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the ends of these exits' logs. Returns the number to settle them by, `None` when nobody wrote anything, and the pods
    /// that are followed.
    pub(super) fn add(&self, exits: &[Exit]) -> (Option<u64>, Vec<Pod>) {
        let written = exits.iter().filter(|exit| exit.log.segment != NO_SEGMENT);
        let mut batch: Vec<_> = written.map(|exit| ((exit.job, exit.ordinal), exit.log)).collect();
        if batch.is_empty() {
            return (None, Vec::new());
        }
        batch.sort_unstable_by_key(|(pod, _)| *pod);
        let mut followed = Vec::new();
        let mut state = self.state();
        for (pod, of_pod) in &mut state.followed {
            if let Some(end) = find(&batch, *pod) {
                of_pod.end = Some(end);
                followed.push(*pod);
            }
        }
        let number = state.next;
        state.next += 1;
        state.batches.insert(number, batch);
        (Some(number), followed)
    }

    /// Forgets these batches, for all but followers.
    pub(super) fn settle(&self, numbers: &[u64]) {
        let mut state = self.state();
        for number in numbers {
            state.batches.remove(number);
        }
    }

    pub(super) fn get(&self, pod: Pod) -> Option<LogExtent> {
        let state = self.state();
        let waiting = state.batches.values().find_map(|batch| find(batch, pod));
        waiting.or_else(|| state.followed.get(&pod)?.end)
    }

    pub(super) fn follow(&self, pod: Pod) {
        self.state().followed.entry(pod).or_default().followers += 1;
    }

    pub(super) fn unfollow(&self, pod: Pod) {
        let mut state = self.state();
        if let Some(followed) = state.followed.get_mut(&pod) {
            followed.followers -= 1;
            if followed.followers == 0 {
                state.followed.remove(&pod);
            }
        }
    }
}

fn find(batch: &[(Pod, LogExtent)], pod: Pod) -> Option<LogExtent> {
    let at = batch.binary_search_by_key(&pod, |(other, _)| *other).ok()?;
    Some(batch[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Time;
    use crate::model::{EngineKind, Reason};

    fn exit(ordinal: u32, bytes: u32) -> Exit {
        let log = if bytes == 0 { LogExtent::default() } else { LogExtent { segment: 0, offset: ordinal, bytes } };
        Exit {
            job: JobId(1),
            ordinal,
            slot: 0,
            engine: Some(EngineKind::Small),
            started: Time(0),
            finished: Time(0),
            exit_code: 0,
            reason: Reason::Completed,
            log,
            fuel_k: 0,
            peak_pages: 0,
            message: None,
        }
    }

    fn bytes(ends: &Ends, ordinal: u32) -> Option<u32> {
        ends.get((JobId(1), ordinal)).map(|end| end.bytes)
    }

    #[test]
    fn ends_are_found_until_they_are_settled() {
        let ends = Ends::default();
        let (first, _) = ends.add(&[exit(7, 70), exit(3, 30), exit(5, 0)]);
        let (second, _) = ends.add(&[exit(4, 40)]);
        assert_eq!(ends.add(&[exit(6, 0)]), (None, Vec::new()));
        assert_eq!(
            (3..=7).map(|pod| bytes(&ends, pod)).collect::<Vec<_>>(),
            [Some(30), Some(40), None, None, Some(70)]
        );
        ends.settle(&[first.expect("a number")]);
        assert_eq!((3..=7).map(|pod| bytes(&ends, pod)).collect::<Vec<_>>(), [None, Some(40), None, None, None]);
        ends.settle(&[second.expect("a number")]);
        assert!(ends.state().batches.is_empty());
    }

    #[test]
    fn a_follower_keeps_an_end_for_as_long_as_he_follows() {
        let ends = Ends::default();
        let pod = (JobId(1), 2);
        ends.follow(pod);
        ends.follow(pod);
        let (number, followed) = ends.add(&[exit(1, 10), exit(2, 20)]);
        assert_eq!(followed, [pod]);
        ends.settle(&[number.expect("a number")]);
        assert_eq!((bytes(&ends, 1), bytes(&ends, 2)), (None, Some(20)));
        ends.unfollow(pod);
        assert_eq!(bytes(&ends, 2), Some(20));
        ends.unfollow(pod);
        assert!(bytes(&ends, 2).is_none() && ends.state().followed.is_empty());
    }
}
