//! What is committed at once, and how it lies on disk.

use super::fact::Fact;
use crate::base::JobId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The kinds of objects that clients write as documents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// batch/v1 Job.
    Job,
    /// core/v1 Namespace.
    Namespace,
    /// scheduling.k8s.io/v1 PriorityClass.
    PriorityClass,
    /// core/v1 Node: what a client wrote of it.
    Node,
}

/// A document as it is from `rv` on.
#[derive(Clone, PartialEq, Debug)]
pub struct DocWrite {
    /// Kind.
    pub kind: Kind,
    /// The Job whose document it is, if it is one's.
    pub job: Option<JobId>,
    /// Namespace, empty for kinds without one.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Its resourceVersion.
    pub rv: u64,
    /// Canonical JSON without status and without `metadata.resourceVersion`; `None` removes it.
    pub json: Option<Arc<str>>,
}

/// Facts and documents that become durable together, or not at all.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Batch {
    /// The resourceVersion that the first fact takes.
    pub first_rv: u64,
    /// In order.
    pub facts: Vec<Fact>,
    /// In order; each one belongs to a fact of this batch.
    pub docs: Vec<DocWrite>,
}

/// Why bytes are no facts.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Written by another version of the format.
    #[error("facts of format {found}, this build reads {FACTS_FORMAT}")]
    Format {
        /// The version found.
        found: u8,
    },
    /// Not the bytes that were written.
    #[error("facts cannot be decoded: {0}")]
    Corrupt(#[from] postcard::Error),
}

/// The version of the encoding of facts. A change of [`Fact`] that is not an added variant changes it.
const FACTS_FORMAT: u8 = 2;

impl Batch {
    /// The resourceVersion after the batch's last.
    #[must_use]
    pub fn next_rv(&self) -> u64 {
        self.first_rv + self.facts.iter().map(Fact::versions).sum::<u64>()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.docs.is_empty()
    }

    /// How many pods its facts are about.
    #[must_use]
    pub fn pods(&self) -> u64 {
        self.facts.iter().map(Fact::pods).sum()
    }

    /// The number after the highest that a Job gets here; `None` when none is created.
    #[must_use]
    pub fn next_job(&self) -> Option<u32> {
        let created = |fact: &Fact| if let Fact::JobCreated { job, .. } = fact { Some(job.0 + 1) } else { None };
        self.facts.iter().filter_map(created).max()
    }

