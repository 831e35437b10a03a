//! Values brought into the form of a declared type.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::{Number, Value};

use crate::{
    ColumnType,
    calendar::{self, Unit},
    decimal,
};

/// A value in the canonical form of a type, where it has one: integers of days become dates, integers of time are read
/// in the unit that the declared digits of a second say (up to 3 milliseconds, up to 6 or undeclared microseconds,
/// else nanoseconds), text of digits becomes a decimal or a number. A value that is in that form stays as it is, and
/// so does null. JSON takes any value.
///
/// A text is a decimal's base64 bytes, rather than its digits, where it has no point although the type has a scale:
/// sources that write digits write all of them.
pub fn coerce(value: &Value, to: &ColumnType) -> Option<Value> {
    match (to, value) {
        (_, Value::Null) | (ColumnType::Json, _) => Some(value.clone()),
        (ColumnType::Boolean, _) => boolean(value),
        (ColumnType::Int, _) => integer(value).filter(|number| i32::try_from(*number).is_ok()).map(Value::from),
        (ColumnType::BigInt, _) => integer(value).map(Value::from),
        (ColumnType::Float, _) => float(value),
        (ColumnType::Decimal(digits), _) => decimal_text(value, *digits).map(Value::String),
        (ColumnType::Text, Value::String(_)) => Some(value.clone()),
        (ColumnType::Text, Value::Bool(_) | Value::Number(_)) => Some(Value::String(value.to_string())),
        (ColumnType::Bytes, Value::String(text)) => BASE64.decode(text).is_ok().then(|| value.clone()),
        (ColumnType::Date, _) => date(value).map(Value::String),
        (ColumnType::Time(digits), _) => time(value, Unit::of_precision(*digits)).map(Value::String),
        (ColumnType::Timestamp(digits), _) => timestamp(value, Unit::of_precision(*digits)).map(Value::String),
        (ColumnType::TimestampTz, Value::String(text)) => {
            infinity(text).or_else(|| calendar::timestamptz_text(text)).map(Value::String)
        }
        (ColumnType::List(element), Value::Array(values)) => {
            values.iter().map(|value| coerce(value, element)).collect::<Option<_>>().map(Value::Array)
        }
        _ => None,
    }
}

fn boolean(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(_) => Some(value.clone()),
        Value::Number(number) => match number.as_i64()? {
            0 => Some(Value::Bool(false)),
            1 => Some(Value::Bool(true)),
            _ => None,
        },
        Value::String(text) => text.parse().ok().map(Value::Bool),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    let digits = match value {
        Value::Number(number) => decimal::from_text(&number.to_string())?,
        Value::String(text) => decimal::from_text(text)?,
        _ => return None,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    if fraction.bytes().any(|digit| digit != b'0') {
        return None;
    }
    whole.parse().ok()
}

fn float(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => match decimal::special(text) {
            Some(special) => Some(Value::from(special)),
            None => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::Number),
        },
        _ => None,
    }
}

fn decimal_text(value: &Value, digits: Option<(u8, i8)>) -> Option<String> {
    let scale = digits.map_or(0, |(_, scale)| i64::from(scale));
    let text = match value {
        Value::Number(number) => decimal::from_text(&number.to_string())?,
        Value::String(text) => {
            if let Some(special) = decimal::special(text) {
                return Some(special.to_owned());
            }
            let bytes = || digits.and_then(|_| BASE64.decode(text).ok());
            let from_digits = || decimal::from_text(text);
            if scale > 0 && !text.contains('.') {
                match bytes() {
                    Some(bytes) => decimal::from_bytes(&bytes, scale)?,
                    None => from_digits()?,
                }
            } else {
                from_digits().or_else(|| decimal::from_bytes(&bytes()?, scale))?
            }
        }
        _ => return None,
    };
    Some(filled_up(text, scale))
}

/// With zeros up to the declared scale.
fn filled_up(mut digits: String, scale: i64) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let has = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if has < scale {
        if has == 0 {
            digits.push('.');
        }
        digits.extend(std::iter::repeat_n('0', scale - has));
    }
    digits
}

