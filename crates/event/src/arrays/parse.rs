//! From the canonical text of a value to the number that Arrow holds.

use arrow_buffer::i256;

/// Days since 1970-01-01 of `2026-11-21`; the infinities are the ends of the range.
pub(crate) fn date(text: &str) -> Option<i32> {
    match text {
        "infinity" => return Some(i32::MAX),
        "-infinity" => return Some(i32::MIN),
        _ => {}
    }
    i32::try_from(days(text)?).ok()
}

/// Microseconds since 1970-01-01T00:00:00 of `2026-11-21T14:00:00.000000`, in UTC where an offset or `Z` follows.
pub(crate) fn timestamp(text: &str) -> Option<i64> {
    match text {
        "infinity" => return Some(i64::MAX),
        "-infinity" => return Some(i64::MIN),
        _ => {}
    }
    let (date, time) = text.split_once(['T', ' '])?;
    let (time, offset_minutes) = split_offset(time)?;
    let micros = i128::from(days(date)?) * 86_400_000_000 + i128::from(self::time(time)?)
        - i128::from(offset_minutes) * 60_000_000;
    i64::try_from(micros).ok()
}

/// Microseconds of `-838:59:59.999999`.
pub(crate) fn time(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.split(':');
    let hours: i64 = digits(parts.next()?)?;
    let minutes: i64 = digits(parts.next()?)?;
    let (seconds, fraction) = match parts.next() {
        Some(seconds) => seconds.split_once('.').unwrap_or((seconds, "")),
        None => ("0", ""),
    };
    if parts.next().is_some() || minutes > 59 {
        return None;
    }
    let seconds: i64 = digits(seconds)?;
    // Beyond microseconds: cut off.
    let mut micros = 0;
    for place in 0..6 {
        let digit = fraction.as_bytes().get(place).map_or(Some(0), |byte| char::from(*byte).to_digit(10))?;
        micros = micros * 10 + i64::from(digit);
    }
    let total = hours.checked_mul(3_600)?.checked_add(minutes * 60 + seconds)?.checked_mul(1_000_000)? + micros;
    Some(if negative { -total } else { total })
}

/// `Z`, `+02`, `+02:00`, `-0330` or nothing at the end of a time, in minutes.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix(['Z', 'z']) {
        return Some((time, 0));
    }
    let Some(at) = time.rfind(['+', '-']) else { return Some((time, 0)) };
    let (time, offset) = time.split_at(at);
    let (sign, offset) = offset.split_at(1);
    let (hours, minutes) = match offset.split_once(':') {
        Some(parts) => parts,
        None if offset.len() > 2 => offset.split_at_checked(2)?,
        None => (offset, "0"),
    };
    let minutes = digits(hours)? * 60 + digits(minutes)?;
    Some((time, if sign == "-" { -minutes } else { minutes }))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar
/// (<https://howardhinnant.github.io/date_algorithms.html#days_from_civil>).
fn days(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = text.split('-');
    let year: i64 = digits(parts.next()?)?;
    let month: i64 = digits(parts.next()?)?;
    let day: i64 = digits(parts.next()?)?;
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 10_000_000 {
        return None;
    }
    let year = if negative { -year } else { year } - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn digits(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// How many digits stand after the point of a plain decimal number, zeros at the end apart.
pub fn scale(text: &str) -> Option<usize> {
    decimal_digits(text, usize::MAX)?;
    Some(text.split_once('.').map_or(0, |(_, fraction)| fraction.trim_end_matches('0').len()))
}

/// A plain decimal number times ten to the `scale`, if that is a whole number and fits.
pub fn decimal128(text: &str, scale: i8, max_digits: u8) -> Option<i128> {
    let digits = decimal_digits(text, usize::try_from(scale).ok()?)?;
    (significant(&digits) <= usize::from(max_digits)).then(|| digits.parse().ok())?
}

/// Likewise.
pub(crate) fn decimal256(text: &str, scale: i8, max_digits: u8) -> Option<i256> {
    let digits = decimal_digits(text, usize::try_from(scale).ok()?)?;
    (significant(&digits) <= usize::from(max_digits)).then(|| i256::from_string(&digits))?
}

fn significant(digits: &str) -> usize {
    digits.trim_start_matches(['-', '0']).len()
}

/// The sign and digits of a plain number moved `scale` places to the left of the point.
fn decimal_digits(text: &str, scale: usize) -> Option<String> {
    let (sign, number) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if number.is_empty() || number == "." || !is_plain(whole) || !is_plain(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    if scale == usize::MAX {
        return Some(String::new());
    }
    if fraction.len() > scale {
        return None;
    }
    Some(format!("{sign}{whole}{fraction:0<scale$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_moments() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-03-01"), Some(11_017));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("0000-01-01"), Some(-719_528));
        assert_eq!(date("-infinity"), Some(i32::MIN));
        assert_eq!([date("2026-13-01"), date("20260101"), date("x")], [None; 3]);
        assert_eq!(timestamp("1970-01-02T00:00:00.000001"), Some(86_400_000_001));
        assert_eq!(timestamp("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(timestamp("1970-01-01T00:00:00.5Z"), Some(500_000));
        assert_eq!(timestamp("1969-12-31T20:30:00-0330"), Some(0));
        assert_eq!(timestamp("infinity"), Some(i64::MAX));
        assert_eq!(timestamp("1970-01-01"), None);
    }

    #[test]
    fn times_beyond_a_day() {
        assert_eq!(time("00:00:01.25"), Some(1_250_000));
        assert_eq!(time("-838:59:59.000001"), Some(-3_020_399_000_001));
        assert_eq!([time("12"), time("1:2:3:4"), time("a:b:c"), time("10:61:00")], [None; 4]);
    }

    #[test]
    fn decimals_are_exact_or_nothing() {
        assert_eq!(decimal128("12.5", 2, 38), Some(1_250));
        assert_eq!(decimal128("-0.050", 2, 38), Some(-5));
        assert_eq!(decimal128("7", 0, 38), Some(7));
        assert_eq!(decimal128("1.005", 2, 38), None);
        assert_eq!(decimal128("100", 1, 3), None);
        assert_eq!([decimal128("NaN", 2, 38), decimal128("1e3", 2, 38), decimal128("", 2, 38)], [None; 3]);
        assert_eq!(decimal256("0.1", 38, 76), Some(i256::from_i128(10_i128.pow(37))));
        assert_eq!(scale("1.2300"), Some(2));
    }
}
