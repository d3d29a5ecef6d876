//! What clients do to pods: delete, evict, change.
//!
//! Knows the pods that have not ended; of the others it only knows that a client saw them, and that only clients change
//! those. Invariant: a pod that a client deleted goes as soon as its guest has ended.

use super::effects::{ChangePod, Effects, PodChange, PodSeen, Reply, Ticket, WriteError, Written};
use super::job::{count_deletion, count_unstarted};
use super::state::State;
use crate::base::JobId;
use crate::model::{DeletedPod, Fact, PodEnd, Reason, Stop};

/// 128 + SIGTERM: how a pod ends that never ran.
const STOPPED_EXIT_CODE: u8 = 143;

/// The answer to a change that changed nothing.
const UNCHANGED: Written = Written { rv: 0, job_uid: None };

impl State {
    pub(super) fn on_change_pod(&mut self, ticket: Ticket, change: ChangePod, fx: &mut Effects) {
        let reply = self.change_pod(change, fx);
        fx.replies.push((ticket, reply));
    }

    fn change_pod(&mut self, change: ChangePod, fx: &mut Effects) -> Reply {
        let ChangePod { job, ordinal, seen, change } = change;
        if !self.jobs.contains_key(&job) {
            return Err(WriteError::NotFound);
        }
        let slot = self.pods.slot_of(job, ordinal);
        if seen.is_some_and(|seen| seen != self.seen(slot)) {
            return Err(WriteError::Conflict);
        }
        let PodChange::Delete { grace_s, evict } = change else { return Err(WriteError::Conflict) };
        match slot {
            None => Ok(self.remove_ended_pod(job, ordinal, fx)),
            Some(slot) => Ok(self.delete_live_pod((job, ordinal), slot, (grace_s, evict), fx)),
        }
    }

    fn seen(&self, slot: Option<u32>) -> PodSeen {
        match slot.and_then(|slot| self.pods.get(slot)) {
            None => PodSeen { started: true, stopping: false, ended: true, attempts: 0 },
            Some(pod) => PodSeen {
                started: pod.is_running(),
                stopping: pod.stopping,
                ended: false,
                attempts: pod.refusals,
            },
        }
    }

    /// A pod that has ended and was counted goes at once.
    fn remove_ended_pod(&mut self, job: JobId, ordinal: u32, fx: &mut Effects) -> Written {
        let rv = self.record(fx, Fact::PodsRemoved { job, ordinals: vec![ordinal] });
        Written { rv, job_uid: None }
    }

    fn delete_live_pod(
        &mut self,
        (id, ordinal): (JobId, u32),
        slot: u32,
        (grace_s, evicted): (u32, bool),
        fx: &mut Effects,
    ) -> Written {
        let at = self.now;
        let pod = self.pods.get_mut(slot).expect("the slot was looked up");
        if std::mem::replace(&mut pod.stopping, true) {
            // Its guest was told already, and a stop lets it do nothing more.
            return UNCHANGED;
        }
        let job = self.jobs.get_mut(&id).expect("the Job was looked up");
        let counted_failed = count_deletion(job, pod, at);
        let (was_ready, worker) = (pod.is_running(), pod.worker());
        let deleted = DeletedPod { ordinal, grace_s, was_ready, counted_failed, evicted };
        let rv = self.record(fx, Fact::PodsDeleted { job: id, at, pods: vec![deleted] });
        match worker {
            Some(worker) => fx.stop(worker, Stop { job: id, ordinal, slot }),
            None => self.end_unstarted(id, &[slot], fx),
        }
        self.dirty.insert(id);
        Written { rv, job_uid: None }
    }

    /// Deletes the Job's active pods, of which none counts: the Job is being deleted.
    pub(super) fn delete_active_pods(&mut self, id: JobId, fx: &mut Effects) {
        let (at, mut pods, mut unstarted) = (self.now, Vec::new(), Vec::new());
        let grace_s = self.job(id).spec.template.grace_s;
        for slot in self.active_slots(id) {
            let pod = self.pods.get_mut(slot).expect("an active pod has its slot");
            pod.stopping = true;
            let (ordinal, was_ready) = (pod.ordinal, pod.is_running());
            pods.push(DeletedPod { ordinal, grace_s, was_ready, counted_failed: false, evicted: false });
            match pod.worker() {
                Some(worker) => fx.stop(worker, Stop { job: id, ordinal, slot }),
                None => unstarted.push(slot),
            }
        }
        if !pods.is_empty() {
            self.record(fx, Fact::PodsDeleted { job: id, at, pods });
            self.end_unstarted(id, &unstarted, fx);
        }
    }

    /// Ends deleted pods that no worker has.
    fn end_unstarted(&mut self, id: JobId, slots: &[u32], fx: &mut Effects) {
        if slots.is_empty() {
            return;
        }
        let (at, mut ends) = (self.now, Vec::with_capacity(slots.len()));
        for slot in slots {
            let mut pod = self.forget_pod(*slot);
            let counted = count_unstarted(self.job(id), &mut pod, at);
            ends.push(PodEnd { exit_code: STOPPED_EXIT_CODE, reason: Reason::Error, ..pod.end(counted, at) });
        }
        // All slots that are free now are still free: nothing was created in between.
        let pods = &self.pods;
        self.sched.retain(id, |(slot, _)| pods.get(*slot).is_some());
        let ordinals = ends.iter().map(|end| end.ordinal).collect();
        self.record(fx, Fact::PodsEnded { job: id, ends });
        self.record(fx, Fact::PodsRemoved { job: id, ordinals });
    }
}
