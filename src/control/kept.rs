//! How long Events are kept.
//!
//! Knows when each one that is kept was recorded, not what it says. Invariant: what is here are the Events of the readers'
//! mirror, oldest first, and after a step never more than [`EVENTS_MAX`].

use crate::base::Time;
use std::collections::VecDeque;

/// How many Events are kept; one more drops the oldest.
pub const EVENTS_MAX: usize = 100_000;

/// How long an Event is kept at least, ms (kubernetes: kube-apiserver `--event-ttl`, one hour).
pub const EVENT_KEPT_MS: u64 = 3_600_000;

/// How much longer one may be kept, ms, so that those of a minute go together (kubernetes: `LeaseManagerConfig`
/// `ReuseDurationSeconds`, 60 s).
pub(super) const EXPIRE_EVERY_MS: u64 = 60_000;

/// When the Events that are kept were recorded, oldest first.
#[derive(Debug, Default)]
pub(super) struct KeptEvents(VecDeque<Time>);

impl KeptEvents {
    /// Those that were kept before a restart. A clock that was ahead then does not make them stay.
    pub(super) fn restored(recorded: &[Time], now: Time) -> Self {
        Self(recorded.iter().map(|at| now.min(*at)).collect())
    }

    pub(super) fn push(&mut self, at: Time) {
        self.0.push_back(at);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the oldest have to go.
    pub(super) fn due(&self) -> Option<Time> {
        self.0.front().map(|at| at.plus_ms(EVENT_KEPT_MS + EXPIRE_EVERY_MS))
    }

    /// Takes those that must go at `now`; how many.
    pub(super) fn take_due(&mut self, now: Time) -> u32 {
        let excess = self.0.len().saturating_sub(EVENTS_MAX);
        let is_due = self.due().is_some_and(|due| due <= now);
        let old = || self.0.iter().take_while(|at| now.since_ms(**at) >= EVENT_KEPT_MS).count();
        let count = excess.max(if is_due { old() } else { 0 });
        self.0.drain(..count);
        u32::try_from(count).expect("versions of so many were given in one step")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(ats: &[u64]) -> KeptEvents {
        KeptEvents(ats.iter().map(|at| Time(*at)).collect())
    }

    #[test]
    fn those_of_a_minute_go_together_after_an_hour() {
        let mut kept = kept(&[1, 60_000, 60_001, 60_002]);
        let due = Time(1 + EVENT_KEPT_MS + EXPIRE_EVERY_MS);
        assert_eq!(kept.due(), Some(due));
        assert_eq!(kept.take_due(Time(due.0 - 1)), 0);
        assert_eq!(kept.take_due(due), 3);
        assert_eq!((kept.len(), kept.due()), (1, Some(Time(due.0 + 60_001))));
    }

    #[test]
    fn one_too_many_drops_the_oldest() {
        let mut kept = KeptEvents(std::iter::repeat_n(Time(5), EVENTS_MAX).collect());
        assert_eq!(kept.take_due(Time(6)), 0);
        (0..3).for_each(|_| kept.push(Time(6)));
        assert_eq!((kept.take_due(Time(6)), kept.len()), (3, EVENTS_MAX));
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_keep_events() {
        let mut kept = KeptEvents::restored(&[Time(u64::MAX), Time(3)], Time(7));
        assert_eq!(kept.take_due(Time(7 + EVENT_KEPT_MS + EXPIRE_EVERY_MS)), 2);
    }
}
