//! Attempts one after another, with longer and longer waits, up to a limit.
//!
//! Knows times, not what is attempted. Invariant: a server that restarts within half a minute is waited for, one that stays away
//! is given up.

use super::RemoteError;
use std::time::Duration;

/// Attempts, one after another, before the server is given up: half a minute of them.
pub(super) const ATTEMPTS_MAX: u32 = 10;

/// The wait before the second attempt; it doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often something was attempted.
#[derive(Debug)]
pub(super) struct Backoff {
    /// Attempts that were waited for.
    attempts: u32,
    pause: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { attempts: 0, pause: PAUSE }
    }

    /// Whether the attempt that just ended was the last.
    pub(super) fn is_spent(&self) -> bool {
        self.attempts + 1 >= ATTEMPTS_MAX
    }

    /// Whether the attempt that ended so is to be made again; waits until then.
    pub(super) async fn is_again(&mut self, ended: Result<u16, &RemoteError>) -> bool {
        let is_passing = ended.map_or_else(RemoteError::is_passing, is_passing);
        if !is_passing || self.is_spent() {
            return false;
        }
        self.wait().await;
        true
    }

    /// Waits until the next attempt.
    pub(super) async fn wait(&mut self) {
        self.attempts += 1;
        tokio::time::sleep(self.pause).await;
        self.pause = PAUSE_MAX.min(self.pause * 2);
    }
}

/// Whether another attempt may do better than this answer: a server that is busy, stopping or behind a proxy.
fn is_passing(status: u16) -> bool {
    matches!(status, 429 | 502..=504)
}

impl RemoteError {
    /// Whether the same attempt may do better later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Answered { status, .. } => is_passing(*status),
            Self::Untrusted { .. } | Self::Unauthorized { .. } | Self::Unsendable { .. } | Self::TooLong { .. } => {
                false
            }
        }
    }
}
