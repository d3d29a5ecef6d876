//! Which pod goes to which worker, and in which order.
//!
//! Pods of a higher priority go first. Jobs of one priority take turns, a quantum each, so that a Job of a million pods does
//! not hold up a Job of one. A worker holds at the most `queue_max` pods that have not started and `alive_max` in all; the rest
//! waits here.

use super::fit::{Fit, Fits};
use crate::base::JobId;
use crate::model::{Needs, NodeSays, NodeShape};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What the workers can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// How many workers there are.
    pub workers: u32,
    /// Pods handed to a worker that have not started, at the most.
    pub queue_max: u32,
    /// Pods that a worker has in all, at the most.
    pub alive_max: u32,
}

/// Pods of one Job in a row before the next Job's turn. A Job with more waiting leaves room on each worker for the others.
const QUANTUM: usize = 64;

/// Which part of a worker's queue that room is.
const SPARE_PART: u32 = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Load {
    queued: u32,
    running: u32,
}

/// A pod that waits for a worker: slot and ordinal.
pub(super) type Waiter = (u32, u32);

#[derive(Debug)]
pub(super) struct Sched {
    capacity: Capacity,
    loads: Vec<Load>,
    /// The waiting pods of the Jobs that have a turn; a Job whose pods were all forgotten keeps its turn once.
    waiting: BTreeMap<JobId, VecDeque<Waiter>>,
    /// Jobs that were deleted keep theirs until it comes, or until half of all are theirs.
    turns: BTreeMap<Reverse<i32>, VecDeque<JobId>>,
    /// What pods ask of the node, and what it has left.
    fits: Fits,
    /// The Jobs whose pods do not fit: they have no turn until something changes.
    parked: BTreeMap<Reverse<i32>, VecDeque<JobId>>,
    /// Those that were parked since this was last asked.
    newly_parked: BTreeSet<JobId>,
}

impl Sched {
    pub(super) fn new(capacity: Capacity, node: Arc<NodeShape>) -> Self {
        assert!(capacity.workers > 0 && capacity.queue_max > 0 && capacity.alive_max > 0, "no room for any pod");
        let loads = vec![Load::default(); capacity.workers as usize];
        Self {
            capacity,
            loads,
            waiting: BTreeMap::new(),
            turns: BTreeMap::new(),
            fits: Fits::new(node),
            parked: BTreeMap::new(),
            newly_parked: BTreeSet::new(),
        }
    }

    /// What a Job's pods ask of the node from here on.
    pub(super) fn set_needs(&mut self, job: JobId, needs: Option<&Needs>) {
        if self.fits.set_needs(job, needs) {
            self.unpark();
        }
    }

    /// A client wrote of the node.
    pub(super) fn set_node(&mut self, says: Option<&NodeSays>) {
        self.fits.set_node(says);
        self.unpark();
    }

    /// A pod that was handed out needs nothing any more.
    pub(super) fn release(&mut self, job: JobId) {
        if self.fits.release(job) {
            self.unpark();
        }
    }

    /// Why the Job's pods do not fit, if they do not.
    pub(super) fn misfit(&self, job: JobId) -> Option<Fit> {
        Some(self.fits.of(job)).filter(|fit| fit.room() == 0)
    }

    /// The Jobs that were found not to fit since this was last asked.
    pub(super) fn take_newly_parked(&mut self) -> BTreeSet<JobId> {
        std::mem::take(&mut self.newly_parked)
    }

    /// Lets all Jobs be looked at again whose pods did not fit, before those that come after them.
    fn unpark(&mut self) {
        for (priority, mut jobs) in std::mem::take(&mut self.parked) {
            let turns = self.turns.entry(priority).or_default();
            jobs.append(turns);
            *turns = jobs;
        }
    }