    /// Its facts, each with its first resourceVersion.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, &Fact)> {
        self.facts.iter().scan(self.first_rv, |next, fact| {
            let rv = *next;
            *next += fact.versions();
            Some((rv, fact))
        })
    }

    /// The facts in their disk format, after what `into` holds.
    pub fn encode_facts(&self, into: &mut Vec<u8>) {
        into.push(FACTS_FORMAT);
        let taken = std::mem::take(into);
        *into = postcard::to_extend(&self.facts, taken).expect("facts always encode");
    }

    /// Reads what [`Batch::encode_facts`] wrote.
    ///
    /// # Errors
    /// [`CodecError`] for another format or broken bytes.
    pub fn decode_facts(bytes: &[u8]) -> Result<Vec<Fact>, CodecError> {
        let (&format, rest) = bytes.split_first().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
        if format != FACTS_FORMAT {
            return Err(CodecError::Format { found: format });
        }
        Ok(postcard::from_bytes(rest)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{JobId, NO_INDEX, Time, Uid};
    use crate::model::{
        Backoff, Claim, Condition, ConditionReason, ConditionType, ContainerExit, Counted, DeletedPod, EngineKind,
        Event, EventNote, IndexRun, LogExtent, PodEnd, PodPriority, PreemptionPolicy, Reason, Terminated, Unplaced,
        Waiting,
    };

    /// One fact of every variant, with every kind of field at a telling value.
    fn every_fact() -> Vec<Fact> {
        let job = JobId(7);
        let at = Time(1_795_405_437_123);
        let unplaced = Unplaced { since: at, why: "full".into() };
        vec![
            Fact::JobCreated { job, uid: Uid(1 << 100), namespace: "default".into(), name: "pi".into(), at },
            Fact::JobChanged { job },
            Fact::JobStarted { job, at },
            Fact::PodsCreated { job, at, first: 3, count: 2, indexes: vec![IndexRun { first: 300, count: 2 }] },
            Fact::PodsStarted { job, pods: vec![(3, at, EngineKind::Large)] },
            Fact::PodsWaiting {
                job,
                pods: vec![Waiting { ordinal: 4, reason: Reason::ErrImagePull, message: "no module".into() }],
            },
            Fact::PodsStopping { job, at, ordinals: vec![4], ready: 0, counted_failed: true },
            Fact::PodsEnded {
                job,
                ends: vec![PodEnd {
                    ordinal: 3,
                    index: NO_INDEX,
                    started: at,
                    run_ms: 5,
                    exit_code: 134,
                    reason: Reason::Error,
                    engine: Some(EngineKind::Small),
                    counted: Counted::Failed,
                    was_ready: true,
                    was_stopping: false,
                    disrupted: false,
                    log: LogExtent { segment: 1, offset: 2, bytes: 3 },
                    fuel_k: 9,
                    peak_pages: 17,
                    message: Some("unreachable".into()),
                }],
            },
            Fact::PodsRemoved { job, ordinals: vec![4] },
            Fact::BackoffSet { job, backoff: Backoff { failures: 1, last: at } },
            Fact::ConditionSet {
                job,
                condition: Condition {
                    kind: ConditionType::FailureTarget,
                    at,
                    reason: ConditionReason::BackoffLimitExceeded,
                    message: "Job has reached the specified backoff limit".into(),
                },
            },
            Fact::StatusPublished { job },
            Fact::Recorded { event: Event { job, at, note: EventNote::SuccessfulCreate { ordinal: 3, index: 300 } } },
            Fact::DocWritten,
            Fact::JobRemoved { job, at, ordinals: 300 },
            Fact::EventsExpired { count: 300 },
            Fact::PriorityResolved {
                job,
                priority: PodPriority {
                    class: Some("high".into()),
                    value: -1000,
                    preemption_policy: PreemptionPolicy::Never,
                },
            },
            Fact::NoRoom { job, since: Some(at) },
            Fact::Recorded { event: Event { job, at, note: EventNote::FailedScheduling { ordinal: 3, index: 300 } } },
            Fact::IndexesLimited { job },
            Fact::PodsReleased { job, ordinals: vec![3, 300], failed: 1 },
            Fact::IndexesCut { job, completions: 300 },
            Fact::ContainersExited {
                job,
                exits: vec![ContainerExit {
                    ordinal: 3,
                    was_ready: true,
                    back_off_ms: 10_000,
                    log: LogExtent { segment: 1, offset: 2, bytes: 3 },
                    terminated: Terminated {
                        started: at,
                        run_ms: 5,
                        exit_code: 1,
                        reason: Reason::Error,
                        engine: Some(EngineKind::Small),
                        message: Some("unreachable".into()),
                    },
                }],
            },
            Fact::ContainersRestarted { job, ordinals: vec![3, 300] },
            Fact::Recorded { event: Event { job, at, note: EventNote::Resumed } },
            Fact::IndexesRerun { job, at, indexes: vec![IndexRun { first: 300, count: 2 }], goes_on: true },
            Fact::PodsDeleted {
                job,
                at,
                pods: vec![DeletedPod {
                    ordinal: 4,
                    index: 300,
                    grace_s: 300,
                    was_ready: true,
                    counted: Counted::Held,
                    evicted: true,
                }],
            },
            Fact::EndedPodsRemoved { job, ordinals: 300 },
            Fact::JobOrphaned { job, at, ordinals: 300 },
            Fact::PodChanged { job, ordinal: 4, meta: Some("{}".into()), claim: Claim::Left { was_ready: true } },
            Fact::Unplaced { job, unplaced: Some(unplaced) },
            Fact::PodUngated { job, ordinal: 4 },
            Fact::Recorded {
                event: Event { job, at, note: EventNote::Unschedulable { ordinal: 3, index: 300, why: "full".into() } },
            },
        ]
    }

    #[test]
    fn every_fact_survives_the_disk() {
        let batch = Batch { first_rv: 1, facts: every_fact(), docs: Vec::new() };
        let mut bytes = Vec::new();
        batch.encode_facts(&mut bytes);
        assert_eq!(Batch::decode_facts(&bytes).expect("own bytes"), batch.facts);
    }

    #[test]
    fn the_disk_format_is_the_golden_one() {
        let mut bytes = Vec::new();
        Batch { first_rv: 1, facts: every_fact(), docs: Vec::new() }.encode_facts(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            include_str!("facts.golden").trim(),
            "the format changed: stores written by earlier builds would not be read; raise FACTS_FORMAT"
        );
    }

    #[test]
    fn other_formats_and_broken_bytes_are_refused() {
        assert!(matches!(Batch::decode_facts(&[9, 0]), Err(CodecError::Format { found: 9 })));
        assert!(matches!(Batch::decode_facts(&[]), Err(CodecError::Corrupt(_))));
        let mut bytes = Vec::new();
        Batch { first_rv: 1, facts: every_fact(), docs: Vec::new() }.encode_facts(&mut bytes);
        bytes.truncate(bytes.len() - 1);
        assert!(matches!(Batch::decode_facts(&bytes), Err(CodecError::Corrupt(_))));
    }

    #[test]
    fn facts_take_a_version_for_each_object_they_change() {
        let batch = Batch { first_rv: 10, facts: every_fact(), docs: Vec::new() };
        let firsts: Vec<u64> = batch.numbered().map(|(rv, _)| rv).collect();
        assert_eq!(
            firsts,
            [
                10, 11, 12, 12, 14, 15, 16, 17, 18, 19, 19, 19, 20, 21, 22, 323, 623, 623, 623, 624, 624, 626, 626,
                627, 629, 630, 630, 631, 931, 1232, 1233, 1233, 1234
            ]
        );
        assert_eq!(batch.next_rv(), 1235);
    }
}
