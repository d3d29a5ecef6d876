//! What rounds took, and what stands for them.

use crate::cli::machine::us_since;
use std::time::Instant;

/// What a round took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Pods that ran to their end.
    pub(super) pods: u32,
    /// Its time, µs.
    pub(super) us: u64,
}

impl Round {
    /// A round that began at `start` and ends now.
    pub(super) fn since(start: Instant, pods: u32) -> Self {
        Self { pods, us: us_since(start) }
    }

    /// Pods a second.
    pub(super) fn per_second(self) -> u64 {
        u64::from(self.pods) * 1_000_000 / self.us.max(1)
    }
}

/// The value in the middle, of two the greater; `None` of nothing.
pub(super) fn median<T: Copy + Ord>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied()
}

/// Pods a second of the median round; 0 without rounds.
pub(super) fn rate(rounds: &[Round]) -> u64 {
    let rates: Vec<u64> = rounds.iter().map(|round| round.per_second()).collect();
    median(&rates).unwrap_or(0)
}

/// The value that `percent` of `sorted` do not pass; 0 of nothing.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// How many times `part` is of `whole`; `None` where the whole is nothing.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(super) fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_round_counts() {
        let round = |ms: u64| Round { pods: 1000, us: ms * 1000 };
        assert_eq!(rate(&[round(1000), round(10), round(500)]), 2000);
        assert_eq!(rate(&[]), 0);
        assert_eq!(round(0).per_second(), 1_000_000_000);
        assert_eq!((median(&[3, 1]), median::<u64>(&[])), (Some(3), None));
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let sorted: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&sorted, 50), percentile(&sorted, 99), percentile(&sorted, 100)), (100, 198, 200));
        assert_eq!((percentile(&[7], 50), percentile(&[7], 99), percentile(&[], 99)), (7, 7, 0));
    }

    #[test]
    fn a_ratio_needs_a_whole() {
        assert_eq!((ratio(1, 4), ratio(1, 0)), (Some(0.25), None));
    }
}
