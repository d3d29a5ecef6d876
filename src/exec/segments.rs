//! Log segments: how records lie in a file, and the one that a worker appends to.
//!
//! A segment is a header and records. A record holds runs of one pod's output and names the pod's record before it, so
//! that a pod's log is a chain walked backwards. All numbers are little-endian. Knows nothing of pods' lives. Invariant: an
//! extent that was returned by [`SegmentWriter::append`] can be read as soon as [`SegmentWriter::flush`] returned `Ok`.

use super::log::{LOG_BYTES_PER_POD_MAX, PodLog, read_runs, split_runs};
use super::logs::{Logs, LogsError};
use crate::base::{JobId, Time, mix};
use crate::model::LogExtent;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A segment that reached this size, bytes, is closed; the next record opens another.
pub const SEGMENT_BYTES: u32 = 64 << 20;

/// What a writer gathers before it writes without waiting for the end of the round, bytes.
const WRITE_BUFFER_BYTES: usize = 1 << 20;

/// Runs of one record, bytes: what a reader holds at a time. Output that was taken at once and is more becomes several records.
pub(super) const RECORD_BYTES_MAX: usize = 256 << 10;

const MAGIC: [u8; 8] = *b"coraclog";
const FORMAT: u32 = 1;

/// Magic, format and boot.
pub(super) const SEGMENT_HEADER: u32 = 16;

/// Bytes of a record before its runs.
pub(super) const RECORD_HEADER: u32 = 36;

/// A segment's file. Closed and removed by dropping the last reference.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u32,
    /// The boot that wrote it.
    pub(super) boot: u32,
    /// `None` once nobody appends to it and it can be opened by its path.
    pub(super) file: Option<File>,
    /// `None` for one in memory, which has no name.
    pub(super) path: Option<PathBuf>,
    /// Bytes written.
    pub(super) bytes: AtomicU64,
}

pub(super) fn segment_header(boot: u32) -> [u8; SEGMENT_HEADER as usize] {
    let mut header = [0; SEGMENT_HEADER as usize];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..].copy_from_slice(&boot.to_le_bytes());
    header
}

/// The boot of the segment that begins with `header`; `None` when it is no segment of this format.
pub(super) fn read_segment_header(header: &[u8; SEGMENT_HEADER as usize]) -> Option<u32> {
    let boot = u32::from_le_bytes(header.last_chunk().copied()?);
    (*header == segment_header(boot)).then_some(boot)
}

/// What stands before a record's runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Bytes of runs after the header.
    pub(super) body_bytes: u32,
    checksum: u32,
    pub(super) job: JobId,
    pub(super) ordinal: u32,
    /// The pod's record before this one; `bytes` counts the output up to and including this record.
    pub(super) chain: LogExtent,
    /// When the output was taken from the guest.
    pub(super) at: Time,
}

impl RecordHeader {
    fn encode(&self) -> [u8; RECORD_HEADER as usize] {
        let mut out = [0; RECORD_HEADER as usize];
        let words = [
            self.body_bytes,
            self.checksum,
            self.job.0,
            self.ordinal,
            self.chain.segment,
            self.chain.offset,
            self.chain.bytes,
        ];
        for (place, word) in out.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out[28..].copy_from_slice(&self.at.0.to_le_bytes());
        out
    }

    /// Reads a header; `None` when it cannot be one.
    pub(super) fn decode(bytes: &[u8; RECORD_HEADER as usize]) -> Option<Self> {
        let word = |at: usize| {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_le_bytes(four)
        };
        let chain = LogExtent { segment: word(16), offset: word(20), bytes: word(24) };
        let at = Time(u64::from_le_bytes(bytes.last_chunk().copied()?));
        let header = Self { body_bytes: word(0), checksum: word(4), job: JobId(word(8)), ordinal: word(12), chain, at };
        (usize::try_from(header.body_bytes).ok()? <= LOG_BYTES_PER_POD_MAX).then_some(header)
    }

    /// Whether this header and `body` were written together.
    pub(super) fn is_whole(&self, body: &[u8]) -> bool {
        self.checksum == self.sum(body)
    }

    fn sum(&self, body: &[u8]) -> u32 {
        let header = Self { checksum: 0, ..*self }.encode();
        checksum(checksum(0, &header).into(), body)
    }
}

/// A checksum against torn writes, not against malice: eight bytes a step through SplitMix64's finaliser.
fn checksum(seed: u64, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let words = words.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    let sum = words.fold(mix(seed ^ length), |sum, word| mix(sum ^ word));
    #[expect(clippy::cast_possible_truncation, reason = "every bit of the sum depends on every byte")]
    let low = sum as u32;
    low
}

