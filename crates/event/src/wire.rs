//! How a source writes values, and their canonical form.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::{
    calendar::{self, Unit},
    decimal,
    scan::{RawMembers, raw_elements},
};

/// How a column's values are written on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// In canonical form already.
    Plain,
    /// Base64 of a big-endian two's complement number with this scale.
    Decimal(i64),
    /// `{"scale":…,"value":…}`.
    VariableDecimal,
    /// Days since 1970-01-01.
    Date,
    /// `2026-11-21Z`.
    IsoDate,
    /// So many units since midnight, or of time.
    Time(Unit),
    /// `23:59:59Z`.
    IsoTime,
    /// So many units since 1970-01-01, without zone.
    Timestamp(Unit),
    /// `2026-11-21T14:00:00Z`, the `Z` meaning nothing.
    IsoTimestamp,
    /// A timestamp with its zone.
    Zoned,
    /// Base64 of bits, little-endian, zero bytes at the end cut off; so many of them are shown.
    Bits(Option<usize>),
    /// Text that is JSON, or a value that becomes such text.
    Json,
    /// MySQL's and MariaDB's enums: the binlog gives `\,` for a comma, a snapshot gives the comma.
    EscapedEnum,
    /// An array of these.
    List(Box<Wire>),
}

/// The longest bit string that is filled up with zeros; an unlimited `varbit` says it has 2³¹−1.
const MAX_BITS: usize = 1 << 20;

impl Wire {
    /// Appends the canonical form of a raw value; a value that does not fit stays as it is.
    pub(crate) fn write(&self, raw: &str, out: &mut String) {
        let start = out.len();
        if *self == Self::Plain || raw == "null" || self.convert(raw, out).is_none() {
            out.truncate(start);
            out.push_str(raw);
        }
    }

    fn convert(&self, raw: &str, out: &mut String) -> Option<()> {
        match self {
            Self::Plain => return None,
            Self::Decimal(scale) => quoted(out, &decimal_digits(raw, *scale)?),
            Self::VariableDecimal => quoted(out, &variable_digits(raw)?),
            Self::Date => {
                let days = raw.parse::<i32>().ok()?.into();
                match calendar::infinite_date(days) {
                    Some(infinity) => quoted(out, infinity),
                    None => between_quotes(out, |out| calendar::write_date(out, days)),
                }
            }
            Self::Time(unit) => {
                let amount = raw.parse().ok()?;
                between_quotes(out, |out| calendar::write_time(out, amount, *unit));
            }
            Self::Timestamp(unit) => {
                let amount = raw.parse().ok()?;
                match calendar::infinite_timestamp(amount, *unit) {
                    Some(infinity) => quoted(out, infinity),
                    None => between_quotes(out, |out| calendar::write_timestamp(out, amount, *unit)),
                }
            }
            Self::IsoDate => {
                let text = text_of(raw)?;
                match calendar::infinite_date_text(&text) {
                    Some(infinity) => quoted(out, infinity),
                    None => quoted(out, &calendar::date_text(&text)?),
                }
            }
            Self::IsoTime => quoted(out, &calendar::time_text(&text_of(raw)?)?),
            Self::IsoTimestamp => quoted(out, &calendar::timestamp_text(&text_of(raw)?)?),
            Self::Zoned => quoted(out, &calendar::timestamptz_text(&text_of(raw)?)?),
            Self::Bits(length) => quoted(out, &bits(&BASE64.decode(&*text_of(raw)?).ok()?, *length)),
            Self::Json if raw.starts_with('"') => return None,
            Self::Json => out.push_str(&json_string(raw)),
            Self::EscapedEnum => out.push_str(&json_string(&text_of(raw)?.replace("\\,", ","))),
            Self::List(element) => {
                let elements = raw_elements(raw)?;
                out.push('[');
                for (index, value) in elements.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    element.write(value, out);
                }
                out.push(']');
            }
        }
        Some(())
    }
}

/// The digits of a Decimal; a plain number, as key headers have it, is taken as well.
fn decimal_digits(raw: &str, scale: i64) -> Option<String> {
    if raw.starts_with('"') {
        decimal::from_bytes(&BASE64.decode(&*text_of(raw)?).ok()?, scale)
    } else {
        decimal::from_text(raw)
    }
}

