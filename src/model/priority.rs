//! Priorities of pods: what a PriorityClass says, and what a Job's pods got of it.

use crate::base::Time;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// kubernetes: `scheduling/v1 PriorityClass`, what decides of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PriorityClass {
    /// The priority of its pods; higher ones go first.
    pub value: i32,
    /// It counts for pods that name no class.
    #[serde(default)]
    pub global_default: bool,
    /// `preemptionPolicy`.
    #[serde(default)]
    pub preemption_policy: PreemptionPolicy,
}

/// kubernetes: `core/v1 PreemptionPolicy`. Shown only: nothing is preempted here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum PreemptionPolicy {
    /// Pods of a lower priority would make room.
    #[default]
    PreemptLowerPriority,
    /// They would not.
    Never,
}

impl PreemptionPolicy {
    /// The text of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PreemptLowerPriority => "PreemptLowerPriority",
            Self::Never => "Never",
        }
    }
}

impl PriorityClass {
    /// Reads a document.
    ///
    /// # Errors
    /// When it did not go through validation.
    pub fn from_doc(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

/// The priority that a Job's pods got when the first of them were made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PodPriority {
    /// `spec.priorityClassName`.
    pub class: Option<Arc<str>>,
    /// `spec.priority`.
    pub value: i32,
    /// `spec.preemptionPolicy`.
    pub preemption_policy: PreemptionPolicy,
}

/// How a Job's pods stand in line.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Placement {
    /// `None` is the priority of pods without a class.
    pub priority: Option<PodPriority>,
    /// Since when its pods wait because every worker is full.
    pub no_room: Option<Time>,
    /// Why its pods wait that do not fit.
    pub unplaced: Option<Unplaced>,
    /// The Job is gone and its pods were kept.
    pub orphaned: bool,
}

/// Pods that wait because they do not fit (kubernetes: kube-scheduler, `FitError`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Unplaced {
    /// Since when.
    pub since: Time,
    /// Message of the condition `PodScheduled`, whose reason is `Unschedulable`.
    pub why: Arc<str>,
}

impl Placement {
    /// The priority; higher ones go first.
    #[must_use]
    pub fn value(&self) -> i32 {
        self.priority.as_ref().map_or(0, |priority| priority.value)
    }
}
