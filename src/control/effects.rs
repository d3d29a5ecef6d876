//! What goes into a step and what comes out of it.

use crate::base::{IndexSet, JobId, Time, Uid};
use crate::model::{Batch, JobSpec, Kind, Launch, PodRecord, Report, Stop};
use std::sync::Arc;

/// Names a request that waits for its reply.
pub type Ticket = u64;

/// Something that happened outside.
#[derive(Debug)]
pub enum Input {
    /// A client creates a Job that was admitted (defaulted and validated).
    CreateJob(Ticket, Box<NewJob>),
    /// A client changes a Job's document.
    UpdateJob(Ticket, Box<NewSpec>),
    /// A client deletes a Job and its pods.
    DeleteJob(Ticket, DeleteJob),
    /// A client wants parts of a Job to run again.
    RerunJob(Ticket, Box<Rerun>),
    /// A client deletes, evicts or changes a pod.
    ChangePod(Ticket, Box<ChangePod>),
    /// A client creates an object that is only a document.
    CreateDoc(Ticket, NewDoc),
    /// A client changes one.
    UpdateDoc(Ticket, DocChange),
    /// A client deletes one.
    DeleteDoc(Ticket, DeleteDoc),
    /// The engine is about to stop: no pod starts any more.
    Drain,
    /// A worker reports.
    Report(Report),
}

/// An admitted Job.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Uid,
    /// Its creationTimestamp.
    pub created: Time,
    /// Its canonical document.
    pub doc: Arc<str>,
    /// What the document says.
    pub spec: JobSpec,
}

/// An admitted change of a Job.
#[derive(Debug, Clone)]
pub struct NewSpec {
    /// The Job's namespace.
    pub namespace: Arc<str>,
    /// The Job's name.
    pub name: Arc<str>,
    /// The resourceVersion of the document that the change was made from.
    pub base_rv: u64,
    /// The new canonical document.
    pub doc: Arc<str>,
    /// What it says.
    pub spec: JobSpec,
}

/// What of a Job is to run again.
#[derive(Debug, Clone)]
pub struct Rerun {
    /// The Job's namespace.
    pub namespace: Arc<str>,
    /// The Job's name.
    pub name: Arc<str>,
    /// The resourceVersion of the document that `spec` is read from.
    pub base_rv: u64,
    /// What its document says: a Job that has finished remembers less.
    pub spec: JobSpec,
    /// These completion indexes, of an Indexed Job; what has failed, if not given.
    pub indexes: Option<IndexSet>,
}

/// Which Job to delete.
#[derive(Debug, Clone)]
pub struct DeleteJob {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The uid that it must have, if any.
    pub uid: Option<Uid>,
    /// The resourceVersion that it must have, if any.
    pub rv: Option<u64>,
    /// What becomes of its pods.
    pub propagation: Propagation,
    /// Its document and the version that this has.
    pub doc: (u64, Arc<str>),
}

/// What becomes of a Job's pods (kubernetes: `metav1.DeletionPropagation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They go after the Job.
    Background,
    /// They go before the Job.
    Foreground,
    /// They stay.
    Orphan,
}

/// What a client does to a pod.
#[derive(Debug, Clone)]
pub struct ChangePod {
    /// Its Job.
    pub job: JobId,
    /// The pod.
    pub ordinal: u32,
    /// As the client saw it, when it may only be changed if it still is so.
    pub seen: Option<PodSeen>,
    /// What is done.
    pub change: PodChange,
}

/// How far a pod was when a client saw it. Each of its versions differs in one of these, or in its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodSeen {
    /// Its guest had started.
    pub started: bool,
    /// It had been told to stop.
    pub stopping: bool,
    /// It had ended.
    pub ended: bool,
    /// How often its start had been refused.
    pub attempts: u16,
}

impl PodSeen {
    /// How far the pod of this record is. What clients changed of one that has ended is its metadata.
    #[must_use]
    pub fn of(record: &PodRecord) -> Self {
        let has = |flag| !record.is_terminal() && record.has(flag);
        Self {
            started: record.is_terminal() || has(PodRecord::STARTED),
            stopping: has(PodRecord::STOPPING),
            ended: record.is_terminal(),
            attempts: if record.is_terminal() { 0 } else { record.attempts },
        }
    }
}

