//! The scalars: what they look like on the wire, and what is accepted of a client.

use async_graphql::{Value, dynamic::Scalar};
use base64::Engine as _;
use deltafold_event::{ColumnType, Position, Timestamp};

/// A custom scalar.
struct Kind {
    name: &'static str,
    description: &'static str,
    expected: &'static str,
    accepts: fn(&Value) -> bool,
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "BigInt",
        description: "A whole number of 64 bits, as a string of digits. Accepts numbers too.",
        expected: "a BigInt, as in \"9007199254740993\"",
        accepts: |value| digits(value).is_some_and(|text| text.parse::<i64>().is_ok()),
    },
    Kind {
        name: "Decimal",
        description: "An exact decimal number, as a string of plain digits; also NaN, Infinity and -Infinity. \
                      Accepts numbers too.",
        expected: "a Decimal in plain digits, as in \"12.50\"",
        accepts: |value| digits(value).is_some_and(|text| is_decimal(&text)),
    },
    Kind {
        name: "Date",
        description: "A date, as in 2026-11-21; also infinity and -infinity.",
        expected: "a Date, as in \"2026-11-21\"",
        accepts: |value| text(value).is_some_and(is_date),
    },
    Kind {
        name: "Time",
        description: "A time of day, as in 23:59:59.999999; of some sources also beyond a day, or negative.",
        expected: "a Time, as in \"23:59:59\"",
        accepts: |value| text(value).is_some_and(is_time),
    },
    Kind {
        name: "DateTime",
        description: "A moment, RFC 3339 in UTC; a timestamp without zone has no Z. Also infinity and -infinity.",
        expected: "a DateTime, as in \"2026-11-21T14:00:00Z\"",
        accepts: |value| text(value).is_some_and(|text| is_moment(text) || is_zoneless(text)),
    },
    Kind {
        name: "Bytes",
        description: "Bytes, in base64.",
        expected: "Bytes in base64",
        accepts: |value| text(value).is_some_and(|text| base64::prelude::BASE64_STANDARD.decode(text).is_ok()),
    },
    Kind { name: "JSON", description: "Any JSON value.", expected: "a JSON value", accepts: |_| true },
    Kind {
        name: "Position",
        description: "A place in the event store's total order, as a string of digits. Accepts numbers too.",
        expected: "a Position: a whole number that is not negative",
        accepts: |value| position(value).is_some(),
    },
];

/// The custom scalars, to be registered.
pub(crate) fn all() -> impl Iterator<Item = Scalar> {
    KINDS.iter().map(|kind| Scalar::new(kind.name).description(kind.description))
}

/// Whether a value that is not null fits a scalar; if not, what would.
pub(crate) fn check(scalar: &str, value: &Value) -> Result<(), &'static str> {
    let fits = match scalar {
        "Int" => matches!(value, Value::Number(number)
            if number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())),
        "Float" => matches!(value, Value::Number(number) if number.as_f64().is_some_and(f64::is_finite)),
        "Boolean" => matches!(value, Value::Boolean(_)),
        "String" => matches!(value, Value::String(_)),
        "ID" => matches!(value, Value::String(_)) || matches!(value, Value::Number(number) if number.is_i64()),
        _ => {
            return match KINDS.iter().find(|kind| kind.name == scalar) {
                Some(kind) if !(kind.accepts)(value) => Err(kind.expected),
                _ => Ok(()),
            };
        }
    };
    if fits {
        return Ok(());
    }
    Err(match scalar {
        "Int" => "an Int: a whole number of 32 bits",
        "Float" => "a Float",
        "Boolean" => "a Boolean: true or false",
        "ID" => "an ID: a string or a whole number",
        _ => "a String",
    })
}

/// The scalar of a column's type; of a list, its innermost elements'.
pub(crate) fn of_type(column_type: &ColumnType) -> &'static str {
    match column_type {
        ColumnType::Boolean => "Boolean",
        ColumnType::Int => "Int",
        ColumnType::BigInt => "BigInt",
        ColumnType::Float => "Float",
        ColumnType::Decimal(_) => "Decimal",
        ColumnType::Text => "String",
        ColumnType::Date => "Date",
        ColumnType::Time(_) => "Time",
        ColumnType::Timestamp(_) | ColumnType::TimestampTz => "DateTime",
        ColumnType::Bytes => "Bytes",
        ColumnType::Json => "JSON",
        ColumnType::List(element) => of_type(element),
    }
}

/// The position in an input value.
pub(crate) fn position(value: &Value) -> Option<Position> {
    digits(value)?.parse().ok()
}

/// The moment in an input value: RFC 3339 with a zone.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    text(value)?.parse().ok()
}

/// The text of a string or number.
pub(crate) fn digits(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    if let Value::String(text) = value { Some(text) } else { None }
}

fn is_infinity(text: &str) -> bool {
    matches!(text, "infinity" | "-infinity")
}

fn is_decimal(text: &str) -> bool {
    let plain = text.strip_prefix('-').unwrap_or(text);
    if matches!(plain, "Infinity") || text == "NaN" {
        return true;
    }
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_date(text: &str) -> bool {
    is_infinity(text) || chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

fn is_time(text: &str) -> bool {
    let parts: Vec<&str> = text.strip_prefix('-').unwrap_or(text).split(':').collect();
    let number = |part: &str, max: u32| part.parse::<u32>().is_ok_and(|number| number <= max);
    match parts.as_slice() {
        [hours, minutes] => number(hours, 838) && number(minutes, 59),
        [hours, minutes, seconds] => {
            let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
            number(hours, 838)
                && number(minutes, 59)
                && number(seconds, 60)
                && !fraction.is_empty()
                && fraction.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// A moment with its zone.
pub(crate) fn is_moment(text: &str) -> bool {
    is_infinity(text) || chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

/// A date and time without zone.
pub(crate) fn is_zoneless(text: &str) -> bool {
    is_infinity(text) || text.parse::<chrono::NaiveDateTime>().is_ok()
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    #[test]
    fn scalars_accept_their_forms_only() {
        let accepted = [
            ("Int", value!(2_147_483_647)),
            ("BigInt", value!("9223372036854775807")),
            ("BigInt", value!(7)),
            ("Decimal", value!("-12.50")),
            ("Decimal", value!("NaN")),
            ("Date", value!("2026-11-21")),
            ("Date", value!("-infinity")),
            ("Time", value!("-838:59:59.000001")),
            ("DateTime", value!("2026-11-21T14:00:00+01:00")),
            ("DateTime", value!("2026-11-21T14:00:00.5")),
            ("Bytes", value!("AAE=")),
            ("Position", value!("0")),
            ("Position", value!(42)),
            ("ID", value!(7)),
        ];
        for (scalar, value) in accepted {
            assert_eq!(check(scalar, &value), Ok(()), "{scalar} {value}");
        }
        let refused = [
            ("Int", value!(2_147_483_648_i64)),
            ("Int", value!("7")),
            ("BigInt", value!("9223372036854775808")),
            ("BigInt", value!(1.5)),
            ("Decimal", value!("1e5")),
            ("Decimal", value!(".5")),
            ("Date", value!("2026-02-30")),
            ("Time", value!("noon")),
            ("DateTime", value!("yesterday")),
            ("Bytes", value!("***")),
            ("Position", value!(-1)),
            ("Boolean", value!("true")),
        ];
        for (scalar, value) in refused {
            assert!(check(scalar, &value).is_err(), "{scalar} {value}");
        }
    }
}
