//! How many pods there should be, and making it so (kubernetes: manageJob).

use super::{backoff, held, indexes, removal, restarts};
use crate::base::{JobId, NAMES_PER_PREFIX};
use crate::control::effects::Effects;
use crate::control::live::{Live, Place};
use crate::control::names::Taken;
use crate::control::state::{Job, State};
use crate::model::{Counted, EventNote, Fact, IndexRun, PodEnd, Stop};

/// Pods created in one step at the most, so that a step stays short; the rest comes in the next.
const CREATED_PER_STEP_MAX: u32 = 4096;

/// Creates or stops pods until as many are active as should be.
pub(super) fn manage(state: &mut State, id: JobId, fx: &mut Effects) {
    let job = state.job(id);
    // What is removed here does not count as failed, and nothing is created in the same sync.
    if job.spec.suspend {
        return stop_all(state, id, false, fx);
    }
    let status = &job.record.status;
    let (active, terminating) = (status.active, status.terminating);
    let wanted = wanted_active(job);
    if std::mem::take(&mut job.is_cut) && stop_out_of_range(state, id, active.saturating_sub(wanted), fx) {
        state.dirty.insert(id);
        return;
    }
    if active > wanted {
        return stop_first(state, id, active - wanted, fx);
    }
    let job = state.job(id);
    let held = if job.spec.only_replace_failed { terminating } else { 0 };
    let missing = (wanted - active).saturating_sub(held);
    if missing == 0 {
        return;
    }
    if job.record.per_index.is_some() {
        create(state, id, missing, fx);
        return wake_for_index(state, id);
    }
    let (now, delays) = (state.now, state.job(id).spec.backoff_delays);
    let wait_ms = backoff::remaining_ms(state.job(id).record.backoff, delays, now);
    if wait_ms > 0 {
        return state.wake_at(now.plus_ms(backoff::wake_ms(wait_ms, delays)), id);
    }
    create(state, id, missing, fx);
}

/// Looks again when the first index may run that waits for the end of its back-off.
fn wake_for_index(state: &mut State, id: JobId) {
    let now = state.now;
    let job = state.job(id);
    if let Some(until) = job.resting.next() {
        let wait_ms = backoff::wake_ms(until.since_ms(now), job.spec.backoff_delays);
        state.wake_at(now.plus_ms(wait_ms), id);
    }
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
    let now = state.now;
    let job = state.job(id);
    // Fewer indexes than pods are missing when others are held by pods that are stopping, or rest.
    let indexes = match job.spec.is_indexed() {
        true => indexes::take_lowest(job, missing, CREATED_PER_STEP_MAX, now),
        false => Vec::new(),
    };
    let count = if job.spec.is_indexed() { len(&indexes) } else { missing.min(CREATED_PER_STEP_MAX) };
    let mut done = 0;
    while done < count {
        let first = taken.first_free(state.job(id));
        if first == NAMES_PER_PREFIX {
            let why = format!("all {NAMES_PER_PREFIX} pod names of the Job are used up");
            indexes::put_back(state.job(id), indexes.get(done as usize..).unwrap_or_default());
            return state.note(fx, id, EventNote::FailedCreate { why: why.into() });
        }
        let run = run_max(&taken, first, count - done);
        let of_run = indexes.get(done as usize..(done + run) as usize).unwrap_or_default();
        create_run(state, id, (first, run), &indexes::runs(of_run), fx);
        done += run;
    }
    if count == CREATED_PER_STEP_MAX && missing > count {
        state.dirty.insert(id);
    }
}

fn len(indexes: &[u32]) -> u32 {
    u32::try_from(indexes.len()).expect("no more than are created in a step")
}

/// How many ordinals from `first` on may be given in a row. Rivals are rare; beside one, ordinals are given one by one.
fn run_max(taken: &Taken, first: u32, left: u32) -> u32 {
    if taken.is_empty() { left.min(NAMES_PER_PREFIX - first) } else { 1 }
}

/// Creates `count` pods with ordinals from `first` on.
fn create_run(state: &mut State, id: JobId, (first, count): (u32, u32), indexes: &[IndexRun], fx: &mut Effects) {
    let created = state.now;
    let job = state.job(id);
    let replaces_held = held::note_replaced(job, indexes);
    let budget = job.events.left(created);
    let (priority, is_gated) = (job.record.placement.value(), job.has_gates());
    let said: Vec<(u32, u32)> = Fact::created_pods(first, count, indexes).take(budget).collect();
    for (ordinal, index) in Fact::created_pods(first, count, indexes) {
        let place = if is_gated { Place::Gated } else { Place::Waiting };
        let slot = state.pods.insert(Live { place, ..Live::new(id, ordinal, index) });
        if !is_gated {
            state.sched.wait(id, priority, (slot, ordinal));
        }
    }
    state.record(fx, Fact::PodsCreated { job: id, at: created, first, count, indexes: indexes.to_vec() });
    for (ordinal, index) in said {
        state.note(fx, id, EventNote::SuccessfulCreate { ordinal, index });
    }
    if replaces_held {
        state.dirty.insert(id);
    }
}

/// Stops every active pod: the Job is over, or suspended. One whose index is out of range does not count.
pub(super) fn stop_all(state: &mut State, id: JobId, counted_failed: bool, fx: &mut Effects) {
    if state.job(id).record.status.active == 0 {
        return;
    }
    let slots = state.active_slots(id);
    let (pods, job) = (&state.pods, &state.jobs[&id]);
    let counts = |slot: &u32| counted_failed && pods.get(*slot).is_some_and(|pod| job.index_counts(pod.index));
    let (counted, others): (Vec<u32>, Vec<u32>) = slots.into_iter().partition(counts);
    for (slots, counted_failed) in [(counted, true), (others, false)] {
        if !slots.is_empty() {
            stop(state, id, slots, counted_failed, fx);
        }
    }
}

/// Stops the pods whose index is not below `completions` any more, and others until at least `count` are stopped. False when
/// there are none of the first kind.
fn stop_out_of_range(state: &mut State, id: JobId, count: u32, fx: &mut Effects) -> bool {
    let mut pods: Vec<(u32, &Live)> = state.active_pods(id).collect();
    let job = &state.jobs[&id];
    removal::sort_for_removal(job, &mut pods);
    pods.sort_by_key(|(_, pod)| job.index_counts(pod.index));
    let out = pods.iter().take_while(|(_, pod)| !job.index_counts(pod.index)).count();
    let slots: Vec<u32> = pods.into_iter().take(out.max(count as usize)).map(|(slot, _)| slot).collect();
    if out == 0 {
        return false;
    }
    stop(state, id, in_order(state, slots), false, fx);
    true
}

/// Slots in order of their pods' ordinals.
fn in_order(state: &State, mut slots: Vec<u32>) -> Vec<u32> {
    slots.sort_by_key(|slot| state.pods.get(*slot).map(|pod| pod.ordinal));
    slots
}

fn stop_first(state: &mut State, id: JobId, count: u32, fx: &mut Effects) {
    let mut pods: Vec<(u32, &Live)> = state.active_pods(id).collect();
    removal::sort_for_removal(&state.jobs[&id], &mut pods);
    let slots = pods.into_iter().take(count as usize).map(|(slot, _)| slot).collect();
    stop(state, id, in_order(state, slots), false, fx);
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
    ends.iter().for_each(|end| restarts::forget(state.job(id), end.ordinal));
    // All slots that are free now are still free: nothing was created in between.
    let pods = &state.pods;
    state.sched.retain(id, |(slot, _)| pods.get(*slot).is_some());
    state.record_ends(id, ends, fx);
}
