//! What is done with each line of a log: left out when it is too old, begun with its time, cut where the limit is.
//!
//! Lines may be spread over many pieces. Knows no file. Invariant: the time of a line is that of its first byte.

use super::options::LogOptions;
use crate::base::Time;
use k8s_openapi::jiff::Timestamp;

/// Turns pieces of output into what a client gets.
#[derive(Debug)]
pub(super) struct Lines {
    since: Option<Time>,
    timestamps: bool,
    /// Bytes that may still be given.
    left: u64,
    is_line_start: bool,
    is_left_out: bool,
}

impl Lines {
    pub(super) fn new(options: &LogOptions) -> Self {
        Self {
            since: options.since,
            timestamps: options.timestamps,
            left: options.bytes_max.unwrap_or(u64::MAX),
            is_line_start: true,
            is_left_out: false,
        }
    }

    /// Whether the limit is reached.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Adds a line or a part of one, which was written at `at`, to `out`.
    pub(super) fn push(&mut self, at: Time, line: &[u8], out: &mut Vec<u8>) {
        if self.is_line_start {
            self.is_left_out = self.since.is_some_and(|since| at < since);
            if self.timestamps && !self.is_left_out {
                self.give(rfc3339_nano(at).as_bytes(), out);
            }
        }
        if !self.is_left_out {
            self.give(line, out);
        }
        self.is_line_start = line.ends_with(b"\n");
    }

    fn give(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let len = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        out.extend_from_slice(&bytes[..len]);
        self.left -= len as u64;
    }
}

/// `2026-11-23T08:00:00.123000000Z `, with the nine digits that a kubelet prints (kubernetes: `RFC3339NanoFixed`).
fn rfc3339_nano(at: Time) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    format!("{:.9} ", Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX))
}
