//! A pod's life on this machine: worker threads, admission, logs, and what a sandbox must offer.
//!
//! Knows nothing of wasmtime (that is `sandbox`, behind [`Runtime`]) and nothing of Jobs' rules. Start with `runtime`.

mod log;
mod runtime;

pub use log::PodLog;
pub use runtime::{Busy, LoadError, Outcome, PodSetup, Runtime, Stream, Trace};
