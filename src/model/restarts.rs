//! Containers that are started again in their pods.
//!
//! Few pods have any of this: it lies beside their records. Invariant: what is here is of the instance before the one that
//! the record speaks of.

use super::pod::{EngineKind, Reason};
use crate::base::Time;
use serde::{Deserialize, Serialize};

/// kubernetes: `core/v1 ContainerStateTerminated`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Terminated {
    /// When its guest started.
    pub started: Time,
    /// From start to end, ms.
    pub run_ms: u32,
    /// Exit code.
    pub exit_code: u8,
    /// `reason`.
    pub reason: Reason,
    /// The engine that ran its guest; `None` when it never ran.
    pub engine: Option<EngineKind>,
    /// `message`.
    pub message: Option<Box<str>>,
}

impl Terminated {
    /// When it ended.
    #[must_use]
    pub fn finished(&self) -> Time {
        self.started.plus_ms(u64::from(self.run_ms))
    }
}

/// What is kept of a pod whose container was started again.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Restarts {
    /// `restartCount`.
    pub count: u32,
    /// When its first container started.
    pub first_started: Time,
    /// How long the container waits or waited for its next start, ms from its end.
    pub back_off_ms: u32,
    /// It has ended and waits for that.
    pub is_waiting: bool,
    /// `lastState.terminated`.
    pub last: Terminated,
}

impl Restarts {
    /// When the container is started again.
    #[must_use]
    pub fn due(&self) -> Time {
        self.last.finished().plus_ms(u64::from(self.back_off_ms))
    }
}