fn date(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => {
            let days = i32::try_from(number.as_i64()?).ok()?.into();
            Some(
                calendar::infinite_date(days)
                    .map_or_else(|| printed(|out| calendar::write_date(out, days)), str::to_owned),
            )
        }
        Value::String(text) => {
            calendar::infinite_date_text(text).map(str::to_owned).or_else(|| calendar::date_text(text))
        }
        _ => None,
    }
}

fn time(value: &Value, unit: Unit) -> Option<String> {
    match value {
        Value::Number(number) => number.as_i64().map(|amount| printed(|out| calendar::write_time(out, amount, unit))),
        Value::String(text) => calendar::time_text(text),
        _ => None,
    }
}

fn timestamp(value: &Value, unit: Unit) -> Option<String> {
    match value {
        Value::Number(number) => {
            let amount = number.as_i64()?;
            let infinite = calendar::infinite_timestamp(amount, unit);
            Some(infinite.map_or_else(|| printed(|out| calendar::write_timestamp(out, amount, unit)), str::to_owned))
        }
        Value::String(text) => infinity(text).or_else(|| calendar::timestamp_text(text)),
        _ => None,
    }
}

fn infinity(text: &str) -> Option<String> {
    matches!(text, "infinity" | "-infinity").then(|| text.to_owned())
}

fn printed(write: impl FnOnce(&mut String)) -> String {
    let mut out = String::with_capacity(32);
    write(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coerced(json: &str, to: &str) -> Option<String> {
        coerce(&serde_json::from_str(json).unwrap(), &to.parse().unwrap()).map(|value| value.to_string())
    }

    #[test]
    fn values_take_the_declared_form() {
        for (json, to, expected) in [
            ("null", "date", "null"),
            ("1", "boolean", "true"),
            (r#""12""#, "int", "12"),
            ("9007199254740993", "bigint", "9007199254740993"),
            ("5.0", "int", "5"),
            (r#""NAN""#, "float", r#""NaN""#),
            ("17.33", "float", "17.33"),
            (r#""39.90""#, "decimal(12,2)", r#""39.90""#),
            ("39.9", "decimal(12,2)", r#""39.90""#),
            (r#""D5Y=""#, "decimal(12,2)", r#""39.90""#),
            (r#""1234""#, "decimal(12,0)", r#""1234""#),
            ("7", "decimal(12,2)", r#""7.00""#),
            (r#""POSITIVE_INFINITY""#, "decimal", r#""Infinity""#),
            ("20729", "date", r#""2026-10-03""#),
            (r#""2026-10-03""#, "date", r#""2026-10-03""#),
            (r#""infinity""#, "date", r#""infinity""#),
            ("1000", "timestamp(3)", r#""1970-01-01T00:00:01.000000""#),
            ("1000", "timestamp", r#""1970-01-01T00:00:00.001000""#),
            ("1000", "timestamp(9)", r#""1970-01-01T00:00:00.000001000""#),
            ("86400000000", "time", r#""24:00:00.000000""#),
            (r#""2026-01-01T00:00:00Z""#, "timestamptz", r#""2026-01-01T00:00:00.000000Z""#),
            ("12", "text", r#""12""#),
            ("[1,null]", "date[]", r#"["1970-01-02",null]"#),
            (r#"{"a":1}"#, "json", r#"{"a":1}"#),
            (r#""X18=""#, "bytes", r#""X18=""#),
        ] {
            assert_eq!(coerced(json, to).as_deref(), Some(expected), "{json} to {to}");
        }
    }

    #[test]
    fn what_has_no_such_form_is_refused() {
        for (json, to) in [
            ("2", "boolean"),
            ("1.5", "int"),
            ("3000000000", "int"),
            ("18446744073709551615", "bigint"),
            (r#""x""#, "float"),
            (r#""x""#, "decimal"),
            (r#""2026-13-01""#, "date"),
            ("5", "timestamptz"),
            ("[1]", "text"),
            ("1", "int[]"),
            (r#""*""#, "bytes"),
        ] {
            assert_eq!(coerced(json, to), None, "{json} to {to}");
        }
    }
}
