//! Kubernetes Events as compact facts, rendered when somebody reads them.

use super::job::ConditionReason;
use crate::base::{JobId, Time};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// An Event about a Job or one of its pods.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// The Job it is about.
    pub job: JobId,
    /// When.
    pub at: Time,
    /// What.
    pub note: EventNote,
}

/// What an Event says (kubernetes: `job_controller.go`, `recorder.Event`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum EventNote {
    /// Normal `SuccessfulCreate`: `Created pod: <pod>`.
    SuccessfulCreate {
        /// The pod.
        ordinal: u32,
        /// Its completion index or `NO_INDEX`.
        index: u32,
    },
    /// Normal `SuccessfulDelete`: `Deleted pod: <pod>`.
    SuccessfulDelete {
        /// The pod.
        ordinal: u32,
        /// Its completion index or `NO_INDEX`.
        index: u32,
    },
    /// Warning `FailedCreate`: `Error creating: <why>`.
    FailedCreate {
        /// Why.
        why: Box<str>,
    },
    /// Normal `Completed`: `Job completed`.
    Completed,
    /// Warning `TooManySucceededPods`.
    TooManySucceededPods,
    /// Warning, with a failure condition's reason and message.
    JobFailed {
        /// The condition's reason.
        reason: ConditionReason,
        /// The condition's message.
        message: Box<str>,
    },
    /// Warning `FailedScheduling`, on a pod that waits because every worker is full (kubernetes: `default-scheduler`).
    FailedScheduling {
        /// The pod.
        ordinal: u32,
        /// Its completion index or `NO_INDEX`.
        index: u32,
    },
    /// Normal `Suspended`: `Job suspended`.
    Suspended,
    /// Normal `Resumed`: `Job resumed`.
    Resumed,
    /// Warning `FailedScheduling`, on a pod that does not fit (kubernetes: `default-scheduler`).
    Unschedulable {
        /// The pod.
        ordinal: u32,
        /// Its completion index or `NO_INDEX`.
        index: u32,
        /// Why.
        why: Arc<str>,
    },
}
