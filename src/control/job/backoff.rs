//! When a failed pod may be replaced (kubernetes: backoff_utils.go).

use crate::base::{JobId, Time};
use crate::control::effects::Effects;
use crate::control::state::{News, State};
use crate::model::{Backoff, BackoffDelays, Fact};

/// kubernetes: a sync that waits for back-off comes again after at least a second.
const WAKE_MIN_MS: u64 = 1000;

/// Delay after `failures` since the last success, ms: 10 s, doubling, at the most 600 s, unless the Job says otherwise.
pub(super) fn delay_ms(failures: u32, delays: BackoffDelays) -> u64 {
    match failures {
        0 => 0,
        n => delays.base_ms.saturating_mul(1 << (n - 1).min(32)).min(delays.max_ms),
    }
}

/// How long no pod may be created, ms.
pub(super) fn remaining_ms(backoff: Backoff, delays: BackoffDelays, now: Time) -> u64 {
    delay_ms(backoff.failures, delays).saturating_sub(now.since_ms(backoff.last))
}

/// After how long a Job is looked at again that has to wait for `remaining_ms`. Delays that are shorter than Kubernetes' are
/// kept.
pub(super) fn wake_ms(remaining_ms: u64, delays: BackoffDelays) -> u64 {
    remaining_ms.max(WAKE_MIN_MS.min(delays.base_ms))
}

/// The record after the ends that were not looked at yet.
fn after(old: Backoff, news: &News) -> Backoff {
    let latest = |failures: &[Time]| failures.iter().copied().max().unwrap_or_default();
    let count = |failures: &[Time]| u32::try_from(failures.len()).unwrap_or(u32::MAX);
    match news.success {
        None if news.failures.is_empty() => old,
        None => Backoff {
            failures: old.failures.saturating_add(count(&news.failures)),
            last: old.last.max(latest(&news.failures)),
        },
        Some(success) => {
            let later: Vec<Time> = news.failures.iter().copied().filter(|at| *at > success).collect();
            Backoff { failures: count(&later), last: latest(&later) }
        }
    }
}

/// Takes the news into the Job's record, which is not asked where each index has its own (`backoffLimitPerIndex`).
pub(super) fn remember(state: &mut State, id: JobId, fx: &mut Effects) {
    let job = state.job(id);
    if job.record.per_index.is_some() {
        job.news.failures.clear();
    }
    let backoff = after(job.record.backoff, &job.news);
    job.news.success = None;
    job.news.failures.clear();
    if backoff != job.record.backoff {
        state.record(fx, Fact::BackoffSet { job: id, backoff });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(failures: u32, last: u64) -> Backoff {
        Backoff { failures, last: Time(last) }
    }

    #[test]
    fn delays_double_from_ten_seconds_to_ten_minutes() {
        let kubernetes = BackoffDelays::default();
        let delays: Vec<u64> = (0..9).map(|n| delay_ms(n, kubernetes) / 1000).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(delay_ms(u32::MAX, kubernetes), 600_000);
        assert_eq!(delay_ms(u32::MAX, BackoffDelays { base_ms: u64::MAX, max_ms: u64::MAX }), u64::MAX);
    }

    #[test]
    fn a_job_may_have_delays_of_its_own() {
        let own = BackoffDelays { base_ms: 500, max_ms: 1500 };
        assert_eq!([1, 2, 3, 4].map(|n| delay_ms(n, own)), [500, 1000, 1500, 1500]);
        assert_eq!((wake_ms(1, own), wake_ms(700, own), wake_ms(1, BackoffDelays::default())), (500, 700, 1000));
    }

    #[test]
    fn what_remains_shrinks_with_time() {
        let remaining_ms = |backoff, now| remaining_ms(backoff, BackoffDelays::default(), now);
        assert_eq!(remaining_ms(backoff(1, 1000), Time(1000)), 10_000);
        assert_eq!(remaining_ms(backoff(1, 1000), Time(8000)), 3000);
        assert_eq!(remaining_ms(backoff(1, 1000), Time(11_000)), 0);
        assert_eq!(remaining_ms(backoff(0, 0), Time(1000)), 0);
    }

    /// kubernetes: `TestNewBackoffRecord`'s cases, among them vectors 34 to 37 of `control/tests`.
    #[test]
    fn the_record_counts_failures_after_the_last_success() {
        type Case = (&'static str, Backoff, Option<u64>, &'static [u64], Backoff);
        let cases: [Case; 7] = [
            ("nothing new", backoff(2, 5), None, &[], backoff(2, 5)),
            ("three at once", backoff(0, 0), None, &[7, 9, 8], backoff(3, 9)),
            ("one more", backoff(2, 5), None, &[9], backoff(3, 9)),
            ("a success resets", backoff(2, 5), Some(9), &[], backoff(0, 0)),
            ("failures around a success", backoff(0, 0), Some(102), &[100, 101, 103, 104], backoff(2, 104)),
            ("a success at the same time wins", backoff(0, 0), Some(9), &[9], backoff(0, 0)),
            ("an older failure reported late keeps the later end", backoff(1, 9), None, &[5], backoff(2, 9)),
        ];
        for (case, old, success, failures, expected) in cases {
            let news = News {
                success: success.map(Time),
                failures: failures.iter().copied().map(Time).collect(),
                fail_job: None,
            };
            assert_eq!(after(old, &news), expected, "{case}");
        }
    }
}
