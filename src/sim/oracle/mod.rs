//! A second opinion: the Job controller of Kubernetes 1.36 read literally, over plain lists of pods.
//!
//! One [`Job::sync`] is one `syncJob` (kubernetes: job_controller.go): it derives everything from the lists and from what the
//! status itself keeps. Slow and simple on purpose. Knows nothing of the state machine that it judges; `tests/tidy.rs` holds
//! it to that. Start with `sync`, then `rules`, where the numbers in the comments are the sections of the
//! behaviour specification that both were written from. Invariant: between two syncs nothing is remembered but the
//! status, the back-off record and the pods.
//!
//! Where Coracle differs on purpose, a pod says so: one that was `lost` with the engine counts nowhere (docs/ARCHITECTURE.md,
//! "After a crash").

mod rules;
mod spec;
mod sync;
#[cfg(test)]
mod vectors;

pub(super) use spec::{Spec, print_indexes};

use crate::base::Time;
use crate::model::Phase;
use std::collections::BTreeSet;

/// kubernetes: `core/v1 Pod`, what the controller reads of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pod {
    /// What tells it from the Job's other pods.
    pub(super) id: u32,
    /// `namespace/name`.
    pub(super) name: String,
    /// The completion index of its annotation; `None` when there is none or it is unreadable.
    pub(super) index: Option<u32>,
    pub(super) created: Time,
    pub(super) phase: Phase,
    /// `spec.nodeName` is set.
    pub(super) assigned: bool,
    /// The condition Ready is True since then.
    pub(super) ready: Option<Time>,
    /// The condition Ready is False since then.
    pub(super) unready_since: Option<Time>,
    /// Its deletion was asked for then.
    pub(super) deleted: Option<Time>,
    pub(super) containers: Vec<Container>,
    /// Type and status.
    pub(super) conditions: Vec<(String, String)>,
    /// It has the finalizer `batch.kubernetes.io/job-tracking`.
    pub(super) finalizer: bool,
    /// Annotation `job-index-failure-count`.
    pub(super) failures: u32,
    /// Annotation `job-index-ignored-failure-count`.
    pub(super) ignored: u32,
    /// It ended with the engine.
    pub(super) lost: bool,
}

/// kubernetes: `ContainerStatus`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Container {
    pub(super) name: String,
    /// Of `initContainerStatuses`.
    pub(super) init: bool,
    pub(super) restarts: u32,
    /// `state.terminated`: exit code and finishedAt.
    pub(super) ended: Option<(u8, Time)>,
}

/// What a pod that failed shows, in order.
const ENDED_CONDITIONS: [(&str, &str); 5] = [
    ("PodReadyToStartContainers", "False"),
    ("Initialized", "True"),
    ("Ready", "False"),
    ("ContainersReady", "False"),
    ("PodScheduled", "True"),
];

impl Pod {
    /// A pod that the controller has just made.
    pub(super) fn new(id: u32, name: String, index: Option<u32>, container: &str, created: Time) -> Self {
        let container = Container { name: container.to_owned(), init: false, restarts: 0, ended: None };
        Self {
            id,
            name,
            index,
            created,
            phase: Phase::Pending,
            assigned: false,
            ready: None,
            unready_since: None,
            deleted: None,
            containers: vec![container],
            conditions: Vec::new(),
            finalizer: true,
            failures: 0,
            ignored: 0,
            lost: false,
        }
    }

    pub(super) fn is_terminal(&self) -> bool {
        matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }

    fn is_running(&self) -> bool {
        self.phase == Phase::Running
    }

    /// 7.1
    pub(super) fn is_active(&self) -> bool {
        !self.is_terminal() && self.deleted.is_none()
    }

    /// 7.1
    fn is_terminating(&self) -> bool {
        !self.is_terminal() && self.deleted.is_some()
    }

    /// 7.1
    fn is_failed(&self, spec: &Spec) -> bool {
        let is_going = !spec.only_replace_failed() && self.deleted.is_some() && self.phase != Phase::Succeeded;
        self.phase == Phase::Failed || is_going
    }

    /// Its only container ends.
    pub(super) fn end(&mut self, exit_code: u8, at: Time) {
        self.phase = if exit_code == 0 { Phase::Succeeded } else { Phase::Failed };
        self.ready = None;
        self.containers.iter_mut().for_each(|container| container.ended = Some((exit_code, at)));
        if exit_code != 0 {
            let shown = ENDED_CONDITIONS.map(|(kind, status)| (kind.to_owned(), status.to_owned()));
            self.conditions.splice(0..0, shown);
        }
    }