fn variable_digits(raw: &str) -> Option<String> {
    if !raw.starts_with('{') {
        return decimal::from_text(raw);
    }
    let member = |wanted| RawMembers::new(raw).find(|&(name, _)| name == wanted).map(|(_, value)| value);
    let scale = member("scale")?.parse().ok()?;
    decimal::from_bytes(&BASE64.decode(&*text_of(member("value")?)?).ok()?, scale)
}

/// Little-endian bytes as `0` and `1`, the most significant first.
fn bits(bytes: &[u8], length: Option<usize>) -> String {
    let is_set = |bit: usize| bytes.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
    let significant = (0..bytes.len() * 8).rev().find(|&bit| is_set(bit)).map_or(0, |bit| bit + 1);
    let shown = length.filter(|&length| length <= MAX_BITS).unwrap_or(0).max(significant);
    (0..shown).rev().map(|bit| if is_set(bit) { '1' } else { '0' }).collect()
}

/// The text of a raw JSON string.
pub(crate) fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

/// A text as a JSON string.
pub(crate) fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a text is always JSON")
}

/// Appends a text that needs no escapes.
fn quoted(out: &mut String, text: &str) {
    between_quotes(out, |out| out.push_str(text));
}

fn between_quotes(out: &mut String, write: impl FnOnce(&mut String)) {
    out.push('"');
    write(out);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(wire: &Wire, raw: &str) -> String {
        let mut out = String::new();
        wire.write(raw, &mut out);
        out
    }

    #[test]
    fn values_become_canonical() {
        for (wire, raw, expected) in [
            (Wire::Decimal(2), r#""D5Y=""#, r#""39.90""#),
            (Wire::Decimal(2), "39.9", r#""39.9""#),
            (Wire::Decimal(0), r#""AP//////////""#, r#""18446744073709551615""#),
            (Wire::VariableDecimal, r#"{"scale":1,"value":"Cw=="}"#, r#""1.1""#),
            (Wire::Date, "20729", r#""2026-10-03""#),
            (Wire::Date, "-2147472692", r#""infinity""#),
            (Wire::Date, "-2147472691", r#""-infinity""#),
            (Wire::IsoDate, r#""-0043-03-15Z""#, r#""-0043-03-15""#),
            (Wire::IsoDate, r#""-5877611-06-21Z""#, r#""infinity""#),
            (Wire::Time(Unit::Micros), "-3020399000000", r#""-838:59:59.000000""#),
            (Wire::Timestamp(Unit::Micros), "9223372036825200000", r#""infinity""#),
            (Wire::Timestamp(Unit::Millis), "-9223372036832400", r#""-infinity""#),
            (Wire::Timestamp(Unit::Millis), "1000", r#""1970-01-01T00:00:01.000000""#),
            (Wire::Zoned, r#""-infinity""#, r#""-infinity""#),
            (Wire::Zoned, r#""2026-01-01T00:00:00Z""#, r#""2026-01-01T00:00:00.000000Z""#),
            (Wire::Bits(Some(8)), r#""BQ==""#, r#""00000101""#),
            (Wire::Bits(Some(8)), r#""""#, r#""00000000""#),
            (Wire::Bits(Some(2_147_483_647)), r#""BQ==""#, r#""101""#),
            (Wire::Bits(Some(12)), r#""AQg=""#, r#""100000000001""#),
            (Wire::Json, r#""{\"a\": 1}""#, r#""{\"a\": 1}""#),
            (Wire::Json, r#"{"a":"b"}"#, r#""{\"a\":\"b\"}""#),
            (Wire::EscapedEnum, r#""it's\\, packed""#, r#""it's, packed""#),
            (Wire::List(Box::new(Wire::Date)), "[0,null,1]", r#"["1970-01-01",null,"1970-01-02"]"#),
            (Wire::List(Box::new(Wire::Decimal(1))), "null", "null"),
        ] {
            assert_eq!(canonical(&wire, raw), expected, "{wire:?} {raw}");
        }
    }

    #[test]
    fn what_does_not_fit_stays_as_it_is() {
        for (wire, raw) in [
            (Wire::Decimal(2), r#""NaN""#),
            (Wire::Decimal(2), "[1]"),
            (Wire::VariableDecimal, r#"{"scale":1}"#),
            (Wire::Date, "99999999999"),
            (Wire::Date, r#""x""#),
            (Wire::Timestamp(Unit::Nanos), "1.5"),
            (Wire::Bits(None), r#""*""#),
            (Wire::List(Box::new(Wire::Date)), "7"),
        ] {
            assert_eq!(canonical(&wire, raw), raw, "{wire:?}");
        }
    }
}
