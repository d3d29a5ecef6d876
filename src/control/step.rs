//! One step: inputs in, effects out.

use super::effects::{Effects, Input};
use super::job;
use super::live::Place;
use super::state::State;
use super::timers::Due;
use crate::base::Time;
use crate::model::Launch;
use std::sync::Arc;

impl State {
    /// Takes all `inputs` as having happened at `now`, and decides what follows. Time never runs backwards: an earlier
    /// `now` counts as the last one.
    pub fn step(&mut self, now: Time, inputs: &mut Vec<Input>, fx: &mut Effects) {
        self.now = self.now.max(now);
        for input in inputs.drain(..) {
            match input {
                Input::CreateJob(ticket, new) => self.on_create_job(ticket, *new, fx),
                Input::UpdateJob(ticket, change) => self.on_update_job(ticket, *change, fx),
                Input::DeleteJob(ticket, delete) => self.on_delete_job(ticket, &delete, fx),
                Input::RerunJob(ticket, rerun) => {
                    let reply = job::rerun(self, *rerun, fx);
                    fx.replies.push((ticket, reply));
                }
                Input::ChangePod(ticket, change) => self.on_change_pod(ticket, *change, fx),
                Input::CreateDoc(ticket, new) => self.on_create_doc(ticket, new, fx),
                Input::UpdateDoc(ticket, change) => self.on_update_doc(ticket, change, fx),
                Input::DeleteDoc(ticket, delete) => self.on_delete_doc(ticket, delete, fx),
                Input::Drain => self.is_draining = true,
                Input::Report(report) => self.on_report(report, fx),
            }
        }
        while let Some(due) = self.timers.take_due(self.now) {
            match due {
                Due::Job(id) => self.on_job_due(id),
                Due::Pod(slot, job, ordinal) => self.on_pod_due(slot, job, ordinal, fx),
                // Pods are handed out first.
                Due::Room => {}
            }
        }
        for id in std::mem::take(&mut self.dirty) {
            job::sync(self, id, fx);
        }
        self.expire_events(fx);
        self.hand_out(fx);
        self.tell_misfits(fx);
        self.watch_room(fx);
    }

    /// Hands waiting pods to workers that have room.
    fn hand_out(&mut self, fx: &mut Effects) {
        if self.is_draining {
            return;
        }
        while let Some((worker, _)) = self.sched.roomiest() {
            let Some((id, waiters)) = self.sched.take(worker) else { return };
            self.found_room(id, fx);
            let Some(plan) = self.job(id).plan.clone() else {
                assert!(waiters.is_empty(), "a pod of a finished Job waits");
                continue;
            };
            let mut launches = Vec::with_capacity(waiters.len());
            for (slot, ordinal) in waiters {
                let pod = self.pods.named(slot, id, ordinal);
                pod.place = Place::Queued(worker);
                launches.push(Launch { job: id, ordinal, index: pod.index, slot, plan: Arc::clone(&plan) });
            }
            if launches.is_empty() {
                continue;
            }
            self.sched.on_launched(worker, u32::try_from(launches.len()).expect("a quantum"));
            match fx.launches.last_mut() {
                Some((last, batch)) if *last == worker => batch.append(&mut launches),
                _ => fx.launches.push((worker, launches)),
            }
        }
    }
}
