//! The bytes of the rows that a fold writes.
//!
//! Knows the formats, not where the bytes lie. Invariant: a format that changed has another number; `rows.golden` holds
//! what earlier builds wrote.

use crate::base::JobId;
use crate::model::{Chunk, CodecError, Event, IndexFailures, JobRecord, JobStatus, PodMark, PodRecord, Restarts};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The version of these encodings.
const ROWS_FORMAT: u8 = 2;

/// A Job: its record, and the status that clients see where the record is ahead of it.
#[derive(Serialize, Deserialize)]
pub(super) struct JobRow<'a> {
    pub(super) record: Cow<'a, JobRecord>,
    pub(super) shown: Option<Cow<'a, JobStatus>>,
}

#[derive(Serialize, Deserialize)]
struct ChunkRow<'a> {
    records: Cow<'a, [PodRecord]>,
    messages: Cow<'a, [(u32, Box<str>)]>,
    marks: Cow<'a, [(u32, PodMark)]>,
    failures: Cow<'a, [(u32, IndexFailures)]>,
    restarts: Cow<'a, [(u32, Restarts)]>,
}

fn encode<T: Serialize + ?Sized>(row: &T) -> Vec<u8> {
    postcard::to_extend(row, vec![ROWS_FORMAT]).expect("rows always encode")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    Ok(postcard::from_bytes(checked(bytes)?)?)
}

/// The bytes behind the version.
fn checked(bytes: &[u8]) -> Result<&[u8], CodecError> {
    let (&format, rest) = bytes.split_first().ok_or(postcard::Error::DeserializeUnexpectedEnd)?;
    if format != ROWS_FORMAT {
        return Err(CodecError::Format { found: format });
    }
    Ok(rest)
}

pub(super) fn encode_job(record: &JobRecord, shown: Option<&JobStatus>) -> Vec<u8> {
    encode(&JobRow { record: Cow::Borrowed(record), shown: shown.map(Cow::Borrowed) })
}

pub(super) fn decode_job(bytes: &[u8]) -> Result<JobRow<'static>, CodecError> {
    decode(bytes)
}

pub(super) fn encode_chunk(chunk: &Chunk) -> Vec<u8> {
    encode(&ChunkRow {
        records: Cow::Borrowed(&chunk.records),
        messages: Cow::Borrowed(&chunk.messages),
        marks: Cow::Borrowed(&chunk.marks),
        failures: Cow::Borrowed(&chunk.failures),
        restarts: Cow::Borrowed(&chunk.restarts),
    })
}

pub(super) fn decode_chunk(job: JobId, number: u32, bytes: &[u8]) -> Result<Chunk, CodecError> {
    let ChunkRow { records, messages, marks, failures, restarts } = decode(bytes)?;
    let (records, messages, marks) = (records.into_owned(), messages.into_owned(), marks.into_owned());
    let (failures, restarts) = (failures.into_owned(), restarts.into_owned());
    Ok(Chunk { job, number, records, messages, marks, failures, restarts })
}

pub(super) fn encode_events(events: &[(u64, Event)]) -> Vec<u8> {
    encode(events)
}

