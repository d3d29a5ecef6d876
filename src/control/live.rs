//! The pods that have not ended, and which of them belong to a Job.
//!
//! What a worker still has of a Job that was deleted stays here until the worker says that it ended, so that the workers'
//! loads are exact.
//!
//! Invariant: walking a Job's pods costs time in proportion to that Job's pods alone; taking a pod in or out is O(1) but
//! for a look at the Job's entry.

use crate::base::{JobId, Time};
use crate::model::{Counted, LogExtent, PodEnd, Reason};
use std::collections::BTreeMap;

/// A pod that has not ended.
#[derive(Clone, Debug)]
pub(super) struct Live {
    pub(super) job: JobId,
    pub(super) ordinal: u32,
    pub(super) index: u32,
    pub(super) place: Place,
    /// Told to stop.
    pub(super) stopping: bool,
    /// No other pod may take its index. Kept here because `podReplacementPolicy` may change between the stop and the end.
    pub(super) holds_index: bool,
    /// A client deleted it, and its end counts all the same.
    pub(super) counts_by_end: bool,
    /// It was evicted through the API.
    pub(super) evicted: bool,
    /// How often its start was refused.
    pub(super) refusals: u16,
}

/// How far a pod is on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// Waits for a client to remove its scheduling gates.
    Gated,
    /// Waits for its turn.
    Waiting,
    /// Its start was refused, or its container has ended and is started again; that is due then.
    Refused(Time),
    /// Handed to this worker.
    Queued(u32),
    /// Runs on this worker since then.
    Running(u32, Time),
}

