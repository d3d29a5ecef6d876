//! A pod's life on this machine: worker threads, admission, logs, and what a sandbox must offer.
//!
//! Knows nothing of wasmtime (that is `sandbox`, behind [`Runtime`]) and nothing of Jobs' rules. Start with `runtime`.

mod agent;
mod compile;
mod ends;
mod env;
mod exits;
mod expand;
#[cfg(test)]
mod fake;
mod guard;
mod inbox;
mod log;
mod logs;
#[cfg(test)]
mod logs_tests;
mod nursery;
mod priority;
mod queue;
mod reader;
mod run;
mod runtime;
mod segments;
mod texts;
mod tick;
#[cfg(test)]
mod turns_tests;
mod worker;
mod workers;
#[cfg(test)]
mod workers_tests;

pub use agent::{SETUP_BYTES_MAX, SetupTooLong};
pub use log::{LOG_BYTES_PER_POD_MAX, PodLog};
pub use logs::{Following, LOG_BYTES_MAX_DEFAULT, LogEntry, Logs, LogsError, SEGMENTS_MAX};
pub use priority::as_compilation;
pub use reader::LogRecord;
pub use runtime::{Busy, Checked, LoadError, Outcome, PodSetup, Runtime, Stream, Trace};
pub use segments::SEGMENT_BYTES;
pub use texts::Texts;
pub use workers::{ReportFn, Workers, WorkersConfig, WorkersError};
