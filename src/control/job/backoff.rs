//! When a failed pod may be replaced (kubernetes: backoff_utils.go).

use crate::base::{JobId, Time};
use crate::control::effects::Effects;
use crate::control::state::{News, State};
use crate::model::{Backoff, Fact};

/// kubernetes: `DefaultJobPodFailureBackOff`.
const BASE_MS: u64 = 10_000;
/// kubernetes: `MaxJobPodFailureBackOff`.
const MAX_MS: u64 = 600_000;

/// Delay after `failures` since the last success, ms: 10 s, doubling, at the most 600 s.
fn delay_ms(failures: u32) -> u64 {
    match failures {
        0 => 0,
        n => (BASE_MS << (n - 1).min(16)).min(MAX_MS),
    }
}

/// How long no pod may be created, ms.
pub(super) fn remaining_ms(backoff: Backoff, now: Time) -> u64 {
    delay_ms(backoff.failures).saturating_sub(now.since_ms(backoff.last))
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

/// Takes the news into the Job's record.
pub(super) fn remember(state: &mut State, id: JobId, fx: &mut Effects) {
    let job = state.job(id);
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
        let delays: Vec<u64> = (0..9).map(|n| delay_ms(n) / 1000).collect();
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 320, 600, 600]);
        assert_eq!(delay_ms(u32::MAX), MAX_MS);
    }

    #[test]
    fn what_remains_shrinks_with_time() {
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
