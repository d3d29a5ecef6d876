//! Which records of a log a client gets, and chunks of them.
//!
//! A log is a chain that leads backwards, so its records are found from the end and then read from the beginning; both looks read
//! the segments, nothing is kept but places. Invariant: memory does not grow with the log.

use super::lines::Lines;
use super::options::LogOptions;
use crate::base::Time;
use crate::exec::{LOG_BYTES_PER_POD_MAX, LogRecord, Logs, LogsError};
use crate::model::{LogExtent, NO_SEGMENT};
use bytes::Bytes;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;

/// A chunk is handed over when it has this many bytes; the line that made it so comes with it, or the part of it that lies in one
/// record.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// Places that are remembered at a time, 12 bytes each; of a longer log the later ones are looked for again.
pub(super) const PLACES_MAX: usize = 1 << 16;

/// How far a client has come in a log.
#[derive(Debug)]
pub(super) struct Reading {
    logs: Arc<Logs>,
    /// Where the log ends, as far as was asked.
    end: LogExtent,
    /// The last record that was read to its end.
    seen: LogExtent,
    /// Records to read, the oldest first.
    places: VecDeque<LogExtent>,
    /// Bytes of the first place's output that were given, or are not wanted.
    skip: usize,
    lines: Lines,
}

impl Reading {
    /// Starts at the beginning of the log that ends at `end`, or where `options` say: at the last lines, at a time; of a log that
    /// is longer than what is kept, at its last 10 MiB.
    ///
    /// # Errors
    /// [`LogsError::Gone`] when nothing of the log is left.
    pub(super) fn open(logs: Arc<Logs>, end: LogExtent, options: &LogOptions) -> Result<Self, LogsError> {
        let mut start = Start::new(options);
        let mut places = Places::default();
        // Of no line at all, everything is behind.
        let seen = if options.tail_lines == Some(0) { end } else { LogExtent::default() };
        logs.walk(end, seen, |record| {
            places.push(record.place);
            start.look(record)
        })?;
        Ok(Self { logs, end, seen, places: places.0, skip: start.skip, lines: Lines::new(options) })
    }

    /// The last record that was read.
    pub(super) fn seen(&self) -> LogExtent {
        self.seen
    }

    /// Whether the client has got all that it may get.
    pub(super) fn is_full(&self) -> bool {
        self.lines.is_full()
    }

    /// The log now ends at `end`.
    pub(super) fn go_on(&mut self, end: LogExtent) {
        self.end = end;
    }

    /// The next bytes; none when there are none up to the end.
    pub(super) fn chunk(&mut self) -> Bytes {
        let mut out = Vec::new();
        while out.len() < CHUNK_BYTES && !self.is_full() && self.find() {
            self.read(&mut out);
        }
        out.into()
    }

    /// Finds places after those that were read. False when there are none.
    fn find(&mut self) -> bool {
        if self.places.is_empty() && self.end.segment != NO_SEGMENT && self.end != self.seen {
            let mut places = Places::default();
            // What cannot be found any more was removed to keep the limit on all logs.
            _ = self.logs.walk(self.end, self.seen, |record| {
                places.push(record.place);
                ControlFlow::Continue(())
            });
            self.places = places.0;
            if self.places.is_empty() {
                self.seen = self.end;
            }
        }
        !self.places.is_empty()
    }

    /// Reads places until the chunk is large enough.
    fn read(&mut self, out: &mut Vec<u8>) {
        let (mut done, mut skip) = (0, self.skip);
        let lines = &mut self.lines;
        self.logs.visit(self.places.make_contiguous(), |record| {
            // A record that was removed meanwhile is passed over, as a rotated log is.
            skip = record.map_or(0, |record| give(record, skip, lines, out));
            if skip > 0 {
                return ControlFlow::Break(());
            }
            done += 1;
            if out.len() < CHUNK_BYTES && !lines.is_full() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if let Some(last) = self.places.drain(..done).next_back() {
            self.seen = last;
        }
        self.skip = skip;
    }
}

/// Gives lines of a record after the first `skip` bytes until the chunk is large enough. Returns how many bytes of the record are
/// done with, 0 when all are.
fn give(record: &LogRecord<'_>, skip: usize, lines: &mut Lines, out: &mut Vec<u8>) -> usize {
    let (mut at, mut left_out) = (0, skip);
    for (_, run) in record.runs() {
        let rest = &run[left_out.min(run.len())..];
        left_out -= run.len() - rest.len();
        at += run.len() - rest.len();
        for line in rest.split_inclusive(|byte| *byte == b'\n') {
            if out.len() >= CHUNK_BYTES || lines.is_full() {
                return at;
            }
            lines.push(record.at, line, out);
            at += line.len();
        }
    }
    0
}

/// The last places that were pushed, the last one first.
#[derive(Debug, Default)]
struct Places(VecDeque<LogExtent>);

impl Places {
    fn push(&mut self, place: LogExtent) {
        if self.0.len() == PLACES_MAX {
            self.0.pop_back();
        }
        self.0.push_front(place);
    }
}

/// Looks for the first byte that a client wants, from the end of the log on.
#[derive(Debug)]
struct Start {
    since: Option<Time>,
    bytes_left: usize,
    /// Ends of lines that may still be passed; the one that does not fit lies before the first line.
    ends_left: Option<u64>,
    is_last_byte: bool,
    /// Bytes of the oldest record that are not wanted.
    skip: usize,
}

impl Start {
    fn new(options: &LogOptions) -> Self {
        Self {
            since: options.since,
            bytes_left: LOG_BYTES_PER_POD_MAX,
            ends_left: options.tail_lines,
            is_last_byte: true,
            skip: 0,
        }
    }

    /// Breaks at the record in which the first byte lies.
    fn look(&mut self, record: &LogRecord<'_>) -> ControlFlow<()> {
        let len: usize = record.runs().map(|(_, run)| run.len()).sum();
        if let Some(start) = self.line_start(record, len) {
            self.skip = start.max(len.saturating_sub(self.bytes_left));
            return ControlFlow::Break(());
        }
        if len >= self.bytes_left {
            self.skip = len - self.bytes_left;
            return ControlFlow::Break(());
        }
        self.bytes_left -= len;
        // Its own lines are too old, but its last one may go on in the record after it, which is too old then, too.
        let is_too_old = self.since.is_some_and(|since| record.at < since);
        if is_too_old { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Where in the record, of `len` bytes of output, the first of the last lines begins, if it begins here.
    fn line_start(&mut self, record: &LogRecord<'_>, len: usize) -> Option<usize> {
        let left = self.ends_left.as_mut()?;
        let runs: Vec<&[u8]> = record.runs().map(|(_, run)| run).collect();
        let newest_first = runs.iter().rev().flat_map(|run| run.iter().rev());
        for (from_end, byte) in newest_first.enumerate() {
            let is_end_of_log = std::mem::take(&mut self.is_last_byte);
            if *byte != b'\n' || is_end_of_log {
                continue;
            }
            // With none left to pass, this end of a line lies before the lines that are wanted.
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Some(len - from_end);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_places_the_oldest_are_kept() {
        let mut places = Places::default();
        let newest = u32::try_from(PLACES_MAX).expect("fits") + 1;
        for offset in (0..=newest).rev() {
            places.push(LogExtent { segment: 0, offset, bytes: 0 });
        }
        assert_eq!(places.0.len(), PLACES_MAX);
        let offsets = places.0.front().zip(places.0.back()).map(|(first, last)| (first.offset, last.offset));
        assert_eq!(offsets, Some((0, newest - 2)));
    }
}
