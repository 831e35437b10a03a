//! Days and seconds as ISO 8601 text, beyond the years that `chrono` knows: PostgreSQL's reach from 4714 BC to
//! 5874897, and what overflows farther.

use std::fmt::Write;

/// The proleptic Gregorian date of a day since 1970-01-01, as (year, month, day).
/// Algorithm: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted_month + 2) / 5 + 1) as u32;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`]; none of a date that does not exist.
fn days_from_civil(year: i64, month: u32, day: u32) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year.abs() > 100_000_000 {
        return None;
    }
    let shifted_year = year - i64::from(month <= 2);
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let day_of_year = (153 * shifted_month + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    (civil_from_days(days) == (year, month, day)).then_some(days)
}

/// `2026-11-21`, `-0043-03-15`, `+12026-01-01`.
pub(crate) fn write_date(out: &mut String, days: i64) {
    let (year, month, day) = civil_from_days(days);
    let written = match year {
        0..=9_999 => write!(out, "{year:04}-{month:02}-{day:02}"),
        ..0 => write!(out, "-{:04}-{month:02}-{day:02}", -year),
        _ => write!(out, "+{year}-{month:02}-{day:02}"),
    };
    written.expect("a String takes all text");
}

/// `23:59:59.999999`, `-838:59:59.000000`: hours may be negative or beyond a day. Nine digits where the unit says
/// nanoseconds.
pub(crate) fn write_time(out: &mut String, amount: i64, unit: Unit) {
    if amount < 0 {
        out.push('-');
    }
    let amount = amount.unsigned_abs();
    let per_second = unit.per_second().unsigned_abs();
    let (seconds, fraction) = (amount / per_second, amount % per_second);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let written = match unit {
        Unit::Millis => write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{fraction:03}000"),
        Unit::Micros => write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{fraction:06}"),
        Unit::Nanos => write!(out, "{hours:02}:{minutes:02}:{seconds:02}.{fraction:09}"),
    };
    written.expect("a String takes all text");
}

/// `2026-11-21T14:00:00.000000`, without a zone.
pub(crate) fn write_timestamp(out: &mut String, amount: i64, unit: Unit) {
    let per_day = unit.per_second() * 86_400;
    write_date(out, amount.div_euclid(per_day));
    out.push('T');
    write_time(out, amount.rem_euclid(per_day), unit);
}

/// What an integer of time counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    fn per_second(self) -> i64 {
        match self {
            Self::Millis => 1_000,
            Self::Micros => 1_000_000,
            Self::Nanos => 1_000_000_000,
        }
    }

    /// The unit in which Debezium's adaptive mode counts a type declared with so many digits of a second; databases
    /// take six where none are declared.
    pub(crate) fn of_precision(digits: Option<u8>) -> Self {
        match digits.unwrap_or(6) {
            0..=3 => Self::Millis,
            4..=6 => Self::Micros,
            _ => Self::Nanos,
        }
    }
}

/// A time of day or an amount of time in canonical form, from ISO text (a `Z` at its end, which Debezium's isostring
/// mode adds, is dropped).
pub(crate) fn time_text(text: &str) -> Option<String> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (sign, rest) = if let Some(rest) = text.strip_prefix('-') { ("-", rest) } else { ("", text) };
    let (clock, fraction) = clock_and_fraction(rest)?;
    (clock.len() >= 8).then(|| format!("{sign}{clock}.{fraction}"))
}

/// A date in canonical form, from ISO text.
pub(crate) fn date_text(text: &str) -> Option<String> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (year, month, day) = split_date(text)?;
    let mut out = String::with_capacity(10);
    write_date(&mut out, days_from_civil(year, month, day)?);
    Some(out)
}

/// A timestamp without zone in canonical form, from ISO text.
pub(crate) fn timestamp_text(text: &str) -> Option<String> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let Some((date, time)) = text.split_once(['T', ' ']) else {
        return date_text(text).map(|date| date + "T00:00:00.000000");
    };
    let (clock, fraction) = clock_and_fraction(time)?;
    (clock.len() == 8).then_some(())?;
    Some(format!("{}T{clock}.{fraction}", date_text(date)?))
}

/// A timestamp in UTC in canonical form, from ISO text with a zone.
pub(crate) fn timestamptz_text(text: &str) -> Option<String> {
    if let Some(local) = text.strip_suffix('Z') {
        return timestamp_text(local).map(|moment| moment + "Z");
    }
    let (date, time) = text.split_once(['T', ' '])?;
    let zone = time.rfind(['+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let (hours, minutes) = match zone[1..].split_once(':') {
        Some((hours, minutes)) => (digits(hours, 2)?, digits(minutes, 2)?),
        None if zone.len() == 3 => (digits(&zone[1..], 2)?, 0),
        None => (digits(zone.get(1..3)?, 2)?, digits(zone.get(3..)?, 2)?),
    };
    let offset = (hours * 3_600 + minutes * 60) * if zone.starts_with('-') { -1 } else { 1 };
    let (year, month, day) = split_date(date)?;
    let (clock, fraction) = clock_and_fraction(time)?;
    (clock.len() == 8).then_some(())?;
    let seconds = digits(&clock[..2], 2)? * 3_600 + digits(&clock[3..5], 2)? * 60 + digits(&clock[6..], 2)? - offset;
    let mut out = String::with_capacity(28);
    write_date(&mut out, days_from_civil(year, month, day)? + seconds.div_euclid(86_400));
    let seconds = seconds.rem_euclid(86_400);
    write!(out, "T{:02}:{:02}:{:02}.{fraction}Z", seconds / 3_600, seconds / 60 % 60, seconds % 60)
        .expect("a String takes all text");
    Some(out)
}

/// `hh:mm:ss` (more digits of hours are possible) and the fraction, filled up to six digits.
fn clock_and_fraction(time: &str) -> Option<(&str, String)> {
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    let mut parts = clock.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next()?);
    let plausible = parts.next().is_none()
        && (2..=5).contains(&hours.len())
        && hours.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
        && digits(minutes, 2)? < 60
        && digits(seconds, 2)? <= 60
        && fraction.len() <= 9;
    plausible.then(|| (clock, format!("{fraction:0<6}")))
}

