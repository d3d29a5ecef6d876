//! A pod in 64 bytes.

use crate::base::{JobId, NO_INDEX, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// kubernetes: `core/v1 PodPhase`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Phase {
    /// Not started yet.
    #[default]
    Pending,
    /// The guest runs.
    Running,
    /// Ended with exit code 0.
    Succeeded,
    /// Ended with any other exit code.
    Failed,
}

/// Why a container waits or why it ended: `state.waiting.reason` or `state.terminated.reason`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Reason {
    /// Nothing to say yet.
    #[default]
    None,
    /// Ended with 0.
    Completed,
    /// Ended with another code, by a trap or by a stop.
    Error,
    /// Reached its memory limit.
    OomKilled,
    /// Spent its fuel.
    FuelExhausted,
    /// Was running when the engine died; its end is not known.
    ContainerStatusUnknown,
    /// Waits: no such module.
    ErrImagePull,
    /// Waits: no such module, and the next look is some time away.
    ImagePullBackOff,
    /// Waits: the image name cannot be read.
    InvalidImageName,
    /// Waits: the module cannot be compiled or linked.
    CreateContainerError,
    /// Waits: it has ended, and is started again some time later.
    CrashLoopBackOff,
}

impl Reason {
    /// The text that Kubernetes users see; empty for `None`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Completed => "Completed",
            Self::Error => "Error",
            Self::OomKilled => "OOMKilled",
            Self::FuelExhausted => "FuelExhausted",
            Self::ContainerStatusUnknown => "ContainerStatusUnknown",
            Self::ErrImagePull => "ErrImagePull",
            Self::ImagePullBackOff => "ImagePullBackOff",
            Self::InvalidImageName => "InvalidImageName",
            Self::CreateContainerError => "CreateContainerError",
            Self::CrashLoopBackOff => "CrashLoopBackOff",
        }
    }
}

/// Which of the sandbox's engines runs a pod.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[repr(u8)]
pub enum EngineKind {
    /// Many small pods: 256 MiB of address space each, every access to memory checked by the code itself.
    Small,
    /// Fewer large pods: 4 GiB of address space each, and code that lets the processor check.
    Large,
}

/// Where a pod's log ends: the last record of its chain in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogExtent {
    /// The segment's number, [`NO_SEGMENT`] when nothing was written.
    pub segment: u32,
    /// Byte offset of the chain's last record in the segment.
    pub offset: u32,
    /// Bytes of output in the whole chain.
    pub bytes: u32,
}

/// The segment of a log that has no record.
pub const NO_SEGMENT: u32 = u32::MAX;

impl Default for LogExtent {
    fn default() -> Self {
        Self { segment: NO_SEGMENT, offset: 0, bytes: 0 }
    }
}

/// What few pods have: they were told to stop, or a client changed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodMark {
    /// When it was told to stop.
    pub stop: Option<Time>,
    /// `deletionGracePeriodSeconds`, when a client gave another than the template's.
    pub grace_s: Option<u32>,
    /// It was evicted through the API (condition `DisruptionTarget`).
    pub evicted: bool,
    /// Its scheduling gates are gone.
    pub ungated: bool,
    /// JSON of [`PodMeta`]; `None` is what the template says.
    pub meta: Option<Box<str>>,
}

/// What clients can change of a pod's metadata.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodMeta {
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who owns it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
    /// What keeps it from going, but for the Job controller's own finalizer: that follows from the owner and the phase.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// kubernetes: `metav1.OwnerReference`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of the owner.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// It controls the object; one owner at the most does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<bool>,
    /// It is not gone before the object, when it is deleted in the foreground.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_owner_deletion: Option<bool>,
}

impl PodMeta {
    /// Reads what [`PodMark::meta`] holds.
    #[must_use]
    pub fn read(json: &str) -> Self {
        serde_json::from_str(json).expect("a pod's metadata is validated before it is kept")
    }

    /// The uid of the object that controls it.
    #[must_use]
    pub fn controller(&self) -> Option<&str> {
        let owner = self.owner_references.iter().find(|owner| owner.controller == Some(true))?;
        Some(&owner.uid)
    }