    /// Lets a pod wait for its turn. All pods of a Job have the same priority.
    pub(super) fn wait(&mut self, job: JobId, priority: i32, waiter: Waiter) {
        let turns = &mut self.turns;
        let queue = self.waiting.entry(job).or_insert_with(|| {
            turns.entry(Reverse(priority)).or_default().push_back(job);
            VecDeque::new()
        });
        queue.push_back(waiter);
    }

    /// Forgets the Job's waiting pods that `keep` says no to: they were stopped.
    pub(super) fn retain(&mut self, job: JobId, mut keep: impl FnMut(&Waiter) -> bool) {
        if let Some(queue) = self.waiting.get_mut(&job) {
            queue.retain(|waiter| keep(waiter));
        }
    }

    /// Forgets a Job that was deleted.
    pub(super) fn forget(&mut self, job: JobId) {
        self.fits.forget(job);
        self.forget_parked(job);
        let waiting = &mut self.waiting;
        let turns = || self.turns.values().map(VecDeque::len).sum::<usize>();
        if waiting.remove(&job).is_some() && turns() > 2 * waiting.len() {
            self.turns.values_mut().for_each(|turns| turns.retain(|job| waiting.contains_key(job)));
            self.turns.retain(|_, turns| !turns.is_empty());
        }
    }

    fn forget_parked(&mut self, job: JobId) {
        self.parked.values_mut().for_each(|parked| parked.retain(|other| *other != job));
        self.parked.retain(|_, parked| !parked.is_empty());
    }

    /// The Job has finished: its pods ask for nothing any more.
    pub(super) fn forget_needs(&mut self, job: JobId) {
        self.fits.forget(job);
    }

    fn room(&self, worker: u32) -> u32 {
        let load = self.loads[worker as usize];
        let queue = self.capacity.queue_max.saturating_sub(load.queued);
        queue.min(self.capacity.alive_max.saturating_sub(load.queued + load.running))
    }

    /// The worker with the most room, if any has some; ties go to the lower number.
    pub(super) fn roomiest(&self) -> Option<(u32, u32)> {
        let rooms = (0..self.capacity.workers).map(|worker| (worker, self.room(worker)));
        rooms.filter(|(_, room)| *room > 0).max_by_key(|(worker, room)| (*room, u32::MAX - worker))
    }

    /// Takes up to a quantum of the Job of the highest priority whose turn it is for this worker, or of the next of that priority for
    /// which it has room; none if they were forgotten.
    pub(super) fn take(&mut self, worker: u32) -> Option<(JobId, Vec<Waiter>)> {
        let (room, waiting, fits) = (self.room(worker), &self.waiting, &self.fits);
        let queue_max = self.capacity.queue_max - self.capacity.queue_max / SPARE_PART;
        let of_many = room.min(queue_max.saturating_sub(self.loads[worker as usize].queued));
        let is_of_many = |queue: &VecDeque<Waiter>| queue.len() > QUANTUM;
        let has_room = |job: &JobId| waiting.get(job).is_some_and(|queue| of_many > 0 || !is_of_many(queue));
        let (priority, job) = loop {
            let mut first = self.turns.first_entry()?;
            let turns = first.get_mut();
            while turns.pop_front_if(|job| !waiting.contains_key(job)).is_some() {}
            if turns.is_empty() {
                first.remove();
                continue;
            }
            let turn = turns.iter().position(|job| has_room(job) || !fits.has_room(*job))?;
            let job = turns.remove(turn).expect("it was found there");
            let priority = *first.key();
            if fits.has_room(job) {
                break (priority, job);
            }
            self.parked.entry(priority).or_default().push_back(job);
            self.newly_parked.insert(job);
        };
        let queue = self.waiting.get_mut(&job).expect("deleted Jobs have no room");
        let most = if is_of_many(queue) { of_many } else { room };
        let most = most.min(self.fits.of(job).room());
        let taken: Vec<Waiter> = queue.drain(..queue.len().min(QUANTUM).min(most as usize)).collect();
        self.fits.reserve(job, taken.len());
        if queue.is_empty() {
            self.waiting.remove(&job);
        } else {
            self.turns.entry(priority).or_default().push_back(job);
        }
        Some((job, taken))
    }