fn split_date(text: &str) -> Option<(i64, u32, u32)> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let mut parts = rest.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !(4..=9).contains(&year.len()) {
        return None;
    }
    Some((sign * digits(year, year.len())?, digits(month, 2)? as u32, digits(day, 2)? as u32))
}

/// Exactly so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

/// The moment beyond which an integer is one of PostgreSQL's infinities as Debezium sends them, and its text.
pub(crate) fn infinite_timestamp(amount: i64, unit: Unit) -> Option<&'static str> {
    match (unit, amount) {
        (Unit::Micros, 9_223_372_036_825_200_000) | (Unit::Millis, 9_223_372_036_825_200) => Some("infinity"),
        (Unit::Micros, -9_223_372_036_832_400_000) | (Unit::Millis, -9_223_372_036_832_400) => Some("-infinity"),
        _ => None,
    }
}

/// PostgreSQL's infinite dates as Debezium sends them: two days near 5,877,611 BC, where an overflow ends.
pub(crate) fn infinite_date(days: i64) -> Option<&'static str> {
    match days {
        -2_147_472_692 => Some("infinity"),
        -2_147_472_691 => Some("-infinity"),
        _ => None,
    }
}

/// The same dates as text.
pub(crate) fn infinite_date_text(text: &str) -> Option<&'static str> {
    match text.strip_suffix('Z').unwrap_or(text) {
        "infinity" | "-5877611-06-21" => Some("infinity"),
        "-infinity" | "-5877611-06-22" => Some("-infinity"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(days: i64) -> String {
        let mut out = String::new();
        write_date(&mut out, days);
        out
    }

    #[test]
    fn dates_print_through_all_of_postgres_range() {
        for (days, text) in [
            (0, "1970-01-01"),
            (20_729, "2026-10-03"),
            (-735_160, "-0043-03-15"),
            (2_145_042_905, "+5874897-12-31"),
            (-2_147_472_692, "-5877611-06-21"),
            (-719_528, "0000-01-01"),
            (11_016, "2000-02-29"),
        ] {
            assert_eq!(date(days), text);
            assert_eq!(date_text(text).as_deref(), Some(text));
            assert_eq!(date_text(&format!("{text}Z")).as_deref(), Some(text));
        }
        assert_eq!(date_text("2026-02-29"), None);
        assert_eq!(date_text("2026-2-1"), None);
    }

    #[test]
    fn times_print_beyond_a_day() {
        let time = |amount, unit| {
            let mut out = String::new();
            write_time(&mut out, amount, unit);
            out
        };
        assert_eq!(time(86_400_000_000, Unit::Micros), "24:00:00.000000");
        assert_eq!(time(-3_020_399_000_000, Unit::Micros), "-838:59:59.000000");
        assert_eq!(time(1_002, Unit::Millis), "00:00:01.002000");
        assert_eq!(time(1, Unit::Nanos), "00:00:00.000000001");
        assert_eq!(time_text("-838:59:59").as_deref(), Some("-838:59:59.000000"));
        assert_eq!(time_text("18:29:59.5Z").as_deref(), Some("18:29:59.500000"));
        assert_eq!(time_text("18:61:00"), None);
    }

    #[test]
    fn timestamps_take_every_form() {
        let stamp = |amount, unit| {
            let mut out = String::new();
            write_timestamp(&mut out, amount, unit);
            out
        };
        assert_eq!(stamp(1_790_582_400_029_070, Unit::Micros), "2026-09-28T08:00:00.029070");
        assert_eq!(stamp(-1, Unit::Millis), "1969-12-31T23:59:59.999000");
        assert_eq!(stamp(i64::MIN, Unit::Micros).get(..8), Some("-290308-"));
        assert_eq!(timestamp_text("2026-09-28 08:00:00").as_deref(), Some("2026-09-28T08:00:00.000000"));
        assert_eq!(timestamp_text("-0043-03-15T12:00:00Z").as_deref(), Some("-0043-03-15T12:00:00.000000"));
        for (given, canonical) in [
            ("2026-09-28T08:00:00.031890Z", "2026-09-28T08:00:00.031890Z"),
            ("2026-09-28T08:00:00Z", "2026-09-28T08:00:00.000000Z"),
            ("2026-01-01T01:00:00+05:30", "2025-12-31T19:30:00.000000Z"),
            ("2026-01-01T23:30:00.25-01", "2026-01-02T00:30:00.250000Z"),
            ("+290000-01-01T00:00:00.000000Z", "+290000-01-01T00:00:00.000000Z"),
        ] {
            assert_eq!(timestamptz_text(given).as_deref(), Some(canonical));
        }
        assert_eq!(timestamptz_text("2026-01-01T00:00:00"), None);
    }
}
