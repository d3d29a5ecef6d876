//! How many pods there should be, and making it so (kubernetes: manageJob).

use super::{backoff, indexes, removal};
use crate::base::{JobId, NAMES_PER_PREFIX};
use crate::control::effects::Effects;
use crate::control::live::{Live, Place};
use crate::control::names::Taken;
use crate::control::state::{Job, State};
use crate::model::{Counted, EventNote, Fact, PodEnd, Stop};

/// Pods created in one step at the most, so that a step stays short; the rest comes in the next.
const CREATED_PER_STEP_MAX: u32 = 4096;

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
    if let Err(why) = state.resolve_priority(id, fx) {
        if state.without_class.insert(id) {
            state.note(fx, id, EventNote::FailedCreate { why: why.into() });
        }
        return;
    }
    let taken = state.taken_names(id);
    let mut left = missing.min(CREATED_PER_STEP_MAX);
    while left > 0 {
        let first = taken.first_free(state.job(id));
        if first == NAMES_PER_PREFIX {
            let why = format!("all {NAMES_PER_PREFIX} pod names of the Job are used up");
            return state.note(fx, id, EventNote::FailedCreate { why: why.into() });
        }
        let created = create_run(state, id, first, run_max(&taken, first, left), fx);
        if created == 0 {
            // Every open index is held by a pod that is stopping; its end brings the Job back here.
            return;
        }
        left -= created;
    }
    if missing > CREATED_PER_STEP_MAX {
        state.dirty.insert(id);
    }
}

/// How many ordinals from `first` on may be given in a row. Rivals are rare; beside one, ordinals are given one by one.
fn run_max(taken: &Taken, first: u32, left: u32) -> u32 {
    if taken.is_empty() { left.min(NAMES_PER_PREFIX - first) } else { 1 }
}

/// Creates up to `max` pods with ordinals from `first` on; says how many.
fn create_run(state: &mut State, id: JobId, first: u32, max: u32, fx: &mut Effects) -> u32 {
    let created = state.now;
    let job = state.job(id);
    let indexes = if job.spec.is_indexed() { indexes::take_lowest(job, max) } else { Vec::new() };
    let count = if job.spec.is_indexed() { indexes.iter().map(|run| run.count).sum() } else { max };
    if count == 0 {
        return 0;
    }
    let budget = job.events.left(created);
    let (priority, is_gated) = (job.record.placement.value(), job.has_gates());
    let said: Vec<(u32, u32)> = Fact::created_pods(first, count, &indexes).take(budget).collect();
    for (ordinal, index) in Fact::created_pods(first, count, &indexes) {
        let place = if is_gated { Place::Gated } else { Place::Waiting };
        let slot = state.pods.insert(Live { place, ..Live::new(id, ordinal, index) });
        if !is_gated {
            state.sched.wait(id, priority, (slot, ordinal));
        }
    }
    state.record(fx, Fact::PodsCreated { job: id, at: created, first, count, indexes });
    for (ordinal, index) in said {
        state.note(fx, id, EventNote::SuccessfulCreate { ordinal, index });
    }
    count
}

/// Stops every active pod: the Job is over.
pub(super) fn stop_all(state: &mut State, id: JobId, counted_failed: bool, fx: &mut Effects) {
    if state.job(id).record.status.active > 0 {
        let slots = state.active_slots(id);
        stop(state, id, slots, counted_failed, fx);
    }
}

fn stop_first(state: &mut State, id: JobId, count: u32, fx: &mut Effects) {
    let job = &state.jobs[&id];
    let is_active = |pod: &Live| !pod.stopping && !job.is_stray(pod.ordinal);
    let mut pods: Vec<(u32, &Live)> = state.pods.of_job(id).filter(|(_, pod)| is_active(pod)).collect();
    removal::sort_for_removal(&mut pods);
    let mut slots: Vec<u32> = pods.into_iter().take(count as usize).map(|(slot, _)| slot).collect();
    slots.sort_by_key(|slot| state.pods.get(*slot).map(|pod| pod.ordinal));
    stop(state, id, slots, false, fx);
}

/// Tells pods to stop. One that no worker has ends here; the others end when their worker says so.
fn stop(state: &mut State, id: JobId, slots: Vec<u32>, counted_failed: bool, fx: &mut Effects) {
    let at = state.now;
    let job = state.jobs.get_mut(&id).expect("a Job with pods");
    let budget = job.events.left(at);
    let mut said = Vec::with_capacity(budget.min(slots.len()));
    let (mut ordinals, mut ready, mut waiting) = (Vec::with_capacity(slots.len()), 0, Vec::new());
    for slot in slots {
        let pod = state.pods.get_mut(slot).expect("an active pod has its slot");
        pod.stopping = true;
        ready += u32::from(pod.is_running());
        ordinals.push(pod.ordinal);
        if said.len() < budget {
            said.push((pod.ordinal, pod.index));
        }
        if !job.spec.only_replace_failed || pod.worker().is_none() {
            indexes::give_back(job, pod);
        }
        match pod.worker() {
            None => waiting.push(slot),
            Some(worker) => fx.stop(worker, Stop { job: id, ordinal: pod.ordinal, slot }),
        }
    }
    state.record(fx, Fact::PodsStopping { job: id, at, ordinals, ready, counted_failed });
    for (ordinal, index) in said {
        state.note(fx, id, EventNote::SuccessfulDelete { ordinal, index });
    }
    end_waiting(state, id, waiting, fx);
}

/// Ends stopped pods that no worker has.
fn end_waiting(state: &mut State, id: JobId, slots: Vec<u32>, fx: &mut Effects) {
    if slots.is_empty() {
        return;
    }
    let at = state.now;
    let ends: Vec<PodEnd> = slots.into_iter().map(|slot| state.forget_pod(slot).end(Counted::Dropped, at)).collect();
    let ordinals = ends.iter().map(|end| end.ordinal).collect();
    // All slots that are free now are still free: nothing was created in between.
    let pods = &state.pods;
    state.sched.retain(id, |(slot, _)| pods.get(*slot).is_some());
    state.record(fx, Fact::PodsEnded { job: id, ends });
    state.record(fx, Fact::PodsRemoved { job: id, ordinals });
}
