//! A pod's life on this machine: worker threads, admission, logs, and what a sandbox must offer.
//!
//! Knows nothing of wasmtime (that is `sandbox`, behind [`Runtime`]) and nothing of Jobs' rules. Start with `runtime`.

mod agent;
mod expand;
mod log;
mod runtime;

pub use agent::{SETUP_BYTES_MAX, SetupTooLong, prepare};
pub use log::PodLog;
pub use runtime::{Busy, LoadError, Outcome, PodSetup, Runtime, Stream, Trace};