    /// As it is kept.
    #[must_use]
    pub fn write(&self) -> Box<str> {
        serde_json::to_string(self).expect("maps of texts are always JSON").into()
    }
}

/// What is kept of a pod. Names, uids, labels and the spec follow from the Job, the ordinal and the index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PodRecord {
    /// The resourceVersion of the last change.
    pub rv: u64,
    /// When it was created.
    pub created: Time,
    /// Its Job.
    pub job: JobId,
    /// Its number within the Job.
    pub ordinal: u32,
    /// Its completion index, [`NO_INDEX`] in a NonIndexed Job.
    pub index: u32,
    /// From creation to start, ms.
    pub start_delta_ms: u32,
    /// From start to end, ms.
    pub run_ms: u32,
    /// Its log.
    pub log: LogExtent,
    /// Fuel spent, in thousands of units, rounded up; 0 when no fuel was set.
    pub fuel_k: u32,
    /// Highest sum of its memories and tables, in pages of 64 KiB.
    pub peak_pages: u32,
    /// Phase.
    pub phase: Phase,
    /// Exit code, once ended.
    pub exit_code: u8,
    /// Why it waits or ended.
    pub reason: Reason,
    /// [`PodRecord::STARTED`] and the others.
    pub flags: u8,
    /// How often a start was refused (its image could not be had).
    pub attempts: u16,
}

const _: () = assert!(size_of::<PodRecord>() == 64, "PodRecord must stay 64 bytes");

impl PodRecord {
    /// The guest has started; `start_delta_ms` holds.
    pub const STARTED: u8 = 1;
    /// It was told to stop: `metadata.deletionTimestamp` is set.
    pub const STOPPING: u8 = 2;
    /// The object is gone; the record holds its place in the chunk.
    pub const REMOVED: u8 = 4;
    /// It was lost with the engine (condition `DisruptionTarget`).
    pub const DISRUPTED: u8 = 8;
    /// A small pod's guest ran.
    pub const SMALL: u8 = 16;
    /// A large pod's guest ran.
    pub const LARGE: u8 = 32;
    /// It ended, but its failure is not counted yet: it keeps the tracking finalizer.
    pub const HELD: u8 = 64;

    /// A pod that was just created.
    #[must_use]
    pub fn new(job: JobId, ordinal: u32, index: u32, created: Time, rv: u64) -> Self {
        Self {
            rv,
            created,
            job,
            ordinal,
            index,
            start_delta_ms: 0,
            run_ms: 0,
            log: LogExtent::default(),
            fuel_k: 0,
            peak_pages: 0,
            phase: Phase::Pending,
            exit_code: 0,
            reason: Reason::None,
            flags: 0,
            attempts: 0,
        }
    }

    /// Whether every bit of `flag` is set.
    #[must_use]
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag == flag
    }

    /// The engine that runs or ran its guest; `None` when it has not run.
    #[must_use]
    pub fn engine(&self) -> Option<EngineKind> {
        match (self.has(Self::SMALL), self.has(Self::LARGE)) {
            (true, _) => Some(EngineKind::Small),
            (_, true) => Some(EngineKind::Large),
            _ => None,
        }
    }

    /// Notes the engine that runs its guest.
    pub fn set_engine(&mut self, engine: EngineKind) {
        self.flags |= match engine {
            EngineKind::Small => Self::SMALL,
            EngineKind::Large => Self::LARGE,
        };
    }

    /// The completion index, if the Job is Indexed.
    #[must_use]
    pub fn index(&self) -> Option<u32> {
        (self.index != NO_INDEX).then_some(self.index)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    /// When the guest started, if it did.
    #[must_use]
    pub fn started(&self) -> Option<Time> {
        self.has(Self::STARTED).then(|| self.created.plus_ms(u64::from(self.start_delta_ms)))
    }

    /// When it ended, if it did.
    #[must_use]
    pub fn finished(&self) -> Option<Time> {
        let start = self.created.plus_ms(u64::from(self.start_delta_ms));
        self.is_terminal().then(|| start.plus_ms(u64::from(self.run_ms)))
    }
}
