//! Deleting a Job, and everything that refers to it with it (kubernetes: `garbagecollector.go`, `BeforeDelete`).
//!
//! Without finalizers the Job and its pods are gone at once (Background). Otherwise it stays with a deletionTimestamp: until
//! its pods are gone (Foreground), until clients have removed their finalizers, or for one version before its pods lose their
//! owner (Orphan). What the workers still run of a Job that is gone is told to stop and keeps its slots until it has ended, but
//! its end is not shown any more. Invariant: after a deletion nothing but those slots, and pods that were kept, knows the Job,
//! and its number is never given again.

use super::effects::{DeleteJob, Effects, Propagation, Reply, Ticket, WriteError, Written};
use super::state::State;
use crate::base::JobId;
use crate::model::{FOREGROUND_FINALIZER, Fact, JobRecord, Kind, Life, ORPHAN_FINALIZER, Stop};
use std::sync::Arc;

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
        let rv = self.delete(id, delete.propagation, Some(&delete.doc), fx)?;
        Ok(Written { rv, job_uid: Some(uid) })
    }

    /// Deletes a Job as a client would, who knows its document at a version; that of one with finalizers is known here. Gives
    /// the version at which it is gone or being deleted, 0 when that is nothing new.
    pub(super) fn delete(
        &mut self,
        id: JobId,
        propagation: Propagation,
        known: Option<&(u64, Arc<str>)>,
        fx: &mut Effects,
    ) -> Result<u64, WriteError> {
        let job = self.job(id);
        let life = &job.spec.life;
        let mut finalizers = life.of_clients();
        match propagation {
            Propagation::Background => {}
            Propagation::Foreground => finalizers.push(FOREGROUND_FINALIZER.to_owned()),
            Propagation::Orphan => finalizers.push(ORPHAN_FINALIZER.to_owned()),
        }
        if finalizers.is_empty() {
            return Ok(self.delete_now(id, fx));
        }
        if life.is_deleted && life.finalizers == finalizers {
            return Ok(0);
        }
        let known = known.filter(|(rv, _)| *rv == job.doc_rv).map(|(_, doc)| doc);
        let doc = job.doc.as_ref().or(known).map(Arc::clone).ok_or(WriteError::Conflict)?;
        Ok(self.write_end(id, &doc, finalizers, fx))
    }

    /// The Job goes with the pods that are its own; the others are kept.
    fn delete_now(&mut self, id: JobId, fx: &mut Effects) -> u64 {
        if !self.job(id).has_strays() {
            return self.remove_job(id, fx);
        }
        self.remove_pods(id, fx);
        self.orphan_pods(id, fx)
    }

    /// Writes that the Job is being deleted and what it still waits for.
    fn write_end(&mut self, id: JobId, doc: &Arc<str>, finalizers: Vec<String>, fx: &mut Effects) -> u64 {
        let at = self.now;
        let rv = self.record(fx, Fact::JobChanged { job: id });
        let job = self.job(id);
        let doc = job.spec.life.write(doc, &finalizers, at);
        Self::write_doc(fx, Kind::Job, &job.record.namespace, &job.record.name, rv, Some(&doc));
        let is_first = !job.spec.life.is_deleted;
        job.spec.life = Life { finalizers, is_deleted: true };
        job.doc_rv = rv;
        job.doc = Some(doc);
        if is_first && job.spec.life.has(FOREGROUND_FINALIZER) {
            self.remove_pods(id, fx);
        }
        self.dirty.insert(id);
        rv
    }

    /// The Job's pods are deleted; none of them counts.
    fn remove_pods(&mut self, id: JobId, fx: &mut Effects) {
        self.delete_active_pods(id, fx);
        let ordinals = self.job(id).record.next_ordinal;
        if ordinals > 0 {
            self.record(fx, Fact::EndedPodsRemoved { job: id, ordinals });
        }
    }

    /// Lets a Job that is being deleted come as far as it can; true when it is gone.
    pub(super) fn end_deleted(&mut self, id: JobId, fx: &mut Effects) -> bool {
        let life = &self.jobs[&id].spec.life;
        if !life.is_deleted {
            return false;
        }
        if life.has(FOREGROUND_FINALIZER) && self.pods.of_job(id).next().is_none() {
            let left = life.of_clients();
            if left.is_empty() {
                self.delete_now(id, fx);
                return true;
            }
            let doc = self.job(id).doc.clone().expect("the document of a Job that is being deleted is kept");
            self.write_end(id, &doc, left, fx);
        }
        let life = &self.job(id).spec.life;
        if life.finalizers.is_empty() {
            self.delete_now(id, fx);
            return true;
        }
        if life.finalizers == [ORPHAN_FINALIZER] {
            self.orphan_pods(id, fx);
            return true;
        }
        false
    }

    /// The Job and its pods are gone; the version at which the Job is.
    fn remove_job(&mut self, id: JobId, fx: &mut Effects) -> u64 {
        self.let_go_of_pods(id, fx);
        let at = self.now;
        let JobRecord { next_ordinal: ordinals, namespace, name, .. } = &self.job(id).record;
        let (ordinals, namespace, name) = (*ordinals, Arc::clone(namespace), Arc::clone(name));
        let rv = self.record(fx, Fact::JobRemoved { job: id, at, ordinals }) + u64::from(ordinals);
        Self::write_doc(fx, Kind::Job, &namespace, &name, rv, None);
        self.forget_job(id);
        rv
    }

    /// The Job is gone, its pods go on without an owner. What was known of it stays for them.
    fn orphan_pods(&mut self, id: JobId, fx: &mut Effects) -> u64 {
        let at = self.now;
        let job = self.job(id);
        let JobRecord { next_ordinal: ordinals, namespace, name, .. } = &job.record;
        if *ordinals == 0 {
            return self.remove_job(id, fx);
        }
        let (ordinals, namespace, name) = (*ordinals, Arc::clone(namespace), Arc::clone(name));
        job.doc = None;
        let rv = self.record(fx, Fact::JobOrphaned { job: id, at, ordinals });
        self.unlist(id);
        self.orphans.entry(namespace).or_default().insert((name, id));
        rv + u64::from(ordinals)
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
        self.unlist(id);
        self.jobs.remove(&id);
    }

    /// The Job is not looked at any more, and its name is free.
    fn unlist(&mut self, id: JobId) {
        self.forget_wake(id);
        self.dirty.remove(&id);
        self.without_class.remove(&id);
        let record = &self.jobs[&id].record;
        let names = self.by_name.get_mut(&record.namespace).expect("every Job has its name");
        names.remove(&record.name);
        if names.is_empty() {
            self.by_name.remove(&record.namespace);
        }
    }
}