/// The segment that one worker appends to. Records gather in memory until [`SegmentWriter::flush`].
#[derive(Debug)]
pub(super) struct SegmentWriter {
    logs: Arc<Logs>,
    segment: Option<Arc<Segment>>,
    /// How much of the segment is in its file.
    written: u32,
    pending: Vec<u8>,
    /// The first failure since the last flush; output is dropped meanwhile.
    failed: Option<LogsError>,
}

impl SegmentWriter {
    pub(super) fn new(logs: Arc<Logs>) -> Self {
        Self { logs, segment: None, written: 0, pending: Vec::new(), failed: None }
    }

    /// Takes what a pod has written and appends it to the chain that ends at `prev`; returns the chain's new end, which is
    /// `prev` when there was nothing to take.
    pub(super) fn append(&mut self, job: JobId, ordinal: u32, prev: LogExtent, log: &PodLog, now: Time) -> LogExtent {
        log.drain_into(|body| match body.len() {
            0 => prev,
            1..=RECORD_BYTES_MAX => self.append_runs(job, ordinal, prev, body, now),
            _ => {
                let parts = split_runs(body, RECORD_BYTES_MAX);
                parts.iter().fold(prev, |prev, part| self.append_runs(job, ordinal, prev, part, now))
            }
        })
    }

    fn append_runs(&mut self, job: JobId, ordinal: u32, prev: LogExtent, body: &[u8], at: Time) -> LogExtent {
        let body_bytes = u32::try_from(body.len()).expect("a pod's buffer is at most LOG_BYTES_PER_POD_MAX");
        let Some(segment) = self.segment_for(RECORD_HEADER + body_bytes) else { return prev };
        let output: usize = read_runs(body).map(|(_, bytes)| bytes.len()).sum();
        let bytes = prev.bytes.saturating_add(u32::try_from(output).unwrap_or(u32::MAX));
        let mut header = RecordHeader { body_bytes, checksum: 0, job, ordinal, chain: LogExtent { bytes, ..prev }, at };
        header.checksum = header.sum(body);
        let extent = LogExtent { segment, offset: self.end(), bytes };
        self.pending.extend(header.encode());
        self.pending.extend_from_slice(body);
        if self.pending.len() >= WRITE_BUFFER_BYTES {
            self.write_pending();
        }
        extent
    }

    /// Where the next record of the segment begins.
    fn end(&self) -> u32 {
        self.written + u32::try_from(self.pending.len()).expect("what is pending is below WRITE_BUFFER_BYTES")
    }

    /// The number of a segment with room for `bytes`; `None` when none can be opened. A new one takes any record.
    fn segment_for(&mut self, bytes: u32) -> Option<u32> {
        if self.failed.is_some() {
            return None;
        }
        if self.segment.is_some() && self.end() + bytes > self.logs.segment_bytes().max(SEGMENT_HEADER + bytes) {
            self.write_pending();
            self.close();
        }
        if self.segment.is_none() {
            match self.logs.create_segment() {
                Ok(segment) => self.segment = Some(segment),
                Err(error) => {
                    self.failed.get_or_insert(error);
                    return None;
                }
            }
            self.written = SEGMENT_HEADER;
        }
        self.segment.as_ref().map(|segment| segment.number)
    }

    /// Writes what was appended, with one write. Not synced: it survives the process, not the machine.
    ///
    /// # Errors
    /// The first failure since the last flush; some of the extents returned since then read as gone.
    pub(super) fn flush(&mut self) -> Result<(), LogsError> {
        self.write_pending();
        self.failed.take().map_or(Ok(()), Err)
    }

    fn write_pending(&mut self) {
        let Some(segment) = self.segment.as_ref().filter(|_| !self.pending.is_empty()) else { return };
        let file = segment.file.as_ref().expect("the segment that is appended to is open");
        match file.write_all_at(&self.pending, self.written.into()) {
            Ok(()) => {
                self.written = self.end();
                segment.bytes.store(self.written.into(), Ordering::Relaxed);
                self.logs.grew(self.pending.len());
            }
            Err(source) => {
                // Half a record may lie there: nothing is appended behind it.
                self.failed.get_or_insert(LogsError::Write { source });
                self.close();
            }
        }
        self.pending.clear();
        self.pending.shrink_to(2 * WRITE_BUFFER_BYTES);
    }

    fn close(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.logs.closed(segment.number);
        }
    }
}

impl Drop for SegmentWriter {
    fn drop(&mut self) {
        self.write_pending();
        self.close();
    }
}
