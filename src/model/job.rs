//! What is kept of a Job beside its document, and how facts change it.

use super::fact::{Claim, Counted, DeletedPod, Fact, IndexRun, PodEnd};
use super::per_index::{IndexFailures, PerIndex};
use super::priority::Placement;
use crate::base::{IndexSet, JobId, NO_INDEX, Time, Uid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// kubernetes: `batch/v1 JobConditionType`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConditionType {
    /// The Job will fail once its pods have ended.
    FailureTarget,
    /// The Job has failed.
    Failed,
    /// The Job will complete once its pods have ended.
    SuccessCriteriaMet,
    /// The Job is complete.
    Complete,
    /// The Job is suspended, or was: its reason says which.
    Suspended,
}

/// Why a condition was set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ConditionReason {
    /// A `FailJob` rule matched.
    PodFailurePolicy,
    /// More failures than `backoffLimit`.
    BackoffLimitExceeded,
    /// `activeDeadlineSeconds` have passed.
    DeadlineExceeded,
    /// Enough pods succeeded.
    CompletionsReached,
    /// `suspend` was set.
    JobSuspended,
    /// `suspend` was unset again.
    JobResumed,
    /// More failed indexes than `maxFailedIndexes`.
    MaxFailedIndexesExceeded,
    /// Every index has ended, and some of them failed.
    FailedIndexes,
    /// A rule of `successPolicy` matched.
    SuccessPolicy,
}

impl ConditionType {
    /// The text of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FailureTarget => "FailureTarget",
            Self::Failed => "Failed",
            Self::SuccessCriteriaMet => "SuccessCriteriaMet",
            Self::Complete => "Complete",
            Self::Suspended => "Suspended",
        }
    }
}

impl ConditionReason {
    /// The text of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PodFailurePolicy => "PodFailurePolicy",
            Self::BackoffLimitExceeded => "BackoffLimitExceeded",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::CompletionsReached => "CompletionsReached",
            Self::JobSuspended => "JobSuspended",
            Self::JobResumed => "JobResumed",
            Self::MaxFailedIndexesExceeded => "MaxFailedIndexesExceeded",
            Self::FailedIndexes => "FailedIndexes",
            Self::SuccessPolicy => "SuccessPolicy",
        }
    }
}

/// A condition of a Job.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Condition {
    /// Type.
    pub kind: ConditionType,
    /// lastProbeTime and lastTransitionTime.
    pub at: Time,
    /// Reason.
    pub reason: ConditionReason,
    /// Message.
    pub message: Arc<str>,
}

impl Condition {
    /// Its status: only that of a Job that was resumed is False.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.reason != ConditionReason::JobResumed
    }
}

/// Recent failures of a Job (kubernetes: `backoffRecord`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Backoff {
    /// Failures since the last success.
    pub failures: u32,
    /// When the latest of them ended.
    pub last: Time,
}

/// `Job.status` and what decides about the next pods.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct JobStatus {
    /// Conditions in the order in which they were set.
    pub conditions: Vec<Condition>,
    /// When the Job started.
    pub start_time: Option<Time>,
    /// When it completed; never set when it failed.
    pub completion_time: Option<Time>,
    /// Pods that have neither ended nor been told to stop.
    pub active: u32,
    /// Active pods whose guest runs.
    pub ready: u32,
    /// Pods told to stop that have not ended.
    pub terminating: u32,
    /// Counted successes; in an Indexed Job the number of completed indexes.
    pub succeeded: u32,
    /// Counted failures.
    pub failed: u32,
    /// Completed indexes (Indexed).
    pub completed: IndexSet,
    /// Failed indexes (Indexed with `backoffLimitPerIndex`).
    pub failed_indexes: Option<Box<IndexSet>>,
}

impl JobStatus {
    /// The condition of this type, if it was set.
    #[must_use]
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether condition Suspended is True.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.condition(ConditionType::Suspended).is_some_and(Condition::is_true)
    }

    /// Whether the index has failed for good.
    #[must_use]
    pub fn has_failed(&self, index: u32) -> bool {
        self.failed_indexes.as_ref().is_some_and(|failed| failed.contains(index))
    }

    /// Complete or Failed: nothing changes any more.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.conditions.iter().any(|c| matches!(c.kind, ConditionType::Complete | ConditionType::Failed))
    }
}

/// A Job's compact state. Equal in `control` and in `view` once everything is durable.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its number.
    pub id: JobId,
    /// Its uid.
    pub uid: Uid,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The resourceVersion of the last change that clients see.
    pub rv: u64,
    /// When it was created.
    pub created: Time,
    /// The ordinal that the next pod gets.
    pub next_ordinal: u32,
    /// Every index below was given to a pod at least once (Indexed).
    pub next_index: u32,
    /// Recent failures.
    pub backoff: Backoff,
    /// The status as of the last fact; shared with what is shown for as long as it is the same.
    pub status: Arc<JobStatus>,
    /// Failures by index, of a Job that limits them.
    pub per_index: Option<Arc<PerIndex>>,
    /// Pods that have not ended and left the Job: they are in none of its counters.
    pub strays: BTreeSet<u32>,
    /// How its pods stand in line.
    pub placement: Placement,
}

