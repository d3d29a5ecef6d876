//! Pods that wait because every worker is full, or because they do not fit (kubernetes: kube-scheduler, `FailedScheduling`).
//!
//! They wait here and never fail. It is said of a Job, once it lasts, not of each of its pods. Invariant: a pod that waits
//! only for its turn is not said to find no room.

use super::effects::Effects;
use super::fit::unplaced;
use super::state::{Job, State};
use super::timers::Due;
use crate::base::{JobId, Time};
use crate::model::{Crowded, EventNote, Fact};
use std::sync::Arc;

/// How long everything must have been full before it is said, ms, so that nothing is said about a moment.
pub(super) const NO_ROOM_AFTER_MS: u64 = 1000;

/// How often it is said about a Job, ms (kubernetes: kube-scheduler tries an unschedulable pod again after five minutes).
pub(super) const NO_ROOM_EVERY_MS: u64 = 300_000;

/// Whether it is time for an Event about the Job, which is taken as said then.
fn is_due(job: &mut Job, now: Time) -> bool {
    let is_due = job.no_room_said.is_none_or(|said| now.since_ms(said) >= NO_ROOM_EVERY_MS);
    if is_due {
        job.no_room_said = Some(now);
    }
    is_due
}

impl State {
    /// Looks whether pods wait because everything is full, after all that there is room for were handed out.
    pub(super) fn watch_room(&mut self, fx: &mut Effects) {
        let now = self.now;
        let is_full = !self.is_draining && self.sched.is_full() && self.sched.oldest().next().is_some();
        match self.room_due {
            Some(due) if is_full && due > now => return,
            Some(_) if is_full => self.tell_no_room(fx),
            Some(due) => self.timers.cancel(due, Due::Room),
            None => {}
        }
        self.room_due = is_full.then(|| now.plus_ms(NO_ROOM_AFTER_MS));
        if let Some(due) = self.room_due {
            self.timers.set(due, Due::Room);
        }
    }

    /// Says it of every Job whose pods wait, and of the pod of it that waits longest.
    fn tell_no_room(&mut self, fx: &mut Effects) {
        let oldest: Vec<(JobId, u32)> = self.sched.oldest().map(|(id, (slot, _))| (id, slot)).collect();
        for (id, slot) in oldest {
            let pod = self.pods.get(slot).expect("a pod that waits has its slot");
            let (ordinal, index) = (pod.ordinal, pod.index);
            self.tell_no_room_of(id, ordinal, index, fx);
        }
    }

    /// Says it of one Job, and of the pod of it that waits longest.
    fn tell_no_room_of(&mut self, id: JobId, ordinal: u32, index: u32, fx: &mut Effects) {
        let now = self.now;
        if self.job(id).record.placement.no_room.is_none() {
            self.record(fx, Fact::NoRoom { job: id, since: Some(now) });
        }
        if is_due(self.job(id), now) {
            self.note(fx, id, EventNote::FailedScheduling { ordinal, index });
        }
    }

    /// A worker has had no slot for a pod for a while.
    pub(super) fn on_crowded(&mut self, pod: &Crowded, fx: &mut Effects) {
        let waits =
            self.pods.get(pod.slot).filter(|live| (live.job, live.ordinal) == (pod.job, pod.ordinal) && !live.stopping);
        if let Some(index) = waits.map(|live| live.index).filter(|_| self.jobs.contains_key(&pod.job)) {
            self.tell_no_room_of(pod.job, pod.ordinal, index, fx);
        }
    }

    /// Pods of a Job have started: perhaps all run that are not here.
    pub(super) fn found_slots(&mut self, id: JobId, fx: &mut Effects) {
        let record = &self.job(id).record;
        if record.placement.no_room.is_some() && record.status.ready == record.status.active {
            self.found_room(id, fx);
        }
    }

    /// A Job was given room: perhaps none of its pods waits any more.
    pub(super) fn found_room(&mut self, id: JobId, fx: &mut Effects) {
        if self.sched.has(id) {
            return;
        }
        let record = &self.job(id).record;
        if record.status.is_finished() {
            return;
        }
        let (no_room, unplaced) = (record.placement.no_room.is_some(), record.placement.unplaced.is_some());
        if no_room {
            self.record(fx, Fact::NoRoom { job: id, since: None });
        }
        if unplaced {
            self.record(fx, Fact::Unplaced { job: id, unplaced: None });
        }
    }

    /// Says of the Jobs whose pods were found not to fit that it is so, and of the pod of each that waits longest.
    pub(super) fn tell_misfits(&mut self, fx: &mut Effects) {
        for id in self.sched.take_newly_parked() {
            let (Some(fit), Some((slot, _))) = (self.sched.misfit(id), self.sched.oldest_of(id)) else { continue };
            let now = self.now;
            let job = self.jobs.get_mut(&id).expect("a Job that waits is there");
            let told = job.record.placement.unplaced.as_ref();
            let unplaced = unplaced(fit, job.spec.template.needs.as_deref(), told.map_or(now, |told| told.since));
            let is_news = told.is_none_or(|told| told.why != unplaced.why);
            let is_due = is_due(job, now);
            let why = Arc::clone(&unplaced.why);
            if is_news {
                self.record(fx, Fact::Unplaced { job: id, unplaced: Some(unplaced) });
            }
            if is_due {
                let pod = self.pods.get(slot).expect("a pod that waits has its slot");
                let note = EventNote::Unschedulable { ordinal: pod.ordinal, index: pod.index, why };
                self.note(fx, id, note);
            }
        }
    }
}