/// What a client does to a pod.
#[derive(Debug, Clone)]
pub enum PodChange {
    /// It is deleted.
    Delete {
        /// `deletionGracePeriodSeconds`.
        grace_s: u32,
        /// It is evicted.
        evict: bool,
    },
    /// Its metadata is replaced.
    Meta(NewMeta),
    /// Its scheduling gates are removed.
    Ungate,
}

/// New metadata of a pod.
#[derive(Debug, Clone)]
pub struct NewMeta {
    /// As it was when the change was made from it; `None` was what the template says.
    pub base: Option<Box<str>>,
    /// As it is from here on ([`PodMeta`](crate::model::PodMeta)).
    pub meta: Box<str>,
    /// What the template says.
    pub default: Box<str>,
}

/// An object without a namespace that is only a document: a Namespace or a PriorityClass.
#[derive(Debug, Clone)]
pub struct NewDoc {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// Its canonical document.
    pub doc: Arc<str>,
}

/// A change of such an object.
#[derive(Debug, Clone)]
pub struct DocChange {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// The resourceVersion that the change was made from.
    pub base_rv: u64,
    /// Its new canonical document.
    pub doc: Arc<str>,
}

/// Which such object to delete.
#[derive(Debug, Clone)]
pub struct DeleteDoc {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: Arc<str>,
    /// The resourceVersion that it must have.
    pub base_rv: u64,
}

/// The answer to a write, due once the batch of its step is durable.
pub type Reply = Result<Written, WriteError>;

/// A write that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The object's resourceVersion; that of its end when it was deleted.
    pub rv: u64,
    /// The Job's uid; `None` for what is only a document, which alone has one.
    pub job_uid: Option<Uid>,
}

/// Why a write did not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An object of this name exists.
    #[error("an object of this name exists")]
    AlreadyExists,
    /// There is no such object.
    #[error("there is no such object")]
    NotFound,
    /// The object's namespace does not exist.
    #[error("the namespace does not exist")]
    NoNamespace,
    /// The object was changed since the version that the change was made from.
    #[error("the object has been modified")]
    Conflict,
    /// The object of this name is not the one that was meant.
    #[error("the object's uid is {found}")]
    WrongUid {
        /// The uid that it has.
        found: Uid,
    },
    /// Nothing that was named has ended, or failed.
    #[error("nothing of it has ended that could run again")]
    NothingToRun,
    /// The Job ends as soon as its last pods have.
    #[error("it is about to end; try again once it has")]
    Ending,
    /// The object was changed since the version at which it was to be deleted.
    #[error("the object's resourceVersion is {found}")]
    WrongVersion {
        /// The resourceVersion that it has.
        found: u64,
    },
}

/// What a step wants done. Reused from step to step; [`State::step`](super::State::step) only adds.
#[derive(Debug, Default)]
pub struct Effects {
    /// Facts and documents to make durable, in order.
    pub batch: Batch,
    /// Replies to give when the batch is durable.
    pub replies: Vec<(Ticket, Reply)>,
    /// The ends of logs ([`Report::log_ends`]) that are let go of once the batch is shown: all exits of these reports are in it,
    /// or in one before, or their Jobs are gone.
    pub settled: Vec<u64>,
    /// Pods to start, by worker; need not wait for the batch.
    pub launches: Vec<(u32, Vec<Launch>)>,
    /// Pods to stop, by worker; after the launches.
    pub stops: Vec<(u32, Vec<Stop>)>,
}

impl Effects {
    /// Tells a worker to stop a pod.
    pub(super) fn stop(&mut self, worker: u32, stop: Stop) {
        match self.stops.iter_mut().find(|(other, _)| *other == worker) {
            Some((_, stops)) => stops.push(stop),
            None => self.stops.push((worker, vec![stop])),
        }
    }

    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let is_nothing_told = self.replies.is_empty() && self.settled.is_empty();
        self.batch.is_empty() && is_nothing_told && self.launches.is_empty() && self.stops.is_empty()
    }
}
