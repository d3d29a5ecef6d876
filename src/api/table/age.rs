//! Ages and durations as tables print them.
//!
//! kubernetes: apimachinery `duration.HumanDuration`. Invariant: the API shows whole seconds, so a point in time is cut to
//! its second before anything is counted from it, and the cell never contradicts the object.

use crate::base::Time;
use std::fmt;

/// Seconds in a day and in a year of 365 days.
const DAY_S: i64 = 24 * 3600;
const YEAR_S: i64 = 365 * DAY_S;

/// Seconds between two times; displays as `5s`, `2m30s`, `3h`, `4d12h`, `2y10d`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Age(i64);

impl Age {
    /// How long ago `at` was.
    pub(super) fn since(at: Time, now: Time) -> Self {
        let (at, now) = (i128::from(at.0 / 1000 * 1000), i128::from(now.0));
        // Rust and Go both round towards zero here.
        Self(i64::try_from((now - at) / 1000).unwrap_or(i64::MAX))
    }

    /// From one shown time to another.
    pub(super) fn between(from: Time, to: Time) -> Self {
        Self::since(from, Time(to.0 / 1000 * 1000))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.0;
        match s {
            ..-1 => f.write_str("<invalid>"),
            -1 => f.write_str("0s"),
            0..120 => write!(f, "{s}s"),
            120..600 => parts(f, (s / 60, "m"), (s % 60, "s")),
            600..10_800 => write!(f, "{}m", s / 60),
            10_800..28_800 => parts(f, (s / 3600, "h"), (s / 60 % 60, "m")),
            28_800..172_800 => write!(f, "{}h", s / 3600),
            172_800..691_200 => parts(f, (s / DAY_S, "d"), (s / 3600 % 24, "h")),
            691_200..63_072_000 => write!(f, "{}d", s / DAY_S),
            63_072_000..252_288_000 => parts(f, (s / YEAR_S, "y"), (s / DAY_S % 365, "d")),
            _ => write!(f, "{}y", s / YEAR_S),
        }
    }
}

fn parts(f: &mut fmt::Formatter<'_>, big: (i64, &str), small: (i64, &str)) -> fmt::Result {
    write!(f, "{}{}", big.0, big.1)?;
    if small.0 == 0 { Ok(()) } else { write!(f, "{}{}", small.0, small.1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_the_words_of_kubernetes() {
        const M: i64 = 60;
        const H: i64 = 3600;
        let cases = [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (10 * M - 1, "9m59s"),
            (10 * M + 59, "10m"),
            (3 * H - 1, "179m"),
            (3 * H + 59, "3h"),
            (3 * H + 5 * M, "3h5m"),
            (8 * H - 1, "7h59m"),
            (8 * H + 59 * M, "8h"),
            (48 * H - 1, "47h"),
            (48 * H, "2d"),
            (49 * H, "2d1h"),
            (8 * DAY_S - 1, "7d23h"),
            (8 * DAY_S + 23 * H, "8d"),
            (2 * YEAR_S - 1, "729d"),
            (2 * YEAR_S, "2y"),
            (2 * YEAR_S + DAY_S, "2y1d"),
            (8 * YEAR_S - 1, "7y364d"),
            (8 * YEAR_S + 100 * DAY_S, "8y"),
            (i64::MAX, "292471208677y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(Age(seconds).to_string(), text, "{seconds} s");
        }
    }

    #[test]
    fn an_age_counts_from_the_second_that_the_object_shows() {
        let cases = [
            (1_900, 3_100, "2s"),
            (1_000, 1_999, "0s"),
            (5_000, 3_500, "0s"),
            (5_000, 3_000, "<invalid>"),
            (0, u64::MAX, "584942417y"),
        ];
        for (at, now, text) in cases {
            assert_eq!(Age::since(Time(at), Time(now)).to_string(), text, "from {at} to {now}");
        }
        assert_eq!(Age::between(Time(1_999), Time(2_000)).to_string(), "1s");
        assert_eq!(Age::between(Time(1_000), Time(2_999)).to_string(), "1s");
    }
}