    pub(super) fn on_launched(&mut self, worker: u32, pods: u32) {
        self.loads[worker as usize].queued += pods;
    }

    pub(super) fn on_started(&mut self, worker: u32) {
        let load = &mut self.loads[worker as usize];
        load.queued -= 1;
        load.running += 1;
    }

    pub(super) fn on_ended(&mut self, worker: u32, had_started: bool) {
        let load = &mut self.loads[worker as usize];
        if had_started { load.running -= 1 } else { load.queued -= 1 }
    }

    /// Pods on the workers: (not started, started).
    pub(super) fn totals(&self) -> (u32, u32) {
        self.loads.iter().fold((0, 0), |(queued, running), load| (queued + load.queued, running + load.running))
    }

    /// The Jobs that have a turn, those that were deleted included, and those that have pods waiting.
    pub(super) fn jobs(&self) -> (impl Iterator<Item = JobId> + '_, impl Iterator<Item = JobId> + '_) {
        let turns = self.turns.values().chain(self.parked.values());
        (turns.flatten().copied(), self.waiting.keys().copied())
    }

    /// Whether every worker has as many pods as it may, most of which run: more than a moment passes before there is room.
    pub(super) fn is_full(&self) -> bool {
        let max = self.capacity.alive_max;
        self.loads.iter().all(|load| load.queued + load.running >= max && load.running >= max.div_ceil(2))
    }

    /// Whether a Job has a turn.
    pub(super) fn has(&self, job: JobId) -> bool {
        self.waiting.contains_key(&job)
    }

