//! Prints pi to as many digits after the point as its argument says (100 without one), cut off, not rounded.
//!
//! Machin's formula, pi = 16 arctan(1/5) - 4 arctan(1/239), in fixed point with nine decimal digits per limb: the time
//! is quadratic in the number of digits.

use std::env;
use std::process::ExitCode;

const DIGITS_DEFAULT: usize = 100;
const DIGITS_MAX: usize = 100_000;

const LIMB: i64 = 1_000_000_000;
const LIMB_DIGITS: usize = 9;

/// Limbs behind the last wanted digit. Each of at most 200,000 terms loses less than two units of the last limb, so the
/// error stays below the last six of these 27 digits. It could reach the wanted ones only through 21 nines or zeros in
/// a row, and the first 100,000 digits of pi hold no such run.
const GUARD_LIMBS: usize = 3;

fn main() -> ExitCode {
    match digits_wanted() {
        Some(digits) => {
            println!("{}", pi(digits));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("pi: usage: pi [DIGITS] (1 to {DIGITS_MAX}, {DIGITS_DEFAULT} if not given)");
            ExitCode::from(2)
        }
    }
}

fn digits_wanted() -> Option<usize> {
    let mut args = env::args_os().skip(1);
    let digits = match args.next() {
        Some(arg) => arg.to_str()?.parse().ok()?,
        None => DIGITS_DEFAULT,
    };
    let is_valid = (1..=DIGITS_MAX).contains(&digits) && args.next().is_none();
    is_valid.then_some(digits)
}

fn pi(digits: usize) -> String {
    // The integer part first, then the fraction, most significant limb first.
    let mut sum = vec![0; 1 + digits.div_ceil(LIMB_DIGITS) + GUARD_LIMBS];
    add_arctan(&mut sum, 16, 1, 5);
    add_arctan(&mut sum, 4, -1, 239);
    carry(&mut sum);

    let mut text = format!("{}.", sum[0]);
    for limb in &sum[1..] {
        text.push_str(&format!("{limb:09}"));
    }
    text.truncate("3.".len() + digits);
    text
}

/// Adds `sign * scale * arctan(1 / inverse)` to `sum`, whose limbs are left without carrying: 200,000 additions of less
/// than 10^9 each are far from the end of an `i64`.
fn add_arctan(sum: &mut [i64], scale: i64, sign: i64, inverse: i64) {
    let mut power = vec![0; sum.len()];
    power[0] = scale;
    divide(&mut power, inverse);

    let mut sign = sign;
    let mut odd = 1;
    let mut start = 0;
    loop {
        while power.get(start) == Some(&0) {
            start += 1;
        }
        if start == power.len() {
            return;
        }
        let mut rest = 0;
        for (sum, limb) in sum[start..].iter_mut().zip(&power[start..]) {
            let dividend = rest * LIMB + limb;
            *sum += sign * (dividend / odd);
            rest = dividend % odd;
        }
        divide(&mut power[start..], inverse * inverse);
        sign = -sign;
        odd += 2;
    }
}

fn divide(limbs: &mut [i64], divisor: i64) {
    let mut rest = 0;
    for limb in limbs {
        let dividend = rest * LIMB + *limb;
        *limb = dividend / divisor;
        rest = dividend % divisor;
    }
}

fn carry(limbs: &mut [i64]) {
    let mut carried = 0;
    for limb in limbs[1..].iter_mut().rev() {
        let value = *limb + carried;
        *limb = value.rem_euclid(LIMB);
        carried = value.div_euclid(LIMB);
    }
    limbs[0] += carried;
}

#[cfg(test)]
mod tests {
    use super::pi;

    #[test]
    fn hundred_digits() {
        let expected = "3.14159265358979323846264338327950288419716939937510\
                        58209749445923078164062862089986280348253421170679";
        assert_eq!(pi(100), expected);
    }

    /// The six nines at digit 762 are where a sloppy carry shows.
    #[test]
    fn every_length_is_a_prefix_of_a_longer_one() {
        let longest = pi(1_000);
        assert_eq!(longest.find("999999"), Some("3.".len() + 761));
        for digits in 1..1_000 {
            assert_eq!(pi(digits), longest[.."3.".len() + digits]);
        }
    }
}
