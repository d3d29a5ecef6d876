//! Deleting a Job, and everything that refers to it with it.
//!
//! The one form of deletion here is Kubernetes' Background: the Job and its pods are gone at once. What the workers still
//! run of it is told to stop and keeps its slots until it has ended, but its end is not shown any more. Invariant: after a
//! deletion nothing but those slots knows the Job, and its number is never given again.

use super::effects::{DeleteJob, Effects, Reply, Ticket, WriteError, Written};
use super::state::State;
use crate::base::JobId;
use crate::model::{Fact, JobRecord, Kind, Stop};

impl State {
    pub(super) fn on_delete_job(&mut self, ticket: Ticket, delete: &DeleteJob, fx: &mut Effects) {
        let reply = self.delete_job(delete, fx);
        fx.replies.push((ticket, reply));
    }

    fn delete_job(&mut self, delete: &DeleteJob, fx: &mut Effects) -> Reply {
        let id = self.job_named(&delete.namespace, &delete.name)?;
        let JobRecord { uid, rv, .. } = self.job(id).record;
        if delete.uid.is_some_and(|wanted| wanted != uid) {
            return Err(WriteError::WrongUid { found: uid });
        }
        if delete.rv.is_some_and(|wanted| wanted != rv) {
            return Err(WriteError::WrongVersion { found: rv });
        }
        Ok(Written { rv: self.remove_job(id, fx), job_uid: Some(uid) })
    }

    /// Deletes a Job; gives the version of its end.
    pub(super) fn remove_job(&mut self, id: JobId, fx: &mut Effects) -> u64 {
        self.let_go_of_pods(id, fx);
        let at = self.now;
        let JobRecord { next_ordinal: ordinals, namespace, name, .. } = self.job(id).record.clone();
        let rv = self.record(fx, Fact::JobRemoved { job: id, at, ordinals }) + u64::from(ordinals);
        Self::write_doc(fx, Kind::Job, &namespace, &name, rv, None);
        self.forget_job(id);
        rv
    }

    /// Tells the workers to stop what they have of the Job, and forgets its other pods.
    fn let_go_of_pods(&mut self, id: JobId, fx: &mut Effects) {
        let slots: Vec<u32> = self.pods.of_job(id).map(|(slot, _)| slot).collect();
        let (mut ordinals, mut ready) = (Vec::new(), 0);
        for slot in slots {
            let pod = self.pods.get_mut(slot).expect("the list leads to pods that are there");
            let Some(worker) = pod.worker() else {
                self.forget_pod(slot);
                continue;
            };
            if !std::mem::replace(&mut pod.stopping, true) {
                ready += u32::from(pod.is_running());
                ordinals.push(pod.ordinal);
                fx.stop(worker, Stop { job: id, ordinal: pod.ordinal, slot });
            }
        }
        self.sched.forget(id);
        if !ordinals.is_empty() {
            ordinals.sort_unstable();
            let at = self.now;
            self.record(fx, Fact::PodsStopping { job: id, at, ordinals, ready, counted_failed: false });
        }
    }

    fn forget_job(&mut self, id: JobId) {
        self.forget_wake(id);
        self.dirty.remove(&id);
        self.without_class.remove(&id);
        let record = self.jobs.remove(&id).expect("the Job that was named").record;
        let names = self.by_name.get_mut(&record.namespace).expect("every Job has its name");
        names.remove(&record.name);
        if names.is_empty() {
            self.by_name.remove(&record.namespace);
        }
    }
}
