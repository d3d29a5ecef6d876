//! What passes between the control thread and the workers, in batches.

use super::pod::{EngineKind, LogExtent, Reason};
use super::spec::PodTemplate;
use crate::base::{JobId, PodNames, Time, Uid, UidKey};
use std::sync::Arc;

/// What all pods of a Job have in common when they start.
#[derive(Debug, PartialEq)]
pub struct RunPlan {
    /// The Job's name.
    pub job_name: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its uid.
    pub job_uid: Uid,
    /// Its pods' names.
    pub names: PodNames,
    /// Its pods' uids.
    pub uid_key: UidKey,
    /// The template.
    pub template: Arc<PodTemplate>,
}

/// A pod to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its Job.
    pub job: JobId,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its completion index or `NO_INDEX`.
    pub index: u32,
    /// Where `control` keeps it; comes back with every report.
    pub slot: u32,
    /// What to run.
    pub plan: Arc<RunPlan>,
}

/// A pod to stop: its guest cannot see SIGTERM, so it ends at once with 143.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// Its Job.
    pub job: JobId,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its slot.
    pub slot: u32,
}

/// A pod whose guest runs and did not end at its first turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// Its Job.
    pub job: JobId,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its slot.
    pub slot: u32,
    /// When its guest started.
    pub at: Time,
    /// The engine that runs it.
    pub engine: EngineKind,
}

/// A pod that ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Exit {
    /// Its Job.
    pub job: JobId,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its slot.
    pub slot: u32,
    /// When its guest started; `finished` when it never did.
    pub started: Time,
    /// When it ended.
    pub finished: Time,
    /// The engine that ran its guest; `None` when it never ran.
    pub engine: Option<EngineKind>,
    /// Exit code.
    pub exit_code: u8,
    /// `state.terminated.reason`.
    pub reason: Reason,
    /// Its log, already written.
    pub log: LogExtent,
    /// Fuel spent, in thousands, rounded up.
    pub fuel_k: u32,
    /// Highest sum of memories and tables, in pages of 64 KiB.
    pub peak_pages: u32,
    /// `state.terminated.message`, at the most 4 KiB.
    pub message: Option<Box<str>>,
}

/// A pod that could not start and should be tried again later.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// Its Job.
    pub job: JobId,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its slot.
    pub slot: u32,
    /// `ErrImagePull`, `InvalidImageName` or `CreateContainerError`.
    pub reason: Reason,
    /// `state.waiting.message`.
    pub message: Box<str>,
}

/// A pod that its worker has, and for which the sandbox has had no slot for a while. It still waits there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crowded {
    /// Its Job.
    pub job: JobId,
    /// Its ordinal.
    pub ordinal: u32,
    /// Its slot.
    pub slot: u32,
}

/// What a worker has to say after a round.
#[derive(Debug, Default)]
pub struct Report {
    /// The worker's number.
    pub worker: u32,
    /// Pods that run on. A pod is reported here before it is in `exits` of a later report, never in the same one.
    pub started: Vec<Started>,
    /// Pods that ended.
    pub exits: Vec<Exit>,
    /// Pods that could not start.
    pub refused: Vec<Refused>,
    /// The first pod of each Job whose pods find no slot; about once a second again.
    pub crowded: Vec<Crowded>,
    /// By what the ends of the exits' logs are let go of once the exits are shown; `None` when nothing was written.
    pub log_ends: Option<u64>,
}

impl Report {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.started.is_empty() && self.exits.is_empty() && self.refused.is_empty() && self.crowded.is_empty()
    }
}
