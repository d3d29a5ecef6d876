//! What a guest writes, on its way to its log.

use super::Stream;
use std::sync::{Arc, Mutex, PoisonError};

/// A pod's output since it was last flushed. The sandbox writes, the pod's worker takes; both on one thread, the lock is
/// there because WASI's streams must be `Send`.
#[derive(Clone, Debug, Default)]
pub struct PodLog(Arc<Mutex<Vec<(Stream, Vec<u8>)>>>);

impl PodLog {
    /// Appends what the guest wrote to `stream`. Never blocks, never fails.
    pub fn write(&self, stream: Stream, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((stream, bytes.to_vec()));
    }
}
