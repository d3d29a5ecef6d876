//! The launches that a worker has not started.
//!
//! Knows Jobs' numbers, nothing of their rules. Invariant: Jobs take turns, a pod each, so that however many pods of one Job
//! wait here, the pod of another is started after at the most one of each; the pods of one Job keep their order. A Job for whose pods
//! there is no room is passed over, so that it holds up no Job of the other engine.

use crate::base::{JobId, Time};
use crate::model::Launch;
use std::collections::{BTreeMap, VecDeque};

/// A launch that has not started, or has to start again because there was no room.
pub(super) struct Queued<C> {
    pub(super) launch: Launch,
    pub(super) code: Option<C>,
    /// When it started, if that was reported already.
    pub(super) announced: Option<Time>,
}

pub(super) struct Queue<C> {
    /// No Job's is empty.
    waiting: BTreeMap<JobId, VecDeque<Queued<C>>>,
    /// The Jobs of `waiting`, once each: those that have turns, and those that were blocked.
    turns: VecDeque<JobId>,
    blocked: Vec<JobId>,
}

impl<C> Queue<C> {
    pub(super) fn new() -> Self {
        Self { waiting: BTreeMap::new(), turns: VecDeque::new(), blocked: Vec::new() }
    }

    /// Whether no Job has a turn.
    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Puts back a launch for which there is no room; its Job has no turn until [`Queue::unblock`].
    pub(super) fn block(&mut self, queued: Queued<C>) {
        let job = self.put_back(queued);
        self.blocked.push(job);
    }

    /// Whether the Job has no turn for want of room.
    pub(super) fn is_blocked(&self, job: JobId) -> bool {
        self.blocked.contains(&job)
    }

    /// There may be room again: the Jobs that were blocked are the next ones.
    pub(super) fn unblock(&mut self) {
        for job in self.blocked.drain(..).rev() {
            self.turns.push_front(job);
        }
    }

    /// Adds a launch behind those of its Job.
    pub(super) fn push_back(&mut self, queued: Queued<C>) {
        let job = queued.launch.job;
        let turns = &mut self.turns;
        let of_job = self.waiting.entry(job).or_insert_with(|| {
            turns.push_back(job);
            VecDeque::new()
        });
        of_job.push_back(queued);
    }

    /// Puts back a launch that had its turn already: it is the next one.
    pub(super) fn push_front(&mut self, queued: Queued<C>) {
        let job = self.put_back(queued);
        self.turns.push_front(job);
    }

    /// Puts back a launch before those of its Job, which is in neither list then.
    fn put_back(&mut self, queued: Queued<C>) -> JobId {
        let job = queued.launch.job;
        if self.has(job) {
            self.unlist(job);
        }
        self.waiting.entry(job).or_default().push_front(queued);
        job
    }

    fn unlist(&mut self, job: JobId) {
        self.turns.retain(|turn| *turn != job);
        self.blocked.retain(|blocked| *blocked != job);
    }

    /// Takes the next launch of the Job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Queued<C>> {
        let job = self.turns.pop_front()?;
        let of_job = self.waiting.get_mut(&job).expect("a Job with a turn has launches");
        let queued = of_job.pop_front();
        if of_job.is_empty() {
            self.waiting.remove(&job);
        } else {
            self.turns.push_back(job);
        }
        queued
    }

    /// Takes out the launch of a pod.
    pub(super) fn remove(&mut self, (job, ordinal): (JobId, u32)) -> Option<Queued<C>> {
        let of_job = self.waiting.get_mut(&job)?;
        let at = of_job.iter().position(|queued| queued.launch.ordinal == ordinal)?;
        let queued = of_job.remove(at);
        if of_job.is_empty() {
            self.waiting.remove(&job);
            self.unlist(job);
        }
        queued
    }

    /// Whether launches of the Job wait here.
    pub(super) fn has(&self, job: JobId) -> bool {
        self.waiting.contains_key(&job)
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.turns.clear();
        self.blocked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::NO_INDEX;
    use crate::exec::fake::plan;

    fn queued(job: u32, ordinal: u32) -> Queued<()> {
        let launch = Launch { job: JobId(job), ordinal, index: NO_INDEX, slot: 0, plan: plan("sum", &[]) };
        Queued { launch, code: None, announced: None }
    }

    fn rest(mut queue: Queue<()>) -> Vec<(u32, u32)> {
        let taken = std::iter::from_fn(|| queue.pop().map(|queued| (queued.launch.job.0, queued.launch.ordinal)));
        let taken = taken.collect();
        assert!(queue.is_empty() && queue.waiting.is_empty());
        taken
    }

    #[test]
    fn a_job_of_one_pod_is_not_behind_all_pods_of_another() {
        let mut queue = Queue::new();
        (0..4).for_each(|ordinal| queue.push_back(queued(1, ordinal)));
        queue.push_back(queued(2, 0));
        queue.push_back(queued(3, 0));
        assert_eq!(rest(queue), [(1, 0), (2, 0), (3, 0), (1, 1), (1, 2), (1, 3)]);
    }

    #[test]
    fn a_launch_that_had_its_turn_is_the_next() {
        let mut queue = Queue::new();
        (0..2).for_each(|ordinal| queue.push_back(queued(1, ordinal)));
        queue.push_back(queued(2, 7));
        let first = queue.pop().expect("one");
        queue.push_front(first);
        queue.push_front(queued(3, 9));
        assert_eq!(rest(queue), [(3, 9), (1, 0), (2, 7), (1, 1)]);
    }

    #[test]
    fn a_job_without_room_is_passed_over_until_there_is_some() {
        let mut queue = Queue::new();
        (0..2).for_each(|ordinal| queue.push_back(queued(1, ordinal)));
        (0..2).for_each(|ordinal| queue.push_back(queued(2, ordinal)));
        let first = queue.pop().expect("one");
        queue.block(first);
        queue.push_back(queued(1, 2));
        assert_eq!(queue.pop().map(|queued| queued.launch.job), Some(JobId(2)));
        let second = queue.pop().expect("one");
        queue.block(second);
        assert!(queue.is_empty() && queue.pop().is_none());
        assert!(queue.remove((JobId(2), 1)).is_some(), "a pod that was blocked can be stopped");
        let first = queue.remove((JobId(1), 0)).expect("it waits");
        queue.push_front(first);
        queue.unblock();
        assert_eq!(rest(queue), [(1, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn a_job_of_which_two_pods_find_no_room_has_one_turn() {
        let mut queue = Queue::new();
        queue.block(queued(1, 1));
        queue.block(queued(1, 0));
        queue.unblock();
        assert_eq!(rest(queue), [(1, 0), (1, 1)]);
    }

    #[test]
    fn a_launch_that_is_taken_out_leaves_no_turn_behind() {
        let mut queue = Queue::new();
        (0..3).for_each(|ordinal| queue.push_back(queued(1, ordinal)));
        queue.push_back(queued(2, 0));
        assert!(queue.remove((JobId(1), 9)).is_none() && queue.remove((JobId(9), 0)).is_none());
        assert!(queue.remove((JobId(1), 1)).is_some() && queue.has(JobId(2)));
        assert!(queue.remove((JobId(2), 0)).is_some() && !queue.has(JobId(2)));
        queue.push_back(queued(2, 1));
        assert_eq!(rest(queue), [(1, 0), (2, 1), (1, 2)]);
        let mut queue = Queue::new();
        queue.push_back(queued(1, 0));
        queue.clear();
        assert!(queue.pop().is_none());
    }
}
