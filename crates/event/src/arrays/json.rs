//! From arrays to canonical JSON.

use std::fmt::Write;

use arrow_array::{
    Array,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Decimal256Type, DurationMicrosecondType, Float64Type, Int32Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use arrow_schema::DataType;
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    ColumnType,
    calendar::{Unit, write_date, write_time, write_timestamp},
};

/// Appends a value of an array in the canonical JSON of its column's type: what [`super::Values`] reads from there is
/// the same value again. JSON that is not well-formed is written as text.
///
/// # Panics
/// When the array is not of the type that [`super::data_type`] says, or has no such row.
pub fn write_json(out: &mut String, array: &dyn Array, row: usize, column_type: &ColumnType) {
    if array.is_null(row) {
        return out.push_str("null");
    }
    match column_type {
        ColumnType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        ColumnType::Int => number(out, array.as_primitive::<Int32Type>().value(row)),
        ColumnType::BigInt => number(out, array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Float => float(out, array.as_primitive::<Float64Type>().value(row)),
        ColumnType::Decimal(declared) => quoted(out, |out| {
            let start = out.len();
            match array.data_type() {
                DataType::Decimal128(_, scale) => {
                    decimal(out, array.as_primitive::<Decimal128Type>().value(row), *scale);
                }
                _ => out.push_str(&array.as_primitive::<Decimal256Type>().value_as_string(row)),
            }
            if declared.is_none() {
                // Its scale is none that somebody declared.
                let shown = out[start..].trim_end_matches('0').trim_end_matches('.').len();
                out.truncate(start + shown);
            }
        }),
        ColumnType::Text => text(out, array.as_string_view().value(row)),
        ColumnType::Json => {
            let json = array.as_string_view().value(row);
            match serde_json::from_str::<&serde_json::value::RawValue>(json) {
                Ok(_) => out.push_str(json),
                Err(_) => text(out, json),
            }
        }
        ColumnType::Date => quoted(out, |out| match array.as_primitive::<Date32Type>().value(row) {
            i32::MAX => out.push_str("infinity"),
            i32::MIN => out.push_str("-infinity"),
            days => write_date(out, days.into()),
        }),
        ColumnType::Time(_) => {
            let micros = array.as_primitive::<DurationMicrosecondType>().value(row);
            quoted(out, |out| write_time(out, micros, Unit::Micros));
        }
        ColumnType::Timestamp(_) => moment(out, array, row, ""),
        ColumnType::TimestampTz => moment(out, array, row, "Z"),
        ColumnType::Bytes => {
            let bytes = array.as_binary_view().value(row);
            quoted(out, |out| BASE64_STANDARD.encode_string(bytes, out));
        }
        ColumnType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            out.push('[');
            for at in 0..items.len() {
                if at > 0 {
                    out.push(',');
                }
                write_json(out, &items, at, item);
            }
            out.push(']');
        }
    }
}

fn number(out: &mut String, number: impl std::fmt::Display) {
    write!(out, "{number}").expect("a String takes all text");
}

/// As arrow writes it, which makes two texts on the way.
fn decimal(out: &mut String, digits: i128, scale: i8) {
    let scale = usize::try_from(scale).expect("decimals of views have no negative scale");
    if digits < 0 {
        out.push('-');
    }
    write!(out, "{:0width$}", digits.unsigned_abs(), width = scale + 1).expect("a String takes all text");
    if scale > 0 {
        out.insert(out.len() - scale, '.');
    }
}

fn float(out: &mut String, number: f64) {
    match serde_json::Number::from_f64(number) {
        Some(finite) => out.push_str(&finite.to_string()),
        None if number.is_nan() => out.push_str("\"NaN\""),
        None => out.push_str(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
    }
}

fn text(out: &mut String, text: &str) {
    let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    match text.as_bytes().iter().all(is_plain) {
        true => quoted(out, |out| out.push_str(text)),
        false => out.push_str(&serde_json::Value::from(text).to_string()),
    }
}

fn moment(out: &mut String, array: &dyn Array, row: usize, zone: &str) {
    quoted(out, |out| match array.as_primitive::<TimestampMicrosecondType>().value(row) {
        i64::MAX => out.push_str("infinity"),
        i64::MIN => out.push_str("-infinity"),
        micros => {
            write_timestamp(out, micros, Unit::Micros);
            out.push_str(zone);
        }
    });
}

fn quoted(out: &mut String, write: impl FnOnce(&mut String)) {
    out.push('"');
    write(out);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use arrow::array::Decimal128Array;
    use proptest::prelude::*;

    use super::*;
    use crate::arrays::Values;

    proptest! {
        #[test]
        fn decimals_are_written_as_arrow_writes_them(magnitude in 0..127_u32, of in any::<i128>(), scale in 0..=38_i8) {
            let digits = of % (1_i128 << magnitude);
            let array = Decimal128Array::from(vec![digits]).with_data_type(DataType::Decimal128(38, scale));
            let mut out = String::new();
            decimal(&mut out, digits, scale);
            prop_assert_eq!(out, array.value_as_string(0));
        }
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let decimal = |digits| ColumnType::Decimal(Some(digits));
        let list = |item| ColumnType::List(Box::new(item));
        for (column_type, values) in [
            (ColumnType::Boolean, &["true", "false", "null"][..]),
            (ColumnType::Int, &["-1", "2147483647"]),
            (ColumnType::BigInt, &["9007199254740993", "-9223372036854775808"]),
            (ColumnType::Float, &["1.5", "-0.0", "1e+300", "\"NaN\"", "\"-Infinity\""]),
            (decimal((12, 2)), &["\"19.90\"", "\"-0.05\"", "\"0.00\""]),
            (decimal((60, 1)), &["\"12345678901234567890123456789012345678901234567890.5\""]),
            (ColumnType::Decimal(None), &["\"-7\"", "\"100.25\""]),
            (ColumnType::Text, &["\"é\"", "\"a\\\"b\\\\\\n\\u0001\"", "\"\""]),
            (ColumnType::Json, &["{\"a\":[1, 2]}", "17", "\"text\""]),
            (ColumnType::Date, &["\"2026-11-21\"", "\"-0043-03-15\"", "\"infinity\""]),
            (ColumnType::Time(None), &["\"23:59:59.999999\"", "\"-838:59:59.000000\""]),
            (ColumnType::Timestamp(None), &["\"2026-11-21T14:00:00.000000\"", "\"-infinity\""]),
            (ColumnType::TimestampTz, &["\"2026-11-21T14:00:00.000001Z\""]),
            (ColumnType::Bytes, &["\"AQID\"", "\"\""]),
            (list(ColumnType::Text), &["[\"a\",null]", "[]"]),
        ] {
            let mut array = Values::new(&column_type, values.len());
            for value in values {
                array.append(value);
            }
            let array = array.finish();
            for (row, value) in values.iter().enumerate() {
                let mut out = String::new();
                write_json(&mut out, &array, row, &column_type);
                assert_eq!(out, *value, "{column_type}");
            }
        }
    }
}
