//! What can happen: the log, the watch stream and the replay are made of these.

use super::event::Event;
use super::job::{Backoff, Condition};
use super::pod::{EngineKind, LogExtent, Reason};
use super::priority::{PodPriority, Unplaced};
use super::restarts::Terminated;
use crate::base::{JobId, NO_INDEX, Time, Uid};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One thing that happened. The order of the variants is the disk format: add at the end, never in between.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Fact {
    /// A client's Job was accepted; its document is in the same batch.
    JobCreated {
        /// The Job.
        job: JobId,
        /// Its uid.
        uid: Uid,
        /// Its namespace.
        namespace: Arc<str>,
        /// Its name.
        name: Arc<str>,
        /// When.
        at: Time,
    },
    /// A client changed the Job; its document is in the same batch.
    JobChanged {
        /// The Job.
        job: JobId,
    },
    /// `status.startTime` was set.
    JobStarted {
        /// The Job.
        job: JobId,
        /// `status.startTime`.
        at: Time,
    },
    /// Pods with consecutive ordinals exist.
    PodsCreated {
        /// Their Job.
        job: JobId,
        /// Their creationTimestamp.
        at: Time,
        /// The first one's ordinal.
        first: u32,
        /// How many.
        count: u32,
        /// Their completion indexes in order of the ordinals; empty in a NonIndexed Job.
        indexes: Vec<IndexRun>,
    },
    /// Pods whose guest is alive.
    PodsStarted {
        /// Their Job.
        job: JobId,
        /// Ordinal, start, and the engine that runs it.
        pods: Vec<(u32, Time, EngineKind)>,
    },
    /// Pods that could not start and wait.
    PodsWaiting {
        /// Their Job.
        job: JobId,
        /// The pods.
        pods: Vec<Waiting>,
    },
    /// Pods that the controller deleted: `deletionTimestamp` is set.
    PodsStopping {
        /// Their Job.
        job: JobId,
        /// When.
        at: Time,
        /// The pods.
        ordinals: Vec<u32>,
        /// How many of them were ready.
        ready: u32,
        /// They count as failed already (the Job is failing; kubernetes: `trackJobStatusAndRemoveFinalizers`).
        counted_failed: bool,
    },
    /// Pods that ended.
    PodsEnded {
        /// Their Job.
        job: JobId,
        /// The ends.
        ends: Vec<PodEnd>,
    },
    /// Pods whose object is gone.
    PodsRemoved {
        /// Their Job.
        job: JobId,
        /// The pods.
        ordinals: Vec<u32>,
    },
    /// The Job's record of recent failures changed.
    BackoffSet {
        /// The Job.
        job: JobId,
        /// The new record.
        backoff: Backoff,
    },
    /// A condition was added to the Job's status.
    ConditionSet {
        /// The Job.
        job: JobId,
        /// The condition.
        condition: Condition,
    },
    /// The Job's status, as the facts so far make it, is what clients see from here on.
    StatusPublished {
        /// The Job.
        job: JobId,
    },
    /// An Event object.
    Recorded {
        /// What about.
        event: Event,
    },
    /// A client wrote an object that is only a document, which is in the same batch.
    DocWritten,
    /// A client deleted the Job: it is gone, and with it every pod that it still had. Its document goes in the same batch.
    JobRemoved {
        /// The Job.
        job: JobId,
        /// When.
        at: Time,
        /// Every ordinal that the Job gave is below this. A pod that is there takes the version at its ordinal, the Job the
        /// one after all of them; the version of a pod that went before is left out.
        ordinals: u32,
    },
    /// The oldest Events are gone.
    EventsExpired {
        /// How many.
        count: u32,
    },
    /// The Job's first pods are about to be made, with another priority than the default.
    PriorityResolved {
        /// The Job.
        job: JobId,
        /// What all its pods get.
        priority: PodPriority,
    },
    /// The Job's pods wait because every worker is full, or do so no longer.
    NoRoom {
        /// The Job.
        job: JobId,
        /// Since when.
        since: Option<Time>,
    },
    /// The Job has a limit on the failures of each index: `status.failedIndexes` is kept from here on.
    IndexesLimited {
        /// The Job.
        job: JobId,
    },
    /// Pods that ended as [`Counted::Held`] are held no longer: the tracking finalizer is taken from them.
    PodsReleased {
        /// The Job.
        job: JobId,
        /// The pods.
        ordinals: Vec<u32>,
        /// How many of them count as failed.
        failed: u32,
    },
    /// `spec.completions` of an Indexed Job was lowered: nothing is known of the indexes from there on.
    IndexesCut {
        /// The Job.
        job: JobId,
        /// The indexes below this stay.
        completions: u32,
    },
    /// Containers ended that are started again in their pods.
    ContainersExited {
        /// The Job.
        job: JobId,
        /// The ends.
        exits: Vec<ContainerExit>,
    },
    /// The back-off of containers that are started again is over: `restartCount` counts one more.
    ContainersRestarted {
        /// The Job.
        job: JobId,
        /// Their pods.
        ordinals: Vec<u32>,
    },
    /// A client wants completion indexes to run again; what is known of them is forgotten.
    IndexesRerun {
        /// The Job.
        job: JobId,
        /// When.
        at: Time,
        /// Those of them that were completed or had failed.
        indexes: Vec<IndexRun>,
        /// The Job had finished: it goes on, with a new start, and no failure counts any more.
        goes_on: bool,
    },
    /// A client deleted pods that have not ended: `deletionTimestamp` is set.
    PodsDeleted {
        /// Their Job.
        job: JobId,
        /// When.
        at: Time,
        /// The pods.
        pods: Vec<DeletedPod>,
    },
    /// Every pod of the Job that has ended is gone, each at the version of its ordinal; the version of a pod that has not
    /// ended, or went before, is left out.
    EndedPodsRemoved {
        /// The Job.
        job: JobId,
        /// Every ordinal that the Job gave is below this.
        ordinals: u32,
    },
    /// A client deleted the Job and kept its pods, which no longer have an owner. The Job goes at the version after all
    /// ordinals; a pod that is there changes at that of its ordinal. The Job's document stays for what its pods have of it.
    JobOrphaned {
        /// The Job.
        job: JobId,
        /// When.
        at: Time,
        /// Every ordinal that the Job gave is below this.
        ordinals: u32,
    },
    /// A client, or the controller after it, changed a pod's labels, annotations, owners or finalizers.
    PodChanged {
        /// Its Job.
        job: JobId,
        /// The pod.
        ordinal: u32,
        /// Its metadata from here on, as [`PodMark::meta`](super::PodMark); `None` is what its template says.
        meta: Option<Box<str>>,
        /// Whether it came to the Job or left it.
        claim: Claim,
    },
    /// The Job's pods wait because they do not fit, or do so no longer.
    Unplaced {
        /// The Job.
        job: JobId,
        /// Since when and why.
        unplaced: Option<Unplaced>,
    },
    /// A client removed a pod's scheduling gates.
    PodUngated {
        /// Its Job.
        job: JobId,
        /// The pod.
        ordinal: u32,
    },
}

