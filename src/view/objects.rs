//! What a reader gets: an object's state at one version, cheap to clone, rendered outside the lock.
//!
//! Knows no lock and no watch. Invariant: an object never changes once it was handed out.

use super::doc::{JobDoc, JobKey, PlainDoc};
use super::render;
use crate::base::{Time, Uid};
use crate::model::{Event, EventNote, IndexFailures, JobSpec, JobStatus, PodMark, PodMeta, PodRecord, Restarts};
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
    /// What only few pods have.
    pub mark: Option<Arc<PodMark>>,
    /// Earlier failures of its index, of a Job that limits them.
    pub failures: IndexFailures,
    /// What is kept of its container's restarts.
    pub restarts: Option<Arc<Restarts>>,
    /// Its Job as it is now.
    pub job: Arc<JobDoc>,
}

/// An Event about a Job or one of its pods.
#[derive(Clone, Debug)]
pub struct EventObject {
    /// Its resourceVersion.
    pub rv: u64,
    /// The resourceVersion that it had when it was made: its name and its uid follow from it.
    pub made_rv: u64,
    /// What happened.
    pub event: Arc<Event>,
    /// The Job that it is about, or whose pod it is about; perhaps gone.
    pub job: Arc<JobKey>,
}

/// An object that is only a document, at one version.
#[derive(Clone, Debug)]
pub struct PlainObject {
    /// Its resourceVersion.
    pub rv: u64,
    /// What was written.
    pub doc: Arc<PlainDoc>,
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
    /// What is only a document.
    Plain(PlainObject),
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
        if let Some(meta) = self.mark.as_deref().and_then(|mark| mark.meta.as_deref()) {
            return Some(Cow::Owned(PodMeta::read(meta).labels.remove(key)?));
        }
        match self.record.index() {
            Some(index) if key == render::INDEX_KEY => Some(Cow::Owned(index.to_string())),
            _ => self.job.parsed().spec.template.labels.get(key).map(|value| Cow::Borrowed(value.as_str())),
        }
    }

    /// Whether its metadata may be other than its template says.
    pub(super) fn has_own_metadata(&self) -> bool {
        self.mark.as_ref().is_some_and(|mark| mark.meta.is_some())
    }

    /// About what it takes beside its struct, bytes.
    pub(super) fn extra_bytes(&self) -> usize {
        let meta = self.mark.as_ref().and_then(|mark| mark.meta.as_ref()).map_or(0, |meta| meta.len());
        self.message.as_ref().map_or(0, |text| text.len()) + meta
    }

    /// What clients can change of its metadata, as the template says it.
    #[must_use]
    pub fn template_meta(&self) -> PodMeta {
        let template = Self { mark: None, ..self.clone() };
        let mut text = String::new();
        render::pod_metadata(&template, &mut text);
        let mut meta = PodMeta::read(&text);
        meta.finalizers.clear();
        meta
    }

    /// Whether a node was found for it.
    #[must_use]
    pub fn is_placed(&self) -> bool {
        !render::is_queued(&self.record) || (self.job.placement.unplaced.is_none() && !self.is_gated())
    }

    /// Whether it waits for clients to remove its scheduling gates.
    #[must_use]
    pub fn is_gated(&self) -> bool {
        let has_gates = || self.job.spec().template.needs.as_ref().is_some_and(|needs| !needs.gates.is_empty());
        let is_ungated = || self.mark.as_deref().is_some_and(|mark| mark.ungated);
        render::is_queued(&self.record) && has_gates() && !is_ungated()
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

    /// What it is about: kind, apiVersion, name and uid.
    #[must_use]
    pub fn involved(&self) -> (&'static str, &'static str, Cow<'_, str>, Uid) {
        match self.event.note {
            EventNote::FailedScheduling { ordinal, index } | EventNote::Unschedulable { ordinal, index, .. } => {
                let uid = self.job.uid_key.pod_uid(self.job.id, ordinal);
                ("Pod", "v1", Cow::Owned(self.job.pod_name(ordinal, index)), uid)
            }
            _ => ("Job", "batch/v1", Cow::Borrowed(&self.job.name), self.job.uid),
        }
    }

    /// `reportingComponent`.
    #[must_use]
    pub fn component(&self) -> &'static str {
        match self.event.note {
            EventNote::FailedScheduling { .. } | EventNote::Unschedulable { .. } => "default-scheduler",
            _ => "job-controller",
        }
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

impl PlainObject {
    /// `metadata.labels`.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.doc.parsed().labels
    }

    /// `status.phase` of a namespace: `Active`, or `Terminating` once it has a deletionTimestamp.
    #[must_use]
    pub fn phase(&self) -> &'static str {
        if self.doc.parsed().terminating { "Terminating" } else { "Active" }
    }

    /// Appends its JSON.
    pub fn render(&self, out: &mut String) {
        render::plain(self, out);
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
            Self::Plain(plain) => plain.rv,
        }
    }

    /// Its namespace; empty for what is only a document.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match self {
            Self::Job(job) => &job.doc.key.namespace,
            Self::Pod(pod) => &pod.job.key.namespace,
            Self::Event(event) => &event.job.namespace,
            Self::Plain(_) => "",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Job(job) => Cow::Borrowed(&job.doc.key.name),
            Self::Pod(pod) => Cow::Owned(pod.name()),
            Self::Event(event) => Cow::Owned(event.name()),
            Self::Plain(plain) => Cow::Borrowed(&plain.doc.name),
        }
    }

    /// Appends its `metadata` alone, as it stands in its JSON.
    pub fn render_metadata(&self, out: &mut String) {
        match self {
            Self::Job(job) => render::job_metadata(job, out),
            Self::Pod(pod) => render::pod_metadata(pod, out),
            Self::Event(event) => render::event_metadata(event, out),
            Self::Plain(plain) => render::plain_metadata(plain, out),
        }
    }

    /// Appends its JSON.
    pub fn render(&self, out: &mut String) {
        match self {
            Self::Job(job) => job.render(out),
            Self::Pod(pod) => pod.render(out),
            Self::Event(event) => event.render(out),
            Self::Plain(plain) => plain.render(out),
        }
    }
}
