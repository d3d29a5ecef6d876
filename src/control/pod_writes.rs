//! What clients do to pods: delete, evict, change.
//!
//! Knows the pods that have not ended; of the others it only knows that a client saw them, and that only clients change
//! those. Invariant: a pod that a client deleted goes as soon as its guest has ended.

use super::effects::{ChangePod, Effects, NewMeta, PodChange, PodSeen, Reply, Ticket, WriteError, Written};
use super::job::{count_deletion, count_unstarted, give_back, restarts};
use super::live::{Live, Place};
use super::state::{State, Touched};
use crate::base::{JobId, NO_INDEX};
use crate::model::{Claim, Counted, DeletedPod, Fact, OwnerReference, PodEnd, PodMeta, Reason, Stop};

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
        match (change, slot) {
            (PodChange::Delete { .. }, None) => Ok(self.remove_ended_pod(job, ordinal, fx)),
            (PodChange::Delete { grace_s, evict }, Some(slot)) => {
                Ok(self.delete_live_pod((job, ordinal), slot, (grace_s, evict), fx))
            }
            (PodChange::Ungate, slot) => Ok(self.ungate((job, ordinal), slot, fx)),
            (PodChange::Meta(meta), slot) => self.change_meta((job, ordinal), slot, &meta, fx),
        }
    }

    fn seen(&self, slot: Option<u32>) -> PodSeen {
        match slot.and_then(|slot| self.pods.get(slot)) {
            None => PodSeen { started: true, stopping: false, ended: true, attempts: 0 },
            Some(pod) => {
                PodSeen { started: pod.is_running(), stopping: pod.stopping, ended: false, attempts: pod.refusals }
            }
        }
    }

    /// A pod whose gates are gone waits for its turn.
    fn ungate(&mut self, (id, ordinal): (JobId, u32), slot: Option<u32>, fx: &mut Effects) -> Written {
        let Some(slot) = slot else { return UNCHANGED };
        let pod = self.pods.get_mut(slot).expect("the slot was looked up");
        if pod.place != Place::Gated {
            return UNCHANGED;
        }
        pod.place = Place::Waiting;
        let priority = self.job(id).record.placement.value();
        self.sched.wait(id, priority, (slot, ordinal));
        let rv = self.record(fx, Fact::PodUngated { job: id, ordinal });
        Written { rv, job_uid: None }
    }

    /// A pod that has ended and was counted goes at once, unless a client keeps it.
    fn remove_ended_pod(&mut self, job: JobId, ordinal: u32, fx: &mut Effects) -> Written {
        let rv = if self.job(job).may_go(ordinal) {
            self.record(fx, Fact::PodsRemoved { job, ordinals: vec![ordinal] })
        } else if self.job(job).doomed.insert(ordinal) {
            let at = self.now;
            self.record(fx, Fact::PodsDeleted { job, at, pods: vec![DeletedPod::ended(ordinal)] })
        } else {
            return UNCHANGED;
        };
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
        pod.evicted = evicted;
        let job = self.jobs.get_mut(&id).expect("the Job was looked up");
        let counted = count_deletion(job, pod, at);
        let (index, was_ready, worker) = (pod.index, pod.is_running(), pod.worker());
        let deleted = DeletedPod { ordinal, index, grace_s, was_ready, counted, evicted };
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
            let (ordinal, index, was_ready) = (pod.ordinal, pod.index, pod.is_running());
            let (counted, evicted) = (Counted::Dropped, false);
            pods.push(DeletedPod { ordinal, index, grace_s, was_ready, counted, evicted });
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

    /// Replaces a pod's metadata, and lets the Job have the pod or let it go (kubernetes: `PodControllerRefManager.ClaimPods`).
    fn change_meta(&mut self, pod: (JobId, u32), slot: Option<u32>, new: &NewMeta, fx: &mut Effects) -> Reply {
        let (id, ordinal) = pod;
        let known = self.job(id).touched.get(&ordinal);
        if known.map(|touched| &touched.meta) != new.base.as_ref() {
            return Err(WriteError::Conflict);
        }
        let rv = self.write_meta(pod, new, &PodMeta::read(&new.meta), Claim::Same, fx);
        let job = self.job(id);
        if job.doomed.contains(&ordinal) {
            self.part_with(id, vec![ordinal], fx);
        } else {
            self.claim(pod, slot, new, fx);
        }
        Ok(Written { rv, job_uid: None })
    }

    fn write_meta(
        &mut self,
        (id, ordinal): (JobId, u32),
        new: &NewMeta,
        meta: &PodMeta,
        claim: Claim,
        fx: &mut Effects,
    ) -> u64 {
        let text = meta.write();
        let job = self.job(id);
        let is_kept = !meta.finalizers.is_empty();
        let changed = (text != new.default).then(|| text.clone());
        match &changed {
            Some(meta) => _ = job.touched.insert(ordinal, Touched { meta: meta.clone(), is_kept }),
            None => _ = job.touched.remove(&ordinal),
        }
        self.record(fx, Fact::PodChanged { job: id, ordinal, meta: changed, claim })
    }

    /// Lets the Job have a pod that it selects and nobody else owns, and let go of one that it no longer selects.
    fn claim(&mut self, pod: (JobId, u32), slot: Option<u32>, new: &NewMeta, fx: &mut Effects) {
        let (id, ordinal) = pod;
        let job = &self.jobs[&id];
        let record = &job.record;
        if record.status.is_finished() || record.placement.orphaned || job.spec.life.is_deleted {
            return;
        }
        let (uid, mut meta) = (record.uid.to_string(), PodMeta::read(&new.meta));
        let is_selected = job.spec.selector.takes(&meta.labels);
        let is_owned = meta.controller() == Some(&*uid);
        let live = slot.and_then(|slot| self.pods.get(slot)).filter(|pod| !pod.stopping);
        let (was_stray, is_ready) = (job.is_stray(ordinal), live.is_some_and(Live::is_running));
        let index = live.map_or(NO_INDEX, |pod| pod.index);
        let is_free = index == NO_INDEX || (job.index_counts(index) && job.retry.contains(&index));
        let may_join = meta.controller().is_none() && is_selected && live.is_some() && (!was_stray || is_free);
        let is_ours = is_selected && (is_owned && (!was_stray || is_free) || may_join);
        if is_owned && !is_ours {
            meta.owner_references.retain(|owner| owner.uid != uid);
        } else if is_ours && !is_owned {
            meta.owner_references.push(OwnerReference {
                api_version: "batch/v1".to_owned(),
                kind: "Job".to_owned(),
                name: record.name.to_string(),
                uid,
                controller: Some(true),
                block_owner_deletion: Some(true),
            });
        }
        let is_changed = is_owned != is_ours;
        let claim = match (live.is_some(), was_stray, is_ours) {
            (true, true, true) => Claim::Joined { is_ready },
            (true, false, false) => Claim::Left { was_ready: is_ready },
            _ => Claim::Same,
        };
        if !is_changed && claim == Claim::Same {
            return;
        }
        self.write_meta(pod, new, &meta, claim, fx);
        self.note_claim(pod, slot, claim);
    }

    fn note_claim(&mut self, (id, ordinal): (JobId, u32), slot: Option<u32>, claim: Claim) {
        let Some(pod) = slot.and_then(|slot| self.pods.get_mut(slot)) else { return };
        let job = self.jobs.get_mut(&id).expect("the Job was looked up");
        match claim {
            Claim::Same => return,
            Claim::Left { .. } => {
                give_back(job, pod);
                job.restart_sum -= restarts::count(job, ordinal);
            }
            Claim::Joined { .. } => {
                job.retry.remove(&pod.index);
                pod.holds_index = true;
                job.restart_sum += restarts::count(job, ordinal);
            }
        }
        self.dirty.insert(id);
    }

    /// Ends deleted pods that no worker has.
    fn end_unstarted(&mut self, id: JobId, slots: &[u32], fx: &mut Effects) {
        if slots.is_empty() {
            return;
        }
        let (at, mut ends) = (self.now, Vec::with_capacity(slots.len()));
        for slot in slots {
            let mut pod = self.forget_pod(*slot);
            let job = self.job(id);
            restarts::forget(job, pod.ordinal);
            let unstarted = pod.end(Counted::Dropped, at);
            let mut end = PodEnd { exit_code: STOPPED_EXIT_CODE, reason: Reason::Error, ..unstarted };
            end.counted = count_unstarted(job, &mut pod, &end);
            ends.push(end);
        }
        // All slots that are free now are still free: nothing was created in between.
        let pods = &self.pods;
        self.sched.retain(id, |(slot, _)| pods.get(*slot).is_some());
        self.record_ends(id, ends, fx);
    }
}