/// A pod that a client deletes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeletedPod {
    /// The pod.
    pub ordinal: u32,
    /// Completion index or `NO_INDEX`.
    pub index: u32,
    /// `deletionGracePeriodSeconds`.
    pub grace_s: u32,
    /// It was ready.
    pub was_ready: bool,
    /// What it counts for from here on (kubernetes: `isPodFailed`). [`Counted::Dropped`] leaves that to its end;
    /// [`Counted::Strayed`] is one that is in none of the Job's counters: it has ended or left the Job.
    pub counted: Counted,
    /// It was evicted through the API.
    pub evicted: bool,
}

impl DeletedPod {
    /// A pod that has ended and is kept.
    #[must_use]
    pub fn ended(ordinal: u32) -> Self {
        let (grace_s, was_ready, counted, evicted) = (0, false, Counted::Strayed, false);
        Self { ordinal, index: NO_INDEX, grace_s, was_ready, counted, evicted }
    }
}

/// What a change of a pod's metadata did to its Job's counters (kubernetes: `ControllerRefManager`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Claim {
    /// Nothing.
    Same,
    /// An active pod left the Job.
    Left {
        /// It was ready.
        was_ready: bool,
    },
    /// An active pod came to the Job.
    Joined {
        /// It is ready.
        is_ready: bool,
    },
}

