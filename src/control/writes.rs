//! What clients write.

use super::effects::{DeleteDoc, DocChange, Effects, NewDoc, NewJob, NewSpec, Reply, Ticket, WriteError, Written};
use super::job;
use super::state::{Job, State};
use crate::base::JobId;
use crate::model::{Fact, JobRecord, Kind, NodeSays, PriorityClass};
use std::sync::Arc;

impl State {
    pub(super) fn on_create_doc(&mut self, ticket: Ticket, new: NewDoc, fx: &mut Effects) {
        let key = (new.kind, new.name);
        let reply = match self.docs.get(&key) {
            None => Ok(self.put_doc(key, Some(&new.doc), fx)),
            Some(_) => Err(WriteError::AlreadyExists),
        };
        fx.replies.push((ticket, reply));
    }

    pub(super) fn on_update_doc(&mut self, ticket: Ticket, change: DocChange, fx: &mut Effects) {
        let reply = self.change_doc((change.kind, change.name), change.base_rv, Some(&change.doc), fx);
        fx.replies.push((ticket, reply));
    }

    pub(super) fn on_delete_doc(&mut self, ticket: Ticket, delete: DeleteDoc, fx: &mut Effects) {
        let reply = self.change_doc((delete.kind, delete.name), delete.base_rv, None, fx);
        fx.replies.push((ticket, reply));
    }

    fn change_doc(&mut self, key: (Kind, Arc<str>), base_rv: u64, doc: Option<&Arc<str>>, fx: &mut Effects) -> Reply {
        match self.docs.get(&key) {
            None => Err(WriteError::NotFound),
            Some(rv) if *rv != base_rv => Err(WriteError::Conflict),
            Some(_) => Ok(self.put_doc(key, doc, fx)),
        }
    }

    fn put_doc(&mut self, key: (Kind, Arc<str>), doc: Option<&Arc<str>>, fx: &mut Effects) -> Written {
        let rv = self.record(fx, Fact::DocWritten);
        Self::write_doc(fx, key.0, &Arc::from(""), &key.1, rv, doc);
        if key.0 == Kind::PriorityClass {
            // Jobs that could not have pods are looked at again.
            self.dirty.append(&mut self.without_class);
        }
        self.keep_doc(key, rv, doc);
        Written { rv, job_uid: None }
    }

    /// Keeps what is needed of a document, or nothing any more.
    pub(super) fn keep_doc(&mut self, key: (Kind, Arc<str>), rv: u64, doc: Option<&Arc<str>>) {
        let Some(doc) = doc else {
            if key.0 == Kind::PriorityClass {
                self.classes.remove(&key.1);
            }
            if key.0 == Kind::Node {
                self.sched.set_node(None);
            }
            self.docs.remove(&key);
            return;
        };
        if key.0 == Kind::Node {
            let says = NodeSays::from_doc(doc).expect("what is written of a node is validated before it is stored");
            self.sched.set_node(Some(&says));
        }
        if key.0 == Kind::PriorityClass {
            let class = PriorityClass::from_doc(doc).expect("a PriorityClass is validated before it is stored");
            self.classes.insert(Arc::clone(&key.1), class);
        }
        self.docs.insert(key, rv);
    }

    pub(super) fn on_create_job(&mut self, ticket: Ticket, new: NewJob, fx: &mut Effects) {
        let reply = self.create_job(new, fx);
        fx.replies.push((ticket, reply));
    }

    fn create_job(&mut self, new: NewJob, fx: &mut Effects) -> Reply {
        let namespace = (Kind::Namespace, Arc::clone(&new.namespace));
        let Some(((_, namespace), _)) = self.docs.get_key_value(&namespace) else {
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
        self.jobs.insert(id, Box::new(Job::new(record, new.spec, (rv, &new.doc), self.uid_key)));
        self.note_needs(id);
        self.dirty.insert(id);
        Ok(Written { rv, job_uid: Some(new.uid) })
    }

    /// What the Job's pods ask of the node.
    pub(super) fn note_needs(&mut self, id: JobId) {
        self.sched.set_needs(id, self.jobs[&id].spec.template.needs.as_deref());
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
        let before = std::mem::replace(&mut job.spec, change.spec);
        job.doc = job.spec.life.keeps_doc().then_some(change.doc);
        job.doc_rv = rv;
        let job_uid = Some(job.record.uid);
        job::resize(self, id, before.completions, fx);
        self.note_needs(id);
        self.dirty.insert(id);
        Ok(Written { rv, job_uid })
    }
}
