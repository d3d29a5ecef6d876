//! What a reader gets: an object's state at one version, cheap to clone, rendered outside the lock.
//!
//! Knows no lock and no watch. Invariant: an object never changes once it was handed out.

use super::doc::{JobDoc, JobKey, NamespaceDoc};
use super::render;
use crate::base::{Time, Uid};
use crate::model::{Event, JobSpec, JobStatus, PodRecord};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A Job at one version.
#[derive(Clone, Debug)]
pub struct JobObject {
    /// Its resourceVersion.
    pub rv: u64,
    /// When it was created.
    pub created: Time,
    /// What the client wrote.
    pub doc: Arc<JobDoc>,
    /// The status that clients see.
    pub status: Arc<JobStatus>,
}

/// A pod at one version.
#[derive(Clone, Debug)]
pub struct PodObject {
    /// Its record.
    pub record: PodRecord,
    /// `state.waiting.message` or `state.terminated.message`.
    pub message: Option<Arc<str>>,
    /// When it was told to stop.
    pub stop: Option<Time>,
    /// Its Job as it is now.
    pub job: Arc<JobDoc>,
}

/// An Event about a Job.
#[derive(Clone, Debug)]
pub struct EventObject {
    /// Its resourceVersion.
    pub rv: u64,
    /// The resourceVersion that it had when it was made: its name and its uid follow from it.
    pub made_rv: u64,
    /// What happened.
    pub event: Arc<Event>,
    /// The Job that it is about; perhaps gone.
    pub job: Arc<JobKey>,
}

/// A namespace at one version.
#[derive(Clone, Debug)]
pub struct NamespaceObject {
    /// Its resourceVersion.
    pub rv: u64,
    /// What was written.
    pub doc: Arc<NamespaceDoc>,
}

/// An object of any kind.
#[derive(Clone, Debug)]
pub enum Object {
    /// A Job.
    Job(JobObject),
    /// A pod.
    Pod(PodObject),
    /// An Event.
    Event(EventObject),
    /// A namespace.
    Namespace(NamespaceObject),
}

impl JobObject {
    /// Its spec, read once per document.
    #[must_use]
    pub fn spec(&self) -> &JobSpec {
        self.doc.spec()
    }

    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.doc.parsed().labels
    }

    /// Appends its JSON.
    pub fn render(&self, out: &mut String) {
        render::job(self, out);
    }
}

impl PodObject {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.job.key.pod_name(self.record.ordinal, self.record.index)
    }

    /// Its uid.
    #[must_use]
    pub fn uid(&self) -> Uid {
        self.job.key.uid_key.pod_uid(self.record.job, self.record.ordinal)
    }

    /// `status.phase`.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        render::phase(self.record.phase)
    }

    /// The value of a label, `None` when it has no such label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<Cow<'_, str>> {
        match self.record.index() {
            Some(index) if key == render::INDEX_KEY => Some(Cow::Owned(index.to_string())),
            _ => self.job.parsed().spec.template.labels.get(key).map(|value| Cow::Borrowed(value.as_str())),
        }
    }

    /// A scalar of its spec that a selector may ask for: `restartPolicy`, `schedulerName`, `serviceAccountName` or
    /// `hostNetwork`; empty when it is unset.
    #[must_use]
    pub fn spec_scalar(&self, field: &str) -> &str {
        self.job.parsed().pod.scalars.get(field).map_or("", String::as_str)
    }

    /// Appends its JSON.
    pub fn render(&self, out: &mut String) {
        render::pod(self, out);
    }
}

impl EventObject {
    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> String {
        render::event_name(self)
    }

    /// `metadata.uid`.
    #[must_use]
    pub fn uid(&self) -> Uid {
        render::event_uid(self)
    }

    /// `reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        render::event_reason(&self.event.note)
    }

    /// `type`: `Normal` or `Warning`.
    #[must_use]
    pub fn severity(&self) -> &'static str {
        render::event_severity(&self.event.note)
    }

    /// `message`.
    #[must_use]
    pub fn message(&self) -> String {
        render::event_message(self)
    }

    /// Appends its JSON as core/v1.
    pub fn render(&self, out: &mut String) {
        render::event(self, out);
    }
}

impl NamespaceObject {
    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.doc.parsed().labels
    }

    /// `status.phase`: `Active`, or `Terminating` once it has a deletionTimestamp.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        if self.doc.parsed().terminating { "Terminating" } else { "Active" }
    }

    /// Appends its JSON.
    pub fn render(&self, out: &mut String) {
        render::namespace(self, out);
    }
}

impl Object {
    /// Its resourceVersion.
    #[must_use]
    pub fn rv(&self) -> u64 {
        match self {
            Self::Job(job) => job.rv,
            Self::Pod(pod) => pod.record.rv,
            Self::Event(event) => event.rv,
            Self::Namespace(namespace) => namespace.rv,
        }
    }

    /// Its namespace; empty for a namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self {
            Self::Job(job) => &job.doc.key.namespace,
            Self::Pod(pod) => &pod.job.key.namespace,
            Self::Event(event) => &event.job.namespace,
            Self::Namespace(_) => "",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Job(job) => Cow::Borrowed(&job.doc.key.name),
            Self::Pod(pod) => Cow::Owned(pod.name()),
            Self::Event(event) => Cow::Owned(event.name()),
            Self::Namespace(namespace) => Cow::Borrowed(&namespace.doc.name),
        }
    }

    /// Appends its JSON.
    pub fn render(&self, out: &mut String) {
        match self {
            Self::Job(job) => job.render(out),
            Self::Pod(pod) => pod.render(out),
            Self::Event(event) => event.render(out),
            Self::Namespace(namespace) => namespace.render(out),
        }
    }
}