/// Consecutive completion indexes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IndexRun {
    /// The first.
    pub first: u32,
    /// How many.
    pub count: u32,
}

/// A pod that waits instead of running.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Waiting {
    /// The pod.
    pub ordinal: u32,
    /// Why.
    pub reason: Reason,
    /// `state.waiting.message`.
    pub message: Box<str>,
}

/// What an end did to the Job's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Counted {
    /// One more in `succeeded`.
    Succeeded,
    /// One more in `failed`.
    Failed,
    /// A failure that an `Ignore` rule matched, or that the engine itself caused.
    Ignored,
    /// Nothing: a pod that was stopped, or whose index does not count.
    Dropped,
    /// One more in `failed`, and its index fails (Indexed with `backoffLimitPerIndex`).
    IndexFailed,
    /// A failure of its index that is counted by the [`Fact::PodsReleased`] that follows (`backoffLimitPerIndex`).
    Held,
    /// As `Held`, of a failure that an `Ignore` rule matched.
    HeldIgnored,
    /// Nothing, not even in `active`: a pod that is not the Job's any more.
    Strayed,
}

/// How a pod ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PodEnd {
    /// The pod.
    pub ordinal: u32,
    /// Its completion index, [`NO_INDEX`] in a NonIndexed Job.
    pub index: u32,
    /// When its guest started; the time of the end when it never did.
    pub started: Time,
    /// From start to end, ms.
    pub run_ms: u32,
    /// Exit code.
    pub exit_code: u8,
    /// `state.terminated.reason`.
    pub reason: Reason,
    /// The engine that ran its guest; `None` when it never ran.
    pub engine: Option<EngineKind>,
    /// What it did to the counters.
    pub counted: Counted,
    /// It had been shown as running.
    pub was_ready: bool,
    /// It had been told to stop.
    pub was_stopping: bool,
    /// It was lost with the engine.
    pub disrupted: bool,
    /// Its log.
    pub log: LogExtent,
    /// Fuel spent, in thousands, rounded up.
    pub fuel_k: u32,
    /// Highest sum of memories and tables, in pages of 64 KiB.
    pub peak_pages: u32,
    /// `state.terminated.message`.
    pub message: Option<Box<str>>,
}

impl PodEnd {
    /// When it ended.
    #[must_use]
    pub fn finished(&self) -> Time {
        self.started.plus_ms(u64::from(self.run_ms))
    }
}

/// How a container ended that is started again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ContainerExit {
    /// Its pod.
    pub ordinal: u32,
    /// Its pod had been shown as ready.
    pub was_ready: bool,
    /// How long it waits for its next start, ms from its end.
    pub back_off_ms: u32,
    /// Its log.
    pub log: LogExtent,
    /// How it ended.
    pub terminated: Terminated,
}