impl JobRecord {
    /// The record that a [`Fact::JobCreated`] makes; `None` for any other fact.
    #[must_use]
    pub fn created_by(fact: &Fact, rv: u64) -> Option<Self> {
        let Fact::JobCreated { job, uid, namespace, name, at } = fact else { return None };
        Some(Self {
            id: *job,
            uid: *uid,
            namespace: Arc::clone(namespace),
            name: Arc::clone(name),
            rv,
            created: *at,
            next_ordinal: 0,
            next_index: 0,
            backoff: Backoff::default(),
            status: Arc::default(),
            per_index: None,
            strays: BTreeSet::new(),
            placement: Placement::default(),
        })
    }

    /// Applies a fact about this Job whose first resourceVersion is `rv`.
    pub fn apply(&mut self, fact: &Fact, rv: u64) {
        debug_assert_eq!(fact.job(), Some(self.id), "a fact of another Job");
        match fact {
            Fact::JobCreated { .. } | Fact::JobChanged { .. } | Fact::StatusPublished { .. } => self.rv = rv,
            Fact::JobStarted { at, .. } => self.status_mut().start_time = Some(*at),
            Fact::PodsCreated { first, count, indexes, .. } => {
                self.status_mut().active += count;
                self.next_ordinal = first + count;
                for run in indexes {
                    self.next_index = self.next_index.max(run.first + run.count);
                }
            }
            Fact::PodsStarted { pods, .. } => {
                let ready = self.count_own(pods.iter().map(|(ordinal, ..)| *ordinal));
                self.status_mut().ready += ready;
            }
            Fact::PodsStopping { ordinals, ready, counted_failed, .. } => {
                let status = self.status_mut();
                status.active -= len(ordinals);
                status.terminating += len(ordinals);
                status.ready -= ready;
                if *counted_failed {
                    status.failed += len(ordinals);
                }
            }
            Fact::PodsEnded { ends, .. } => {
                ends.iter().for_each(|end| self.end(end));
            }
            Fact::BackoffSet { backoff, .. } => self.backoff = *backoff,
            Fact::ConditionSet { condition, .. } => self.status_mut().set(condition),
            Fact::IndexesLimited { .. } => {
                self.per_index = Some(Arc::default());
                self.status_mut().failed_indexes = Some(Box::default());
            }
            Fact::PodsReleased { ordinals, failed, .. } => {
                self.status_mut().failed += failed;
                self.per_index_mut().release(ordinals);
            }
            Fact::IndexesCut { completions, .. } => {
                self.status_mut().cut(*completions);
                if self.per_index.is_some() {
                    self.per_index_mut().cut(*completions);
                }
            }
            Fact::IndexesRerun { at, indexes, goes_on, .. } => self.rerun(*at, indexes, *goes_on),
            Fact::ContainersExited { exits, .. } => {
                let were_ready = exits.iter().filter(|exit| exit.was_ready);
                let ready = self.count_own(were_ready.map(|exit| exit.ordinal));
                self.status_mut().ready -= ready;
            }
            Fact::PodsDeleted { at, pods, .. } => pods.iter().for_each(|pod| self.delete(pod, *at)),
            Fact::PodChanged { ordinal, claim: Claim::Left { was_ready }, .. } => {
                self.strays.insert(*ordinal);
                let status = self.status_mut();
                status.active -= 1;
                status.ready -= u32::from(*was_ready);
            }
            Fact::PodChanged { ordinal, claim: Claim::Joined { is_ready }, .. } => {
                self.strays.remove(ordinal);
                let status = self.status_mut();
                status.active += 1;
                status.ready += u32::from(*is_ready);
            }
            Fact::Unplaced { unplaced, .. } => self.placement.unplaced = unplaced.clone(),
            Fact::JobOrphaned { ordinals, .. } => {
                self.rv = rv + u64::from(*ordinals);
                self.placement.orphaned = true;
            }
            Fact::PriorityResolved { priority, .. } => self.placement.priority = Some(priority.clone()),
            Fact::NoRoom { since, .. } => self.placement.no_room = *since,
            // The record goes after this; what is shown last of the Job has its last version.
            Fact::JobRemoved { ordinals, .. } => self.rv = rv + u64::from(*ordinals),
            Fact::PodsWaiting { .. }
            | Fact::PodsRemoved { .. }
            | Fact::EndedPodsRemoved { .. }
            | Fact::PodChanged { claim: Claim::Same, .. }
            | Fact::PodUngated { .. }
            | Fact::Recorded { .. }
            | Fact::DocWritten
            | Fact::ContainersRestarted { .. }
            | Fact::EventsExpired { .. } => {}
        }
    }

