//! The types of columns.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The type of a column, as users see it. As text: `decimal(12,2)`, `timestamp(3)`, `text[]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// true, false
    Boolean,
    /// 32 bits or fewer
    Int,
    /// 64 bits
    BigInt,
    /// double precision; `NaN` and infinities as those texts
    Float,
    /// exact digits as text; precision and scale where the source or the configuration gives them
    Decimal(Option<(u8, i8)>),
    /// text
    Text,
    /// `2026-11-21`, `-infinity`
    Date,
    /// `23:59:59.999999`, also beyond a day or negative (MariaDB); with the digits of a second that were declared
    Time(Option<u8>),
    /// without zone: `2026-11-21T14:00:00.000000`; with the digits of a second that were declared
    Timestamp(Option<u8>),
    /// UTC: `2026-11-21T14:00:00.000000Z`
    TimestampTz,
    /// base64
    Bytes,
    /// JSON, held as its text
    Json,
    /// an array
    List(Box<ColumnType>),
}

/// Why a text is not a column type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a column type: expected boolean, int, bigint, float, decimal, decimal(P,S), text, date, time(N), \
     timestamp(N), timestamptz, bytes or json, or one of them with [] for an array"
)]
pub struct ColumnTypeError(String);

impl ColumnType {
    /// Whether its values are smaller or greater than each other, or at least stand in an order.
    pub fn has_order(&self) -> bool {
        !matches!(self, Self::Json | Self::List(_))
    }

    /// The narrowest type that holds what both hold; JSON where there is none other.
    #[must_use]
    pub fn widen(&self, other: &Self) -> Self {
        use ColumnType::{BigInt, Decimal, Float, Int, Json, List, Time, Timestamp};
        match (self, other) {
            _ if self == other => self.clone(),
            (Int, BigInt) | (BigInt, Int) => BigInt,
            (Int | BigInt, Float) | (Float, Int | BigInt) => Float,
            (Decimal(Some(one)), Decimal(Some(two))) => Decimal(wider_digits(*one, *two)),
            (Decimal(_), Decimal(_) | Int | BigInt | Float) | (Int | BigInt | Float, Decimal(_)) => Decimal(None),
            (Time(one), Time(two)) => Time(wider_second(*one, *two)),
            (Timestamp(one), Timestamp(two)) => Timestamp(wider_second(*one, *two)),
            (List(one), List(two)) => List(Box::new(one.widen(two))),
            _ => Json,
        }
    }
}

/// Room for the digits of both on either side of the point.
fn wider_digits(one: (u8, i8), two: (u8, i8)) -> Option<(u8, i8)> {
    let whole = |(precision, scale): (u8, i8)| i16::from(precision) - i16::from(scale);
    let scale = one.1.max(two.1);
    let precision = whole(one).max(whole(two)) + i16::from(scale);
    u8::try_from(precision).ok().map(|precision| (precision, scale))
}

fn wider_second(one: Option<u8>, two: Option<u8>) -> Option<u8> {
    Some(one?.max(two?))
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Int => "int",
            Self::BigInt => "bigint",
            Self::Float => "float",
            Self::Decimal(None) => "decimal",
            Self::Decimal(Some((precision, scale))) => return write!(f, "decimal({precision},{scale})"),
            Self::Text => "text",
            Self::Date => "date",
            Self::Time(None) => "time",
            Self::Time(Some(digits)) => return write!(f, "time({digits})"),
            Self::Timestamp(None) => "timestamp",
            Self::Timestamp(Some(digits)) => return write!(f, "timestamp({digits})"),
            Self::TimestampTz => "timestamptz",
            Self::Bytes => "bytes",
            Self::Json => "json",
            Self::List(element) => return write!(f, "{element}[]"),
        })
    }
}

impl FromStr for ColumnType {
    type Err = ColumnTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ColumnTypeError(text.to_owned());
        let plain = text.trim().to_ascii_lowercase();
        if let Some(element) = plain.strip_suffix("[]") {
            return element.parse().map(|element| Self::List(Box::new(element))).map_err(|_: Self::Err| error());
        }
        let (name, arguments) = match plain.split_once('(') {
            Some((name, rest)) => {
                let arguments = rest.strip_suffix(')').ok_or_else(error)?;
                let numbers: Result<Vec<i8>, _> = arguments.split(',').map(|number| number.trim().parse()).collect();
                (name.trim_end(), numbers.map_err(|_| error())?)
            }
            None => (plain.as_str(), Vec::new()),
        };
        Ok(match (name, arguments.as_slice()) {
            ("boolean" | "bool", []) => Self::Boolean,
            ("int" | "integer" | "smallint", []) => Self::Int,
            ("bigint", []) => Self::BigInt,
            ("float" | "double" | "real", []) => Self::Float,
            ("decimal" | "numeric", []) => Self::Decimal(None),
            ("decimal" | "numeric", &[precision @ 1..=127, scale]) => Self::Decimal(Some((precision as u8, scale))),
            ("text" | "varchar" | "uuid", []) => Self::Text,
            ("date", []) => Self::Date,
            ("time", []) => Self::Time(None),
            ("time", &[digits @ 0..=9]) => Self::Time(Some(digits as u8)),
            ("timestamp", []) => Self::Timestamp(None),
            ("timestamp", &[digits @ 0..=9]) => Self::Timestamp(Some(digits as u8)),
            ("timestamptz", [] | [0..=9]) => Self::TimestampTz,
            ("bytes" | "bytea", []) => Self::Bytes,
            ("json" | "jsonb", []) => Self::Json,
            _ => return Err(error()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_round_trip_as_text() {
        for text in [
            "boolean",
            "int",
            "bigint",
            "float",
            "decimal",
            "decimal(12,2)",
            "text",
            "date",
            "time",
            "time(0)",
            "timestamp",
            "timestamp(9)",
            "timestamptz",
            "bytes",
            "json",
            "decimal(5,-2)[]",
            "int[][]",
        ] {
            assert_eq!(text.parse::<ColumnType>().map(|parsed| parsed.to_string()), Ok(text.to_owned()));
        }
        assert_eq!("DECIMAL(12, 2)".parse(), Ok(ColumnType::Decimal(Some((12, 2)))));
        for text in ["", "int(3)", "timestamp(10)", "decimal(12", "decimal(0,0)", "[]", "money"] {
            assert!(text.parse::<ColumnType>().is_err(), "{text}");
        }
    }

    #[test]
    fn widening_loses_nothing() {
        let widened = |one: &str, two: &str| {
            let (one, two): (ColumnType, ColumnType) = (one.parse().unwrap(), two.parse().unwrap());
            assert_eq!(one.widen(&two), two.widen(&one));
            one.widen(&two).to_string()
        };
        assert_eq!(widened("int", "bigint"), "bigint");
        assert_eq!(widened("bigint", "decimal(5,2)"), "decimal");
        assert_eq!(widened("decimal(10,2)", "decimal(8,4)"), "decimal(12,4)");
        assert_eq!(widened("timestamp(3)", "timestamp(6)"), "timestamp(6)");
        assert_eq!(widened("int[]", "bigint[]"), "bigint[]");
        assert_eq!(widened("text", "int"), "json");
        assert_eq!(widened("date", "date"), "date");
    }
}
