//! Reading segments: a pod's chain backwards, a whole segment forwards.
//!
//! Trusts nothing it reads: segments are written without sync, so a machine that died leaves torn tails. Invariant: only
//! records whose checksum fits are ever shown, and every walk ends, because a chain may only lead to earlier places.

use super::Stream;
use super::log::read_runs;
use super::logs::{LogEntry, LogsError};
use super::segments::{RECORD_HEADER, RecordHeader, SEGMENT_HEADER, Segment};
use crate::base::Time;
use crate::model::{LogExtent, NO_SEGMENT};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes read at once. A chain's records often lie close together.
const WINDOW_BYTES: usize = 64 << 10;

/// Records that one read walks at the most: a day and more of a line each 100 ms.
pub(super) const RECORDS_PER_READ_MAX: usize = 1 << 20;

/// A piece of a pod's log: what was taken from the guest at once, or a part of it.
#[derive(Debug)]
pub struct LogRecord<'a> {
    /// Where it lies; `bytes` counts the output up to and including this record.
    pub place: LogExtent,
    /// When it was taken from the guest.
    pub at: Time,
    body: &'a [u8],
}

impl<'a> LogRecord<'a> {
    /// What the guest wrote, in order; not cut at ends of lines.
    pub fn runs(&self) -> impl Iterator<Item = (Stream, &'a [u8])> + use<'a> {
        read_runs(self.body)
    }
}

/// The part of a segment that was read last.
struct Window {
    segment: Option<Arc<Segment>>,
    start: u32,
    bytes: Vec<u8>,
}

/// Which way a walk goes, and so which side of a place is worth reading with it.
#[derive(Clone, Copy)]
enum Walk {
    Back,
    Forth,
}

impl Window {
    /// `len` bytes at `offset`, or `None` when the file does not have them.
    fn get(&mut self, segment: &Arc<Segment>, offset: u32, len: u32, walk: Walk) -> Option<&[u8]> {
        let len = usize::try_from(len).ok()?;
        let is_same = self.segment.as_ref().is_some_and(|have| have.number == segment.number);
        if !is_same || self.range(offset, len).is_none() {
            self.fill(segment, offset, len, walk)?;
        }
        let range = self.range(offset, len)?;
        self.bytes.get(range)
    }

    fn range(&self, offset: u32, len: usize) -> Option<std::ops::Range<usize>> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let to = from.checked_add(len)?;
        (to <= self.bytes.len()).then_some(from..to)
    }

    fn fill(&mut self, segment: &Arc<Segment>, offset: u32, len: usize, walk: Walk) -> Option<()> {
        let before = match walk {
            Walk::Back => u32::try_from(WINDOW_BYTES.saturating_sub(len)).unwrap_or(0) / 2,
            Walk::Forth => 0,
        };
        self.start = offset.saturating_sub(before);
        self.segment = Some(segment.clone());
        let want = usize::try_from(offset - self.start).ok()? + len;
        self.bytes.resize(want.max(WINDOW_BYTES), 0);
        let opened = match (&segment.file, &segment.path) {
            (None, Some(path)) => Some(File::open(path).ok()?),
            _ => None,
        };
        let file = segment.file.as_ref().or(opened.as_ref())?;
        let mut have = 0;
        while have < self.bytes.len() {
            let at = u64::from(self.start) + u64::try_from(have).ok()?;
            match file.read_at(&mut self.bytes[have..], at) {
                Ok(0) | Err(_) => break,
                Ok(count) => have += count,
            }
        }
        self.bytes.truncate(have);
        (have >= want).then_some(())
    }

    /// The whole record at `offset`.
    fn record(&mut self, segment: &Arc<Segment>, offset: u32, walk: Walk) -> Option<(RecordHeader, &[u8])> {
        let header = self.get(segment, offset, RECORD_HEADER, walk)?;
        let header = RecordHeader::decode(header.first_chunk()?)?;
        let body = self.get(segment, offset.checked_add(RECORD_HEADER)?, header.body_bytes, walk)?;
        header.is_whole(body).then_some((header, body))
    }
}

/// Reads chains. `open` gives a segment by number, `None` when it was removed.
pub(super) struct Reader<F> {
    open: F,
    window: Window,
}