    /// The Jobs that have pods waiting, each with the pod that waits longest.
    pub(super) fn oldest(&self) -> impl Iterator<Item = (JobId, Waiter)> + '_ {
        self.waiting.iter().filter_map(|(job, queue)| Some((*job, *queue.front()?)))
    }

    /// The pod of the Job that waits longest.
    pub(super) fn oldest_of(&self, job: JobId) -> Option<Waiter> {
        self.waiting.get(&job)?.front().copied()
    }

    /// What is reserved of the node: thousandths of a CPU, and bytes.
    pub(super) fn reserved(&self) -> (u64, u64) {
        self.fits.reserved()
    }

    /// The pods that wait here, in no particular order between Jobs.
    pub(super) fn waiters(&self) -> impl Iterator<Item = (JobId, Waiter)> + '_ {
        self.waiting.iter().flat_map(|(job, queue)| queue.iter().map(|waiter| (*job, *waiter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sched(queue_max: u32, alive_max: u32) -> Sched {
        Sched::new(Capacity { workers: 2, queue_max, alive_max }, Arc::default())
    }

    #[test]
    fn a_job_of_one_pod_does_not_wait_for_a_job_of_many() {
        let mut sched = sched(512, 512);
        (0..10_000).for_each(|n| sched.wait(JobId(1), 0, (n, n)));
        sched.wait(JobId(2), 0, (10_000, 0));
        let order: Vec<JobId> = std::iter::from_fn(|| sched.take(0)).map(|(job, _)| job).take(3).collect();
        assert_eq!(order, [JobId(1), JobId(2), JobId(1)]);
    }

    #[test]
    fn a_higher_priority_goes_first_and_equal_ones_take_turns() {
        let mut sched = sched(512, 512);
        let waits = [(1, 0), (2, 10), (3, -5), (4, 10), (5, i32::MAX), (6, i32::MIN)];
        for (job, priority) in waits {
            (0..100).for_each(|n| sched.wait(JobId(job), priority, (n, n)));
        }
        sched.forget(JobId(5));
        let mut take = || sched.take(0).map(|(job, pods)| (job.0, pods.len()));
        assert_eq!([take(), take(), take(), take()], [Some((2, 64)), Some((4, 64)), Some((2, 36)), Some((4, 36))]);
        assert_eq!(take(), Some((1, 64)));
        // One that comes later goes first all the same.
        sched.wait(JobId(7), 1, (0, 0));
        let rest: Vec<u32> = std::iter::from_fn(|| sched.take(0)).map(|(job, _)| job.0).collect();
        assert_eq!(rest, [7, 1, 3, 3, 6, 6]);
        assert!(sched.turns.is_empty() && sched.waiting.is_empty());
    }

    #[test]
    fn forgotten_pods_are_not_handed_out_and_leave_one_turn() {
        let mut sched = sched(512, 512);
        for round in 0..3 {
            (0..5).for_each(|n| sched.wait(JobId(1), 0, (n, n)));
            sched.retain(JobId(1), |(slot, _)| round == 2 && *slot == 3);
        }
        assert_eq!(sched.take(0), Some((JobId(1), vec![(3, 3)])));
        assert_eq!(sched.take(0), None);
    }

    #[test]
    fn the_turns_of_deleted_jobs_are_passed_over_and_do_not_pile_up() {
        let mut sched = sched(512, 512);
        sched.wait(JobId(0), 0, (0, 0));
        for id in 1..1000 {
            sched.wait(JobId(id), 0, (id, 0));
            if id != 500 {
                sched.forget(JobId(id));
            }
            assert!(sched.jobs().0.count() <= 5, "{:?}", sched.turns);
        }
        assert_eq!(sched.take(0), Some((JobId(0), vec![(0, 0)])));
        assert_eq!(sched.take(0), Some((JobId(500), vec![(500, 0)])));
        assert_eq!(sched.take(0), None);
    }

    #[test]
    fn a_job_of_many_leaves_room_for_a_job_that_comes_later() {
        let mut sched = sched(512, 4096);
        (0..10_000).for_each(|n| sched.wait(JobId(1), 0, (n, n)));
        let fill = |sched: &mut Sched| {
            while let Some((worker, _)) = sched.roomiest() {
                let Some((job, pods)) = sched.take(worker) else { break };
                assert_eq!(job, JobId(1));
                sched.on_launched(worker, u32::try_from(pods.len()).expect("few"));
            }
        };
        fill(&mut sched);
        assert_eq!(sched.totals().0, 2 * (512 - 64));
        sched.wait(JobId(2), 0, (10_000, 0));
        assert_eq!(sched.take(0), Some((JobId(2), vec![(10_000, 0)])));
        // It comes before those whose turn it is, and takes none of theirs.
        sched.on_ended(1, false);
        fill(&mut sched);
        assert_eq!(sched.totals().0, 2 * (512 - 64));
        // The last ones of many are few.
        sched.retain(JobId(1), |(slot, _)| *slot >= 9990);
        fill(&mut sched);
        assert_eq!(sched.totals().0, 2 * (512 - 64) + 10);
    }

    #[test]
    fn workers_fill_evenly_up_to_their_queue() {
        let mut sched = sched(3, 100);
        assert_eq!(sched.roomiest(), Some((0, 3)));
        sched.on_launched(0, 2);
        assert_eq!(sched.roomiest(), Some((1, 3)));
        sched.on_launched(1, 3);
        assert_eq!(sched.roomiest(), Some((0, 1)));
        sched.on_launched(0, 1);
        assert_eq!(sched.roomiest(), None);
        sched.on_started(1);
        assert_eq!(sched.roomiest(), Some((1, 1)));
    }

    #[test]
    fn a_worker_full_of_running_pods_takes_no_more() {
        let mut sched = sched(3, 2);
        sched.on_launched(0, 2);
        sched.on_started(0);
        sched.on_started(0);
        assert_eq!(sched.roomiest(), Some((1, 2)));
        sched.on_launched(1, 2);
        assert_eq!(sched.roomiest(), None);
        sched.on_ended(0, true);
        sched.on_ended(1, false);
        assert_eq!(sched.totals(), (1, 1));
    }
}
