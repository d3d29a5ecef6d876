//! How much is said about a Job.
//!
//! kubernetes: client-go's event correlator lets 25 events about an object pass at once, then one each five minutes. What
//! ends, suspends or resumes a Job is always said, and that a pod finds no room, which has an interval of its own.

use crate::base::Time;
use crate::model::EventNote;

/// kubernetes: client-go `defaultSpamBurst`.
const BURST: u32 = 25;
/// kubernetes: client-go `defaultSpamQPS`, one in 300 s.
const REFILL_MS: u64 = 300_000;

/// A token bucket.
#[derive(Debug)]
pub(in crate::control) struct EventBudget {
    tokens: u32,
    refilled: Time,
}

impl Default for EventBudget {
    fn default() -> Self {
        Self { tokens: BURST, refilled: Time::default() }
    }
}

impl EventBudget {
    /// How many events may pass now.
    pub(in crate::control) fn left(&mut self, now: Time) -> usize {
        self.refill(now);
        self.tokens as usize
    }

    /// Takes a token for `note`; false when there is none.
    pub(in crate::control) fn allows(&mut self, note: &EventNote, now: Time) -> bool {
        if matches!(
            note,
            EventNote::Completed
                | EventNote::JobFailed { .. }
                | EventNote::TooManySucceededPods
                | EventNote::FailedScheduling { .. }
                | EventNote::Suspended
                | EventNote::Resumed
                | EventNote::Unschedulable { .. }
        ) {
            return true;
        }
        self.refill(now);
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }

    fn refill(&mut self, now: Time) {
        if self.tokens == BURST {
            self.refilled = now;
        }
        let due = now.since_ms(self.refilled) / REFILL_MS;
        self.tokens = BURST.min(self.tokens.saturating_add(u32::try_from(due).unwrap_or(BURST)));
        self.refilled = self.refilled.plus_ms(due.saturating_mul(REFILL_MS));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_five_at_once_then_one_each_five_minutes() {
        let mut budget = EventBudget::default();
        let note = EventNote::SuccessfulCreate { ordinal: 0, index: 0 };
        let mut passed = |at: u64, count: usize| (0..count).filter(|_| budget.allows(&note, Time(at))).count();
        assert_eq!(passed(1000, 100), 25);
        assert_eq!(passed(300_999, 10), 0);
        assert_eq!(passed(301_000, 10), 1);
        assert_eq!(passed(3_000_000_000, 100), 25);
    }

    #[test]
    fn the_end_of_a_job_is_always_said() {
        let mut budget = EventBudget::default();
        (0..100).for_each(|ordinal| {
            budget.allows(&EventNote::SuccessfulCreate { ordinal, index: 0 }, Time(0));
        });
        assert!(budget.allows(&EventNote::Completed, Time(0)));
    }
}