impl Fact {
    /// How many resourceVersions this fact takes: one for each object that a watcher sees change, and those that
    /// [`Fact::JobRemoved`] leaves out.
    #[must_use]
    pub fn versions(&self) -> u64 {
        match self {
            Self::JobCreated { .. }
            | Self::JobChanged { .. }
            | Self::StatusPublished { .. }
            | Self::Recorded { .. }
            | Self::PodChanged { .. }
            | Self::PodUngated { .. }
            | Self::DocWritten => 1,
            Self::PodsCreated { count, .. } | Self::EventsExpired { count } => u64::from(*count),
            Self::PodsStarted { pods, .. } => pods.len() as u64,
            Self::PodsWaiting { pods, .. } => pods.len() as u64,
            Self::PodsStopping { ordinals, .. }
            | Self::PodsRemoved { ordinals, .. }
            | Self::PodsReleased { ordinals, .. }
            | Self::ContainersRestarted { ordinals, .. } => ordinals.len() as u64,
            Self::ContainersExited { exits, .. } => exits.len() as u64,
            Self::PodsEnded { ends, .. } => ends.len() as u64,
            Self::PodsDeleted { pods, .. } => pods.len() as u64,
            Self::EndedPodsRemoved { ordinals, .. } => u64::from(*ordinals),
            Self::JobRemoved { ordinals, .. } | Self::JobOrphaned { ordinals, .. } => u64::from(*ordinals) + 1,
            Self::JobStarted { .. }
            | Self::BackoffSet { .. }
            | Self::ConditionSet { .. }
            | Self::PriorityResolved { .. }
            | Self::NoRoom { .. }
            | Self::IndexesLimited { .. }
            | Self::IndexesCut { .. }
            | Self::IndexesRerun { .. }
            | Self::Unplaced { .. } => 0,
        }
    }

    /// How many pods this fact is about.
    #[must_use]
    pub fn pods(&self) -> u64 {
        match self {
            Self::PodsCreated { .. }
            | Self::PodsStarted { .. }
            | Self::PodsWaiting { .. }
            | Self::PodsStopping { .. }
            | Self::PodsRemoved { .. }
            | Self::PodsReleased { .. }
            | Self::ContainersExited { .. }
            | Self::ContainersRestarted { .. }
            | Self::PodsDeleted { .. }
            | Self::EndedPodsRemoved { .. }
            | Self::PodChanged { .. }
            | Self::PodUngated { .. }
            | Self::PodsEnded { .. } => self.versions(),
            Self::JobRemoved { ordinals, .. } | Self::JobOrphaned { ordinals, .. } => u64::from(*ordinals),
            _ => 0,
        }
    }

    /// The Job that this fact is about, if it is about one.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::DocWritten | Self::EventsExpired { .. } => None,
            Self::JobCreated { job, .. }
            | Self::JobChanged { job }
            | Self::JobStarted { job, .. }
            | Self::PodsCreated { job, .. }
            | Self::PodsStarted { job, .. }
            | Self::PodsWaiting { job, .. }
            | Self::PodsStopping { job, .. }
            | Self::PodsEnded { job, .. }
            | Self::PodsRemoved { job, .. }
            | Self::BackoffSet { job, .. }
            | Self::ConditionSet { job, .. }
            | Self::StatusPublished { job }
            | Self::JobRemoved { job, .. }
            | Self::PriorityResolved { job, .. }
            | Self::NoRoom { job, .. }
            | Self::IndexesLimited { job }
            | Self::PodsReleased { job, .. }
            | Self::IndexesCut { job, .. }
            | Self::ContainersExited { job, .. }
            | Self::ContainersRestarted { job, .. }
            | Self::IndexesRerun { job, .. }
            | Self::PodsDeleted { job, .. }
            | Self::EndedPodsRemoved { job, .. }
            | Self::JobOrphaned { job, .. }
            | Self::PodChanged { job, .. }
            | Self::PodUngated { job, .. }
            | Self::Unplaced { job, .. } => Some(*job),
            Self::Recorded { event } => Some(event.job),
        }
    }

    /// Ordinal and completion index of the pods that a `PodsCreated` made.
    pub fn created_pods(first: u32, count: u32, indexes: &[IndexRun]) -> impl Iterator<Item = (u32, u32)> + '_ {
        let numbered = indexes.iter().flat_map(|run| run.first..run.first + run.count);
        let unnumbered = std::iter::repeat_n(NO_INDEX, if indexes.is_empty() { count as usize } else { 0 });
        (first..first + count).zip(numbered.chain(unnumbered))
    }
}