impl<F: Fn(u32) -> Option<Arc<Segment>>> Reader<F> {
    pub(super) fn new(open: F) -> Self {
        Self { open, window: Window { segment: None, start: 0, bytes: Vec::new() } }
    }

    /// See [`super::Logs::read_after`]; of more than `bytes_max` the oldest is left out.
    pub(super) fn read_after(
        &mut self,
        extent: LogExtent,
        seen: LogExtent,
        bytes_max: usize,
    ) -> Result<Vec<LogEntry>, LogsError> {
        let mut newest_first = Vec::new();
        let mut bytes_left = bytes_max;
        self.walk(extent, seen, |record| {
            collect(record, &mut bytes_left, &mut newest_first);
            if bytes_left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        newest_first.reverse();
        Ok(newest_first)
    }

    /// See [`super::Logs::walk`].
    pub(super) fn walk(
        &mut self,
        extent: LogExtent,
        seen: LogExtent,
        mut on_record: impl FnMut(&LogRecord<'_>) -> ControlFlow<()>,
    ) -> Result<(), LogsError> {
        let mut at = extent;
        let mut pod = None;
        for walked in 0..RECORDS_PER_READ_MAX {
            if at.segment == NO_SEGMENT || is_not_after(at, seen) {
                break;
            }
            let record = self.segment(at.segment).and_then(|segment| {
                let (header, body) = self.window.record(&segment, at.offset, Walk::Back)?;
                let is_same_pod = *pod.get_or_insert((header.job, header.ordinal)) == (header.job, header.ordinal);
                is_same_pod.then_some((header, body))
            });
            match record {
                Some((header, body)) => {
                    let place = LogExtent { bytes: header.chain.bytes, ..at };
                    if on_record(&LogRecord { place, at: header.at, body }).is_break() {
                        break;
                    }
                    at = if is_before(header.chain, at) { header.chain } else { LogExtent::default() };
                }
                None if walked == 0 => return Err(LogsError::Gone { segment: at.segment }),
                None => break,
            }
        }
        Ok(())
    }

    /// See [`super::Logs::visit`].
    pub(super) fn visit(
        &mut self,
        places: &[LogExtent],
        mut on_record: impl FnMut(Option<&LogRecord<'_>>) -> ControlFlow<()>,
    ) {
        for place in places {
            let record = self.segment(place.segment).and_then(|segment| {
                let (header, body) = self.window.record(&segment, place.offset, Walk::Forth)?;
                Some(LogRecord { place: *place, at: header.at, body })
            });
            if on_record(record.as_ref()).is_break() {
                return;
            }
        }
    }

    /// The segment with this number; the one read last needs no look-up.
    fn segment(&self, number: u32) -> Option<Arc<Segment>> {
        let last = self.window.segment.as_ref().filter(|segment| segment.number == number);
        last.cloned().or_else(|| (self.open)(number))
    }
}

/// Adds a record's runs, the newest first, until no byte is left to take; the oldest run may lose its beginning.
fn collect(record: &LogRecord<'_>, bytes_left: &mut usize, newest_first: &mut Vec<LogEntry>) {
    let runs: Vec<_> = record.runs().collect();
    for (stream, bytes) in runs.into_iter().rev() {
        let kept = &bytes[bytes.len().saturating_sub(*bytes_left)..];
        *bytes_left -= kept.len();
        if !kept.is_empty() {
            newest_first.push(LogEntry { at: record.at, stream, bytes: kept.to_vec() });
        }
    }
}

fn is_before(a: LogExtent, b: LogExtent) -> bool {
    a.segment != NO_SEGMENT && (a.segment, a.offset) < (b.segment, b.offset)
}

fn is_not_after(a: LogExtent, seen: LogExtent) -> bool {
    seen.segment != NO_SEGMENT && (a.segment, a.offset) <= (seen.segment, seen.offset)
}

/// Calls `on_record` with every whole record of `segment` and its offset, up to the first that is torn.
pub(super) fn scan(segment: &Arc<Segment>, mut on_record: impl FnMut(&RecordHeader, u32)) {
    let mut window = Window { segment: None, start: 0, bytes: Vec::new() };
    let mut offset = SEGMENT_HEADER;
    while let Some((header, _)) = window.record(segment, offset, Walk::Forth) {
        on_record(&header, offset);
        let Some(next) = offset.checked_add(RECORD_HEADER + header.body_bytes) else { return };
        offset = next;
    }
}
