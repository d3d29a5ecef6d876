//! What clients write.

use super::effects::{Effects, NewJob, NewNamespace, NewSpec, Reply, Ticket, WriteError, Written};
use super::state::{Job, State};
use crate::base::JobId;
use crate::model::{Fact, JobRecord, Kind};
use std::sync::Arc;

impl State {
    pub(super) fn on_create_namespace(&mut self, ticket: Ticket, new: &NewNamespace, fx: &mut Effects) {
        let reply = if self.namespaces.insert(Arc::clone(&new.name)) {
            let rv = self.record(fx, Fact::DocWritten);
            Self::write_doc(fx, Kind::Namespace, &Arc::from(""), &new.name, rv, &new.doc);
            Ok(Written { rv })
        } else {
            Err(WriteError::AlreadyExists)
        };
        fx.replies.push((ticket, reply));
    }

    pub(super) fn on_create_job(&mut self, ticket: Ticket, new: NewJob, fx: &mut Effects) {
        let reply = self.create_job(new, fx);
        fx.replies.push((ticket, reply));
    }

    fn create_job(&mut self, new: NewJob, fx: &mut Effects) -> Reply {
        if !self.namespaces.contains(&new.namespace) {
            return Err(WriteError::NoNamespace);
        }
        let names = self.by_name.entry(Arc::clone(&new.namespace)).or_default();
        if names.contains_key(&new.name) {
            return Err(WriteError::AlreadyExists);
        }
        let id = JobId(self.next_job);
        self.next_job = self.next_job.checked_add(1).expect("four thousand million Jobs");
        names.insert(Arc::clone(&new.name), id);
        let fact = Fact::JobCreated {
            job: id,
            uid: new.uid,
            namespace: Arc::clone(&new.namespace),
            name: Arc::clone(&new.name),
            at: new.created,
        };
        let rv = self.record(fx, fact.clone());
        Self::write_doc(fx, Kind::Job, &new.namespace, &new.name, rv, &new.doc);
        let record = JobRecord::created_by(&fact, rv).expect("a creation");
        self.jobs.insert(id, Job::new(record, new.spec, rv, self.uid_key));
        self.dirty.insert(id);
        Ok(Written { rv })
    }

    pub(super) fn on_update_job(&mut self, ticket: Ticket, change: NewSpec, fx: &mut Effects) {
        let reply = self.update_job(change, fx);
        fx.replies.push((ticket, reply));
    }

    fn update_job(&mut self, change: NewSpec, fx: &mut Effects) -> Reply {
        let names = self.by_name.get(&change.namespace).ok_or(WriteError::NotFound)?;
        let id = *names.get(&change.name).ok_or(WriteError::NotFound)?;
        if self.job(id).doc_rv != change.base_rv {
            return Err(WriteError::Conflict);
        }
        let rv = self.record(fx, Fact::JobChanged { job: id });
        Self::write_doc(fx, Kind::Job, &change.namespace, &change.name, rv, &change.doc);
        let uid_key = self.uid_key;
        let job = self.job(id);
        job.plan = Job::plan(&job.record, &change.spec, uid_key);
        job.spec = change.spec;
        job.doc_rv = rv;
        self.dirty.insert(id);
        Ok(Written { rv })
    }
}
