//! Wall time as one number.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970-01-01 UTC. Displays as Kubernetes' `metav1.Time`: RFC 3339, whole seconds, `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// Later by `ms` milliseconds, at the most the end of time.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 when `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// [`Time::since_ms`] that stops at `u32::MAX` (49 days), for the deltas of a pod record.
    #[must_use]
    pub fn since_ms_u32(self, earlier: Self) -> u32 {
        u32::try_from(self.since_ms(earlier)).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Times come from the engine's own clock; one past the year 9999 is shown as the last that RFC 3339 can say.
        let seconds = i64::try_from(self.0 / 1000).unwrap_or(i64::MAX);
        let shown = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{shown:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_whole_seconds() {
        assert_eq!(Time(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Time(1_795_405_437_999).to_string(), "2026-11-23T03:43:57Z");
        assert!(Time(u64::MAX).to_string().starts_with("9999-12-30"));
    }
}
