//! Kubernetes quantities: `64Mi`, `0.5`, `100m`, `1e3`.

use std::str::FromStr;

/// A quantity in thousandths, rounded up as Kubernetes rounds (kubernetes: apimachinery `resource.Quantity`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Quantity {
    milli: i128,
}

/// Why a text is no quantity.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

impl Quantity {
    /// The value in whole units (bytes, cores), rounded up; what does not fit is `u64::MAX`, what is negative is 0.
    #[must_use]
    pub fn units(self) -> u64 {
        u64::try_from((self.milli.max(0) + 999) / 1000).unwrap_or(u64::MAX)
    }

    /// Whether the value is below zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.milli < 0
    }
}

/// The power of the suffix: (base, exponent).
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let binary = |exponent| Some((1024, exponent));
    let decimal = |exponent| Some((10, exponent));
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
            (-18..=18).contains(&exponent).then_some((10, exponent))
        }
    }
}

/// More digits than a quantity of 2^63 with nano precision has.
const DIGITS_MAX: usize = 28;

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let (sign, rest) = match text.as_bytes().first() {
            Some(b'-') => (-1, &text[1..]),
            Some(b'+') => (1, &text[1..]),
            _ => (1, text),
        };
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || digits.len() > DIGITS_MAX || fraction.contains('.') {
            return Err(QuantityError);
        }
        let (base, exponent) = scale(suffix).ok_or(QuantityError)?;
        let value: i128 = digits.parse().map_err(|_| QuantityError)?;
        let power = |base: i128, n: u32| base.checked_pow(n).ok_or(QuantityError);
        let fraction_digits = u32::try_from(fraction.len()).map_err(|_| QuantityError)?;
        let up = power(base, u32::try_from(exponent.max(0)).unwrap_or(0))?;
        let down = power(10, fraction_digits)?
            .checked_mul(power(10, u32::try_from((-exponent).max(0)).unwrap_or(0))?)
            .ok_or(QuantityError)?;
        let scaled = value.checked_mul(up).and_then(|v| v.checked_mul(1000)).ok_or(QuantityError)?;
        Ok(Self { milli: sign * ((scaled + down - 1) / down) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_is_no_quantity_is_refused() {
        for text in ["", "Mi", "1.2.3", "1mi", "1KiB", "a", "-", "1e99", "1 Mi", "99999999999999999999999999999"] {
            assert_eq!(text.parse::<Quantity>(), Err(QuantityError), "{text}");
        }
    }
}
