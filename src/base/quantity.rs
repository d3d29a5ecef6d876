//! Kubernetes quantities: `64Mi`, `0.5`, `100m`, `1e3`, and the form in which the reference writes them: `1024Mi` as `1Gi`.
//!
//! Invariant: the canonical form of a canonical form is itself (kubernetes: apimachinery `resource.Quantity`).

use std::cmp::Ordering;
use std::str::FromStr;

/// More digits than 2^63 with nano precision has.
const DIGITS_MAX: usize = 28;

/// 10^-9: finer parts are rounded up (kubernetes: `resource.Nano`).
const NANO: i128 = 1_000_000_000;

/// No quantity is above 2^63 - 1 in magnitude; larger ones become it (kubernetes: `maxAllowed`).
const UNITS_MAX: i128 = i64::MAX as i128;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Binary,
    Decimal,
    Exponent,
}

/// Why a text is no quantity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

/// A quantity, exact to 10^-9, that remembers how it was written. Equal when the amounts are.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    form: Form,
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Self::parse(text).ok_or(QuantityError)
    }
}

impl Quantity {
    /// Reads a quantity; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let sign = if text.starts_with('-') { -1 } else { 1 };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = [whole, fraction].concat();
        if digits.is_empty() || digits.len() > DIGITS_MAX || fraction.contains('.') {
            return None;
        }
        let (form, base, exponent) = scale(suffix)?;
        let value: i128 = digits.parse().ok()?;
        let down = 10_i128.pow(u32::try_from(fraction.len()).ok()?).checked_mul(power(10, -exponent.min(0)))?;
        // Above the cap no digit matters, so an overflow is the cap.
        let nanos = value
            .checked_mul(power(base, exponent.max(0)))
            .and_then(|scaled| scaled.checked_mul(NANO))
            .map_or(UNITS_MAX * NANO, |scaled| (scaled + down - 1) / down);
        Some(Self { nanos: sign * nanos.min(UNITS_MAX * NANO), form })
    }

    /// So many whole units.
    #[must_use]
    pub fn whole(units: u32) -> Self {
        Self { nanos: i128::from(units) * NANO, form: Form::Decimal }
    }

    /// The value in whole units (bytes, cores), rounded up; what is negative is 0.
    #[must_use]
    pub fn units(self) -> u64 {
        u64::try_from((self.nanos.max(0) + NANO - 1) / NANO).unwrap_or(u64::MAX)
    }

    /// The value in thousandths of a unit, rounded up; what is negative is 0.
    #[must_use]
    pub fn millis(self) -> u64 {
        const MILLI: i128 = NANO / 1000;
        u64::try_from((self.nanos.max(0) + MILLI - 1) / MILLI).unwrap_or(u64::MAX)
    }

    /// Whether the value is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether it is a whole number of units.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.nanos % NANO == 0
    }

    /// The canonical text: no fraction, the largest suffix that loses nothing.
    #[must_use]
    pub fn canonical(self) -> String {
        let small = self.nanos.abs() < 1024 * NANO;
        if self.form == Form::Binary && !small && self.is_whole() {
            const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
            let (units, steps) = reduce(self.nanos / NANO, 1024, SUFFIXES.len() - 1);
            return format!("{units}{}", SUFFIXES[steps]);
        }
        const SUFFIXES: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
        const UNIT: usize = 3;
        let (value, steps) = if self.nanos == 0 { (0, UNIT) } else { reduce(self.nanos, 1000, SUFFIXES.len() - 1) };
        match (self.form, steps) {
            (Form::Exponent, UNIT) => value.to_string(),
            (Form::Exponent, steps) if steps > UNIT => format!("{value}e{}", (steps - UNIT) * 3),
            (Form::Exponent, steps) => format!("{value}e-{}", (UNIT - steps) * 3),
            _ => format!("{value}{}", SUFFIXES[steps]),
        }
    }
}

/// `base` to the power of `exponent`, which is at most 60 bits or 18 digits.
fn power(base: i128, exponent: i32) -> i128 {
    base.pow(u32::try_from(exponent).unwrap_or(0))
}

fn reduce(mut value: i128, step: i128, steps_max: usize) -> (i128, usize) {
    let mut steps = 0;
    while value % step == 0 && steps < steps_max {
        value /= step;
        steps += 1;
    }
    (value, steps)
}

fn scale(suffix: &str) -> Option<(Form, i128, i32)> {
    let binary = |exponent| Some((Form::Binary, 1024, exponent));
    let decimal = |exponent| Some((Form::Decimal, 10, exponent));
    match suffix {
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            (-18..=18).contains(&exponent).then_some((Form::Exponent, 10, exponent))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_read_as_kubernetes_reads_them() {
        let cases = [
            ("0", 0),
            ("128", 128),
            ("64Mi", 64 << 20),
            ("1.5Gi", 3 << 29),
            ("1e3", 1000),
            ("1E", 1_000_000_000_000_000_000),
            ("2k", 2000),
            ("100m", 1),
            (".5", 1),
            ("+1Ki", 1024),
            ("1e-3", 1),
        ];
        for (text, units) in cases {
            assert_eq!(text.parse::<Quantity>().map(Quantity::units), Ok(units), "{text}");
        }
        assert!("-1".parse::<Quantity>().expect("a number").is_negative());
    }

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        for (text, canonical) in [
            ("0", "0"),
            ("0Mi", "0"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("1.0001Ki", "1024102400u"),
            ("1e3", "1e3"),
            ("1e-3", "1e-3"),
            ("15e2", "1500"),
            ("0.0000000001", "1n"),
            ("-1Gi", "-1Gi"),
            ("+2", "2"),
            ("9E", "9E"),
            ("99Ei", "9223372036854775807"),
            ("1000000000000000000000000000E", "9223372036854775807"),
        ] {
            assert_eq!(Quantity::parse(text).map(Quantity::canonical).as_deref(), Some(canonical), "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "Mi", "1.2.3", "1mi", "a", "-", "1e99", "1 Mi", "99999999999999999999999999999"] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_canonical_form_is_stable(text in "[+-]?[0-9]{0,20}(\\.[0-9]{0,8})?([KMGTPE]i|[numkMGTPE]|e[+-]?[0-9]{1,2})?") {
            if let Some(exact) = Quantity::parse(&text) {
                let canonical = exact.canonical();
                prop_assert_eq!(Quantity::parse(&canonical), Some(exact), "{}", &canonical);
                prop_assert_eq!(Quantity::parse(&canonical).map(Quantity::canonical), Some(canonical));
            }
        }
    }
}