    /// Its only container ends and will be started again.
    pub(super) fn end_container(&mut self, at: Time) {
        self.phase = Phase::Running;
        self.ready = None;
        self.unready_since = Some(at);
    }

    /// It has ended, nothing holds it, and its deletion was asked for.
    pub(super) fn is_gone(&self) -> bool {
        self.is_terminal() && self.deleted.is_some() && !self.finalizer
    }

    fn restarts(&self) -> u32 {
        self.containers.iter().map(|container| container.restarts).sum()
    }
}

/// What the failure policy says of a pod that failed.
pub(super) fn action<'a>(spec: &'a Spec, pod: &Pod) -> Option<&'a str> {
    let (rule, _) = rules::first_match(spec, pod).filter(|_| pod.phase == Phase::Failed)?;
    Some(&rule.action)
}

/// 8.1: what is remembered of failures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Backoff {
    pub(super) n: u32,
    pub(super) last: Time,
}

/// kubernetes: `JobCondition`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    pub(super) kind: &'static str,
    pub(super) status: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) at: Time,
}

/// kubernetes: `JobStatus`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Status {
    pub(super) conditions: Vec<Condition>,
    pub(super) start_time: Option<Time>,
    pub(super) completion_time: Option<Time>,
    pub(super) active: u32,
    pub(super) ready: u32,
    pub(super) terminating: u32,
    pub(super) succeeded: u32,
    pub(super) failed: u32,
    pub(super) completed_indexes: BTreeSet<u32>,
    pub(super) failed_indexes: BTreeSet<u32>,
}

impl Status {
    /// The condition of this type, if it is True.
    pub(super) fn is_true(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind && condition.status)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_true("Complete").or_else(|| self.is_true("Failed")).is_some()
    }

    /// 10.2: when the Job is to be deleted.
    pub(super) fn ttl_due(&self, spec: &Spec) -> Option<Time> {
        let end = self.is_true("Complete").or_else(|| self.is_true("Failed"))?;
        Some(end.at.plus_ms(spec.ttl_ms?))
    }

    /// kubernetes: `ensureJobConditionStatus`; true when it changed.
    fn ensure(&mut self, kind: &'static str, status: bool, reason: &'static str, message: &str, at: Time) -> bool {
        let condition = Condition { kind, status, reason, message: message.to_owned(), at };
        match self.conditions.iter_mut().find(|condition| condition.kind == kind) {
            Some(old) if old.status == status => false,
            Some(old) => {
                *old = condition;
                true
            }
            None if !status => false,
            None => {
                self.conditions.push(condition);
                true
            }
        }
    }
}

/// How a Job is going to end.
#[derive(Clone, Debug, PartialEq)]
struct Verdict {
    failed: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn failure(reason: &'static str, message: &str) -> Self {
        Self { failed: true, reason, message: message.to_owned() }
    }

    fn success(reason: &'static str, message: &str) -> Self {
        Self { failed: false, reason, message: message.to_owned() }
    }

    fn of(condition: &Condition) -> Self {
        let failed = condition.kind == "FailureTarget";
        Self { failed, reason: condition.reason, message: condition.message.clone() }
    }
}

/// A pod that a sync wants made.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NewPod {
    pub(super) index: Option<u32>,
    pub(super) failures: u32,
    pub(super) ignored: u32,
    /// Back-off ended less than a second ago: a controller that comes again after a second at the least (7.3) may not have
    /// come yet.
    pub(super) may_wait: bool,
}

/// What a sync does beside the status.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Work {
    pub(super) create: Vec<NewPod>,
    /// Ids of pods that get a deletionTimestamp.
    pub(super) delete: Vec<u32>,
    /// Messages of which any may be that of a `PodFailurePolicy`: no order among pods is promised.
    pub(super) messages: Vec<String>,
    /// When there is more to do.
    pub(super) again: Option<Time>,
}

/// A Job with its pods.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Job {
    pub(super) status: Status,
    pub(super) backoff: Backoff,
    pub(super) pods: Vec<Pod>,
    /// It has a deletionTimestamp.
    pub(super) deleting: bool,
}
