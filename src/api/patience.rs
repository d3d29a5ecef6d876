//! How long a client that sends may leave the server waiting.
//!
//! Must not know what is sent. Invariant: what a client sends earns time back, but never more than there was at first.

use std::time::Duration;

/// What is left of the time.
#[derive(Debug)]
pub(super) struct Patience {
    max: Duration,
    left: Duration,
    bytes_per_second: u64,
}

impl Patience {
    /// `max` in a row; so many bytes earn one second of it back.
    pub(super) fn new(max: Duration, bytes_per_second: u64) -> Self {
        Self { max, left: max, bytes_per_second }
    }

    /// How long the next bytes may be waited for.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// So many bytes came after so long a wait.
    pub(super) fn received(&mut self, waited: Duration, bytes: usize) {
        let earned = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1000) / self.bytes_per_second;
        let left = self.left.saturating_sub(waited).saturating_add(Duration::from_millis(earned));
        self.left = left.min(self.max);
    }
}