pub(super) fn decode_events(bytes: &[u8]) -> Result<Vec<(u64, Event)>, CodecError> {
    decode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Time, Uid};
    use crate::model::{
        Backoff, Condition, ConditionReason, ConditionType, EngineKind, EventNote, FailedOnce, HeldPod, LogExtent,
        PerIndex, Phase, Placement, PodMark, PodPriority, Reason, Terminated, Unplaced,
    };
    use std::sync::Arc;

    fn job() -> JobRecord {
        let condition = Condition {
            kind: ConditionType::SuccessCriteriaMet,
            at: Time(1_795_405_437_123),
            reason: ConditionReason::CompletionsReached,
            message: "Reached expected number of succeeded pods".into(),
        };
        JobRecord {
            id: JobId(7),
            uid: Uid(1 << 100),
            namespace: "default".into(),
            name: "pi".into(),
            rv: 300,
            created: Time(1_795_405_437_000),
            next_ordinal: 5000,
            next_index: 4,
            backoff: Backoff { failures: 2, last: Time(1_795_405_437_100) },
            status: Arc::new(JobStatus {
                conditions: vec![condition],
                start_time: Some(Time(1_795_405_437_001)),
                completion_time: None,
                active: 1,
                ready: 1,
                terminating: 2,
                succeeded: 3,
                failed: 4,
                completed: [0, 1, 2].into_iter().collect(),
                failed_indexes: Some(Box::new([5].into_iter().collect())),
            }),
            per_index: Some(Arc::new(PerIndex {
                failed_once: [(6, FailedOnce { failures: failures(), ordinal: 4097, last: Time(1_795_405_437_040) })]
                    .into(),
                held: [(4097, HeldPod { index: 6, counts: true })].into(),
                held_failures: 1,
            })),
            strays: [4098].into(),
            placement: Placement {
                priority: Some(PodPriority { class: Some("high".into()), value: -5, ..PodPriority::default() }),
                no_room: Some(Time(1_795_405_437_070)),
                unplaced: Some(Unplaced { since: Time(1_795_405_437_080), why: "full".into() }),
                orphaned: true,
            },
        }
    }

    fn mark() -> PodMark {
        PodMark {
            stop: Some(Time(1_795_405_437_020)),
            grace_s: Some(5),
            evicted: true,
            ungated: true,
            meta: Some("{}".into()),
        }
    }

    fn failures() -> IndexFailures {
        IndexFailures { counted: 2, ignored: 1 }
    }

    fn restarts() -> Restarts {
        Restarts {
            count: 3,
            first_started: Time(1_795_405_437_050),
            back_off_ms: 20_000,
            is_waiting: true,
            last: Terminated {
                started: Time(1_795_405_437_060),
                run_ms: 7,
                exit_code: 1,
                reason: Reason::Error,
                engine: Some(EngineKind::Small),
                message: Some("unreachable".into()),
            },
        }
    }

    fn chunk() -> Chunk {
        let record = PodRecord {
            rv: 299,
            created: Time(1_795_405_437_010),
            job: JobId(7),
            ordinal: 4096,
            index: 3,
            start_delta_ms: 11,
            run_ms: 12,
            log: LogExtent { segment: 1, offset: 2, bytes: 3 },
            fuel_k: 13,
            peak_pages: 17,
            phase: Phase::Failed,
            exit_code: 137,
            reason: Reason::OomKilled,
            flags: PodRecord::STARTED | PodRecord::STOPPING,
            attempts: 300,
        };
        Chunk {
            job: JobId(7),
            number: 1,
            records: vec![record],
            messages: vec![(4096, "memory limit reached".into())],
            marks: vec![(4096, mark())],
            failures: vec![(4096, failures())],
            restarts: vec![(4096, restarts())],
        }
    }

    fn events() -> Vec<(u64, Event)> {
        vec![(298, Event { job: JobId(7), at: Time(1_795_405_437_030), note: EventNote::Completed })]
    }

    #[test]
    fn rows_survive_the_disk() {
        let row = decode_job(&encode_job(&job(), Some(&JobStatus::default()))).expect("own bytes");
        assert_eq!(*row.record, job());
        assert_eq!(row.shown.as_deref(), Some(&JobStatus::default()));
        assert!(decode_job(&encode_job(&job(), None)).expect("own bytes").shown.is_none());
        assert_eq!(decode_chunk(JobId(7), 1, &encode_chunk(&chunk())).expect("own bytes"), chunk());
        assert_eq!(decode_events(&encode_events(&events())).expect("own bytes"), events());
    }

    #[test]
    fn the_disk_formats_are_the_golden_ones() {
        let rows = [encode_job(&job(), Some(&JobStatus::default())), encode_chunk(&chunk()), encode_events(&events())];
        let hex = |bytes: &Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            rows.iter().map(hex).collect::<Vec<_>>().join("\n"),
            include_str!("rows.golden").trim(),
            "a format changed: stores written by earlier builds would not be read; raise ROWS_FORMAT"
        );
    }

    #[test]
    fn other_formats_and_broken_rows_are_refused() {
        assert!(matches!(decode_events(&[9, 0]), Err(CodecError::Format { found: 9 })));
        assert!(matches!(decode_events(&[]), Err(CodecError::Corrupt(_))));
        let mut bytes = encode_chunk(&chunk());
        bytes.truncate(bytes.len() - 1);
        assert!(matches!(decode_chunk(JobId(7), 1, &bytes), Err(CodecError::Corrupt(_))));
    }
}
