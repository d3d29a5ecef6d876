//! How many pods there should be, and making it so (kubernetes: manageJob).

use super::{backoff, indexes, removal};
use crate::base::{JobId, NAMES_PER_PREFIX};
use crate::control::effects::Effects;
use crate::control::state::{Job, Live, Place, State};
use crate::model::{Counted, EventNote, Fact, IndexRun, Stop};

/// Pods created in one step at the most, so that a step stays short; the rest comes in the next.
const CREATED_PER_STEP_MAX: u32 = 16_384;

/// kubernetes: a sync that waits for back-off comes again after at least a second.
const BACKOFF_WAKE_MIN_MS: u64 = 1000;

/// Creates or stops pods until as many are active as should be.
pub(super) fn manage(state: &mut State, id: JobId, fx: &mut Effects) {
    let job = state.job(id);
    let status = &job.record.status;
    let (active, terminating) = (status.active, status.terminating);
    let wanted = wanted_active(job);
    if active > wanted {
        // What is removed here does not count as failed, and nothing is created in the same sync.
        return stop_first(state, id, active - wanted, fx);
    }
    let held = if job.spec.only_replace_failed { terminating } else { 0 };
    let missing = (wanted - active).saturating_sub(held);
    if missing == 0 {
        return;
    }
    let now = state.now;
    let wait_ms = backoff::remaining_ms(state.job(id).record.backoff, now);
    if wait_ms > 0 {
        return state.wake_at(now.plus_ms(wait_ms.max(BACKOFF_WAKE_MIN_MS)), id);
    }
    create(state, id, missing, fx);
}

fn wanted_active(job: &Job) -> u32 {
    let status = &job.record.status;
    match job.spec.completions {
        // Work queue: after the first success no pod is created, and running ones are left alone.
        None if status.succeeded > 0 => status.active,
        None => job.spec.parallelism,
        Some(completions) => job.spec.parallelism.min(completions.saturating_sub(status.succeeded)),
    }
}

fn create(state: &mut State, id: JobId, missing: u32, fx: &mut Effects) {
    let names_left = NAMES_PER_PREFIX - state.job(id).record.next_ordinal;
    let mut left = missing.min(CREATED_PER_STEP_MAX).min(names_left);
    if missing > CREATED_PER_STEP_MAX {
        state.dirty.insert(id);
    }
    if left == 0 {
        let why = format!("all {NAMES_PER_PREFIX} pod names of the Job are used up");
        return state.note(fx, id, EventNote::FailedCreate { why: why.into() });
    }
    let taken = state.taken_names(id);
    while left > 0 {
        let job = state.job(id);
        let skipped = taken.first_free(job) - job.record.next_ordinal;
        let first = job.record.next_ordinal + skipped;
        // A rival's names are rare; beside one, ordinals are given one by one.
        let count = if taken.is_empty() { left } else { 1 };
        if first + count > NAMES_PER_PREFIX {
            return;
        }
        let runs = if job.spec.is_indexed() { indexes::take_lowest(job, count) } else { Vec::new() };
        let count = if job.spec.is_indexed() { runs.iter().map(|run| run.count).sum() } else { count };
        if count == 0 {
            return;
        }
        create_run(state, id, first, count, runs, fx);
        left -= count;
    }
}

fn create_run(state: &mut State, id: JobId, first: u32, count: u32, indexes: Vec<IndexRun>, fx: &mut Effects) {
    let created = state.now;
    for (ordinal, index) in Fact::created_pods(first, count, &indexes) {
        let place = Place::Waiting;
        let pod = Live { job: id, ordinal, index, created, place, stopping: false, refusals: 0 };
        let slot = state.pods.insert(pod);
        state.sched.wait(id, (slot, ordinal));
    }
    let said: Vec<(u32, u32)> = Fact::created_pods(first, count, &indexes).take(state.job(id).events.left()).collect();
    state.record(fx, Fact::PodsCreated { job: id, at: created, first, count, indexes });
    for (ordinal, index) in said {
        state.note(fx, id, EventNote::SuccessfulCreate { ordinal, index });
    }
}

/// Stops every active pod: the Job is over.
pub(super) fn stop_all(state: &mut State, id: JobId, counted_failed: bool, fx: &mut Effects) {
    if state.job(id).record.status.active > 0 {
        let slots =
            state.slots_of(id).into_iter().filter(|slot| state.pods.get(*slot).is_some_and(|pod| !pod.stopping));
        stop(state, id, slots.collect(), counted_failed, fx);
    }
}

fn stop_first(state: &mut State, id: JobId, count: u32, fx: &mut Effects) {
    let mut pods: Vec<(u32, &Live)> = state.pods.iter().filter(|(_, pod)| pod.job == id && !pod.stopping).collect();
    removal::sort_for_removal(&mut pods);
    let mut slots: Vec<u32> = pods.into_iter().take(count as usize).map(|(slot, _)| slot).collect();
    slots.sort_by_key(|slot| state.pods.get(*slot).map(|pod| pod.ordinal));
    stop(state, id, slots, false, fx);
}

/// Tells pods to stop. One that no worker has ends here; the others end when their worker says so.
fn stop(state: &mut State, id: JobId, slots: Vec<u32>, counted_failed: bool, fx: &mut Effects) {
    let at = state.now;
    let mut ordinals = Vec::with_capacity(slots.len());
    let (mut ready, mut ends, mut gone) = (0, Vec::new(), Vec::new());
    let budget = state.job(id).events.left();
    let mut said = Vec::new();
    for slot in slots {
        let pod = state.pods.get_mut(slot).expect("an active pod has its slot");
        pod.stopping = true;
        ready += u32::from(pod.is_running());
        let (ordinal, index, place) = (pod.ordinal, pod.index, pod.place);
        ordinals.push(ordinal);
        let job = state.jobs.get_mut(&id).expect("a pod's Job");
        if !job.spec.only_replace_failed || place == Place::Waiting {
            indexes::give_back(job, index);
        }
        if said.len() < budget {
            said.push((ordinal, index));
        }
        match place {
            Place::Waiting => {
                ends.push(state.pods.remove(slot).end(Counted::Dropped, at));
                gone.push(ordinal);
            }
            Place::Queued(worker) | Place::Running(worker, _) => push_stop(fx, worker, Stop { job: id, ordinal, slot }),
        }
    }
    state.record(fx, Fact::PodsStopping { job: id, at, ordinals, ready, counted_failed });
    for (ordinal, index) in said {
        state.note(fx, id, EventNote::SuccessfulDelete { ordinal, index });
    }
    if !gone.is_empty() {
        state.record(fx, Fact::PodsEnded { job: id, ends });
        state.record(fx, Fact::PodsRemoved { job: id, ordinals: gone });
    }
}

fn push_stop(fx: &mut Effects, worker: u32, stop: Stop) {
    match fx.stops.iter_mut().find(|(other, _)| *other == worker) {
        Some((_, stops)) => stops.push(stop),
        None => fx.stops.push((worker, vec![stop])),
    }
}
