//! What clients write.

use super::effects::{Effects, NamespaceChange, NewJob, NewNamespace, NewSpec, Reply, Ticket, WriteError, Written};
use super::state::{Job, State};
use crate::base::JobId;
use crate::model::{Fact, JobRecord, Kind};
use std::sync::Arc;

impl State {
    pub(super) fn on_create_namespace(&mut self, ticket: Ticket, new: &NewNamespace, fx: &mut Effects) {
        let reply = match self.namespaces.get(&new.name) {
            None => Ok(self.write_namespace(&new.name, &new.doc, fx)),
            Some(_) => Err(WriteError::AlreadyExists),
        };
        fx.replies.push((ticket, reply));
    }

    pub(super) fn on_update_namespace(&mut self, ticket: Ticket, change: &NamespaceChange, fx: &mut Effects) {
        let reply = match self.namespaces.get(&change.name) {
            None => Err(WriteError::NotFound),
            Some(rv) if *rv != change.base_rv => Err(WriteError::Conflict),
            Some(_) => Ok(self.write_namespace(&change.name, &change.doc, fx)),
        };
        fx.replies.push((ticket, reply));
    }

    fn write_namespace(&mut self, name: &Arc<str>, doc: &Arc<str>, fx: &mut Effects) -> Written {
        let rv = self.record(fx, Fact::DocWritten);
        Self::write_doc(fx, Kind::Namespace, &Arc::from(""), name, rv, Some(doc));
        self.namespaces.insert(Arc::clone(name), rv);
        Written { rv, job_uid: None }
    }

    pub(super) fn on_create_job(&mut self, ticket: Ticket, new: NewJob, fx: &mut Effects) {
        let reply = self.create_job(new, fx);
        fx.replies.push((ticket, reply));
    }

    fn create_job(&mut self, new: NewJob, fx: &mut Effects) -> Reply {
        let Some((namespace, _)) = self.namespaces.get_key_value(&new.namespace) else {
            return Err(WriteError::NoNamespace);
        };
        // One text for all of its Jobs.
        let namespace = Arc::clone(namespace);
        let names = self.by_name.entry(Arc::clone(&namespace)).or_default();
        if names.contains_key(&new.name) {
            return Err(WriteError::AlreadyExists);
        }
        let id = JobId(self.next_job);
        self.next_job = self.next_job.checked_add(1).expect("four thousand million Jobs");
        names.insert(Arc::clone(&new.name), id);
        let fact = Fact::JobCreated {
            job: id,
            uid: new.uid,
            namespace: Arc::clone(&namespace),
            name: Arc::clone(&new.name),
            at: new.created,
        };
        let rv = self.record(fx, fact.clone());
        Self::write_doc(fx, Kind::Job, &namespace, &new.name, rv, Some(&new.doc));
        let record = JobRecord::created_by(&fact, rv).expect("a creation");
        self.jobs.insert(id, Box::new(Job::new(record, new.spec, rv, self.uid_key)));
        self.dirty.insert(id);
        Ok(Written { rv, job_uid: Some(new.uid) })
    }

    pub(super) fn job_named(&self, namespace: &str, name: &str) -> Result<JobId, WriteError> {
        let found = self.by_name.get(namespace).and_then(|names| names.get(name));
        found.copied().ok_or(WriteError::NotFound)
    }

    pub(super) fn on_update_job(&mut self, ticket: Ticket, change: NewSpec, fx: &mut Effects) {
        let reply = self.update_job(change, fx);
        fx.replies.push((ticket, reply));
    }

    fn update_job(&mut self, change: NewSpec, fx: &mut Effects) -> Reply {
        let id = self.job_named(&change.namespace, &change.name)?;
        if self.job(id).doc_rv != change.base_rv {
            return Err(WriteError::Conflict);
        }
        let rv = self.record(fx, Fact::JobChanged { job: id });
        Self::write_doc(fx, Kind::Job, &change.namespace, &change.name, rv, Some(&change.doc));
        let uid_key = self.uid_key;
        let job = self.job(id);
        job.plan = Some(Job::plan(&job.record, &change.spec, uid_key));
        job.spec = change.spec;
        job.doc_rv = rv;
        let job_uid = Some(job.record.uid);
        self.dirty.insert(id);
        Ok(Written { rv, job_uid })
    }
}