    /// How many of these pods did not leave the Job.
    fn count_own(&self, ordinals: impl Iterator<Item = u32>) -> u32 {
        ordinals.filter(|ordinal| !self.strays.contains(ordinal)).map(|_| 1).sum()
    }

    fn delete(&mut self, pod: &DeletedPod, at: Time) {
        if pod.counted == Counted::Strayed {
            return;
        }
        let status = self.status_mut();
        status.active -= 1;
        status.terminating += 1;
        status.ready -= u32::from(pod.was_ready);
        self.count(pod.counted, pod.index, pod.ordinal, at);
    }

    fn end(&mut self, end: &PodEnd) {
        if end.counted == Counted::Strayed {
            self.strays.remove(&end.ordinal);
            return;
        }
        let status = self.status_mut();
        if end.was_stopping {
            status.terminating -= 1;
        } else {
            status.active -= 1;
            status.ready -= u32::from(end.was_ready);
        }
        self.count(end.counted, end.index, end.ordinal, end.finished());
    }

    /// A pod that failed or succeeded at that time.
    fn count(&mut self, counted: Counted, index: u32, ordinal: u32, at: Time) {
        if let Some(per_index) = &mut self.per_index {
            Arc::make_mut(per_index).count(counted, index, ordinal, at);
        }
        self.status_mut().count(counted, index);
    }

    fn rerun(&mut self, at: Time, indexes: &[IndexRun], goes_on: bool) {
        let all = || indexes.iter().flat_map(|run| run.first..run.first + run.count);
        self.status_mut().forget(all());
        if let Some(per_index) = &mut self.per_index {
            Arc::make_mut(per_index).forget(all());
        }
        if goes_on {
            self.backoff = Backoff::default();
            self.status_mut().go_on(at);
        }
    }

    /// The failures that the next pod of this index carries.
    #[must_use]
    pub fn failures_of(&self, index: u32) -> IndexFailures {
        self.per_index.as_ref().map_or_else(IndexFailures::default, |per_index| per_index.failures(index))
    }

    fn per_index_mut(&mut self) -> &mut PerIndex {
        Arc::make_mut(self.per_index.as_mut().expect("a Job that limits the failures of each index"))
    }

    fn status_mut(&mut self) -> &mut JobStatus {
        Arc::make_mut(&mut self.status)
    }
}

impl JobStatus {
    fn count(&mut self, counted: Counted, index: u32) {
        match counted {
            Counted::Succeeded => {
                self.succeeded += 1;
                if index != NO_INDEX {
                    let new = self.completed.insert(index);
                    debug_assert!(new, "index {index} succeeded twice");
                }
            }
            Counted::Failed => self.failed += 1,
            Counted::IndexFailed => {
                self.failed += 1;
                let failed = self.failed_indexes.as_mut().expect("a Job that limits the failures of each index");
                failed.insert(index);
            }
            Counted::Ignored | Counted::Dropped | Counted::Held | Counted::HeldIgnored | Counted::Strayed => {}
        }
    }

    /// A condition keeps its place when it changes (kubernetes: `ensureJobConditionStatus`).
    fn set(&mut self, condition: &Condition) {
        match condition.kind {
            ConditionType::Complete => self.completion_time = Some(condition.at),
            ConditionType::Suspended => self.start_time = (!condition.is_true()).then_some(condition.at),
            ConditionType::FailureTarget | ConditionType::Failed | ConditionType::SuccessCriteriaMet => {}
        }
        match self.conditions.iter_mut().find(|old| old.kind == condition.kind) {
            Some(old) => old.clone_from(condition),
            None => {
                // A Job has three at the most, and keeps them for as long as it is there.
                self.conditions.reserve_exact(1);
                self.conditions.push(condition.clone());
            }
        }
    }

    fn forget(&mut self, indexes: impl Iterator<Item = u32>) {
        for index in indexes {
            self.succeeded -= u32::from(self.completed.remove(index));
            if let Some(failed) = &mut self.failed_indexes {
                failed.remove(index);
            }
        }
    }

    fn go_on(&mut self, at: Time) {
        self.conditions.retain(|condition| condition.kind == ConditionType::Suspended);
        self.completion_time = None;
        self.start_time = (!self.is_suspended()).then_some(at);
        self.failed = 0;
    }

    fn cut(&mut self, completions: u32) {
        self.completed.truncate(completions);
        self.succeeded = self.completed.len();
        if let Some(failed) = &mut self.failed_indexes {
            failed.truncate(completions);
        }
    }
}

fn len<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a fact never has more than u32::MAX pods")
}