impl Live {
    /// A pod that waits for its turn.
    pub(super) fn new(job: JobId, ordinal: u32, index: u32) -> Self {
        Self {
            job,
            ordinal,
            index,
            place: Place::Waiting,
            stopping: false,
            holds_index: true,
            counts_by_end: false,
            evicted: false,
            refusals: 0,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        matches!(self.place, Place::Running(..))
    }

    /// The worker that has it.
    pub(super) fn worker(&self) -> Option<u32> {
        match self.place {
            Place::Gated | Place::Waiting | Place::Refused(_) => None,
            Place::Queued(worker) | Place::Running(worker, _) => Some(worker),
        }
    }

    /// The facts' form of this pod's end, without anything that only a worker knows.
    pub(super) fn end(&self, counted: Counted, at: Time) -> PodEnd {
        PodEnd {
            ordinal: self.ordinal,
            index: self.index,
            started: at,
            run_ms: 0,
            exit_code: 0,
            reason: Reason::None,
            engine: None,
            counted,
            was_ready: self.is_running(),
            was_stopping: self.stopping,
            disrupted: self.evicted,
            log: LogExtent::default(),
            fuel_k: 0,
            peak_pages: 0,
            message: None,
        }
    }
}

/// Pods by slot. A slot is free again once its pod has ended.
#[derive(Debug, Default)]
pub(super) struct Pods {
    slots: Vec<Option<Linked>>,
    free: Vec<u32>,
    /// The slot of each Job's newest pod.
    newest: BTreeMap<JobId, u32>,
    /// Ordinal to slot, of the Jobs of which a client named a pod.
    named: BTreeMap<JobId, BTreeMap<u32, u32>>,
}

/// A pod between its neighbours in the list of its Job.
#[derive(Debug)]
struct Linked {
    pod: Live,
    older: Option<u32>,
    newer: Option<u32>,
}

impl Pods {
    pub(super) fn insert(&mut self, pod: Live) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than u32::MAX live pods")
        });
        if !self.named.is_empty()
            && let Some(named) = self.named.get_mut(&pod.job)
        {
            named.insert(pod.ordinal, slot);
        }
        let older = self.newest.insert(pod.job, slot);
        if let Some(older) = older {
            self.linked(older).newer = Some(slot);
        }
        self.slots[slot as usize] = Some(Linked { pod, older, newer: None });
        slot
    }

    fn linked(&mut self, slot: u32) -> &mut Linked {
        self.slots[slot as usize].as_mut().expect("a list leads to pods that are there")
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Live> {
        Some(&self.slots.get(slot as usize)?.as_ref()?.pod)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Live> {
        Some(&mut self.slots.get_mut(slot as usize)?.as_mut()?.pod)
    }

    /// The pod that a worker or a queue speaks of. Both only speak of pods that they were given and that have not ended.
    pub(super) fn named(&mut self, slot: u32, job: JobId, ordinal: u32) -> &mut Live {
        let pod = self.get_mut(slot).expect("only pods that have not ended are spoken of");
        assert!(pod.job == job && pod.ordinal == ordinal, "another pod is in the slot");
        pod
    }

    pub(super) fn remove(&mut self, slot: u32) -> Live {
        let Linked { pod, older, newer } = self.slots[slot as usize].take().expect("a pod ends once");
        if let Some(older) = older {
            self.linked(older).newer = newer;
        }
        match (newer, older) {
            (Some(newer), _) => self.linked(newer).older = older,
            (None, Some(older)) => _ = self.newest.insert(pod.job, older),
            (None, None) => {
                self.newest.remove(&pod.job);
                self.named.remove(&pod.job);
            }
        }
        if !self.named.is_empty()
            && let Some(named) = self.named.get_mut(&pod.job)
        {
            named.remove(&pod.ordinal);
        }
        self.free.push(slot);
        pod
    }

    /// The slot of a pod, if it has not ended. The first look at a pod of a Job walks all of that Job.
    pub(super) fn slot_of(&mut self, job: JobId, ordinal: u32) -> Option<u32> {
        self.newest.get(&job)?;
        if !self.named.contains_key(&job) {
            let named = self.of_job(job).map(|(slot, pod)| (pod.ordinal, slot)).collect();
            self.named.insert(job, named);
        }
        self.named.get(&job)?.get(&ordinal).copied()
    }

    /// A Job's pods with their slots, newest first.
    pub(super) fn of_job(&self, job: JobId) -> impl Iterator<Item = (u32, &Live)> {
        let linked = |slot: u32| Some((slot, self.slots[slot as usize].as_ref()?));
        let first = self.newest.get(&job).and_then(|slot| linked(*slot));
        let all = std::iter::successors(first, move |(_, before)| linked(before.older?));
        all.map(|(slot, linked)| (slot, &linked.pod))
    }

    /// All pods with their slots, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Live)> {
        (0..).zip(&self.slots).filter_map(|(slot, linked)| Some((slot, &linked.as_ref()?.pod)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NO_INDEX;

    /// Ordinals of the Job's pods, newest first.
    fn ordinals(pods: &Pods, job: u32) -> Vec<u32> {
        pods.of_job(JobId(job)).map(|(_, pod)| pod.ordinal).collect()
    }

    #[test]
    fn a_jobs_pods_are_found_whatever_left_in_between() {
        let mut pods = Pods::default();
        let mut add = |job, ordinal| pods.insert(Live::new(JobId(job), ordinal, NO_INDEX));
        let slots: Vec<u32> = (0..4).map(|ordinal| add(1, ordinal)).collect();
        let other = add(2, 7);
        assert_eq!((ordinals(&pods, 1), ordinals(&pods, 2)), (vec![3, 2, 1, 0], vec![7]));
        assert_eq!((pods.slot_of(JobId(1), 1), pods.slot_of(JobId(1), 4)), (Some(slots[1]), None));
        pods.remove(slots[1]);
        assert_eq!((pods.slot_of(JobId(1), 1), pods.slot_of(JobId(3), 1)), (None, None));
        assert_eq!(ordinals(&pods, 1), [3, 2, 0]);
        pods.remove(slots[3]);
        pods.remove(other);
        assert_eq!((ordinals(&pods, 1), ordinals(&pods, 2)), (vec![2, 0], vec![]));
        pods.remove(slots[0]);
        let again = pods.insert(Live::new(JobId(1), 9, NO_INDEX));
        assert_eq!(pods.slot_of(JobId(1), 9), Some(again));
        assert_eq!((ordinals(&pods, 1), again), (vec![9, 2], slots[0]));
        pods.remove(again);
        pods.remove(slots[2]);
        assert_eq!((ordinals(&pods, 1), pods.iter().count()), (vec![], 0));
        assert!(pods.named.is_empty(), "what was named of a Job goes with its last pod");
    }
}
