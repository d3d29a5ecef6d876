//! Sleeps for the seconds given, fractions allowed, and says when it is awake again.
//!
//! Numbers are read without floating point: its tables would be ten of the thirty kilobytes that each sleeper has in memory.

use std::env;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let text = args.next().unwrap_or_default();
    match time_of(&text).filter(|_| args.next().is_none()) {
        Some(time) => {
            thread::sleep(time);
            println!("awake after {text} s");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("sleep: usage: sleep SECONDS (0 or more, up to nine digits after a point)");
            ExitCode::from(2)
        }
    }
}

/// Seconds in decimal notation.
fn time_of(text: &str) -> Option<Duration> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(seconds) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos = (fraction.parse::<u32>().ok()?) * 10_u32.pow(9 - u32::try_from(fraction.len()).ok()?);
    Some(Duration::new(seconds.parse().ok()?, nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_may_have_a_fraction() {
        let cases = [
            ("0", 0),
            ("2", 2_000_000_000),
            ("0.25", 250_000_000),
            ("1.000000001", 1_000_000_001),
            ("007.50", 7_500_000_000),
        ];
        for (text, nanos) in cases {
            assert_eq!(time_of(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1.0000000001", "18446744073709551616", "x"] {
            assert_eq!(time_of(text), None, "{text}");
        }
    }
}
