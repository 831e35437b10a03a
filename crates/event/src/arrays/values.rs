//! Arrays of values, from canonical JSON.

use std::{borrow::Cow, sync::Arc};

use arrow_array::{
    ArrayRef, ListArray,
    builder::{
        BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder,
        DurationMicrosecondBuilder, Float64Builder, Int32Builder, Int64Builder, StringViewBuilder,
        TimestampMicrosecondBuilder,
    },
};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::value::RawValue;

use super::{parse, types::data_type};
use crate::{ColumnType, Timestamp, coerce};

/// A column under construction.
pub struct Values {
    column_type: ColumnType,
    builder: Builder,
}

enum Builder {
    Boolean(BooleanBuilder),
    Int(Int32Builder),
    BigInt(Int64Builder),
    Float(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Text(StringViewBuilder),
    Date(Date32Builder),
    Time(DurationMicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Bytes(BinaryViewBuilder),
    List { items: Box<Values>, ends: Vec<i32>, present: NullBufferBuilder },
}

impl Values {
    /// An empty one, with room for so many.
    pub fn new(column_type: &ColumnType, capacity: usize) -> Self {
        let builder = match (column_type, data_type(column_type)) {
            (ColumnType::Boolean, _) => Builder::Boolean(BooleanBuilder::with_capacity(capacity)),
            (ColumnType::Int, _) => Builder::Int(Int32Builder::with_capacity(capacity)),
            (ColumnType::BigInt, _) => Builder::BigInt(Int64Builder::with_capacity(capacity)),
            (ColumnType::Float, _) => Builder::Float(Float64Builder::with_capacity(capacity)),
            (ColumnType::Decimal(_), DataType::Decimal128(precision, scale)) => {
                let builder = Decimal128Builder::with_capacity(capacity);
                Builder::Decimal128(builder.with_data_type(DataType::Decimal128(precision, scale)), precision, scale)
            }
            (ColumnType::Decimal(_), decimal) => {
                let DataType::Decimal256(precision, scale) = decimal else {
                    unreachable!("a decimal column is Decimal128 or Decimal256, not {decimal}")
                };
                let builder = Decimal256Builder::with_capacity(capacity);
                Builder::Decimal256(builder.with_data_type(decimal), precision, scale)
            }
            (ColumnType::Text | ColumnType::Json, _) => Builder::Text(StringViewBuilder::with_capacity(capacity)),
            (ColumnType::Date, _) => Builder::Date(Date32Builder::with_capacity(capacity)),
            (ColumnType::Time(_), _) => Builder::Time(DurationMicrosecondBuilder::with_capacity(capacity)),
            (ColumnType::Timestamp(_) | ColumnType::TimestampTz, data_type) => {
                Builder::Timestamp(TimestampMicrosecondBuilder::with_capacity(capacity).with_data_type(data_type))
            }
            (ColumnType::Bytes, _) => Builder::Bytes(BinaryViewBuilder::with_capacity(capacity)),
            (ColumnType::List(item), _) => Builder::List {
                items: Box::new(Self::new(item, capacity)),
                ends: vec![0],
                present: NullBufferBuilder::new(capacity),
            },
        };
        Self { column_type: column_type.clone(), builder }
    }

    /// Appends a value, given as JSON text. False, and a null is appended, when it is null or not of the type.
    pub fn append(&mut self, json: &str) -> bool {
        if json == "null" {
            self.append_null();
            return false;
        }
        if self.builder.append(json) {
            return true;
        }
        // Not in the canonical form of this type: rows without a schema, and types that were widened or declared.
        let coerced = serde_json::from_str(json).ok().and_then(|value| coerce(&value, &self.column_type));
        let appended = coerced.is_some_and(|value| !value.is_null() && self.builder.append(&value.to_string()));
        if !appended {
            self.append_null();
        }
        appended
    }

    /// Appends a moment to a column of moments.
    ///
    /// # Panics
    /// When the column is of something else.
    pub fn append_moment(&mut self, moment: Timestamp) {
        match &mut self.builder {
            Builder::Timestamp(builder) => builder.append_value(moment.as_micros()),
            _ => unreachable!("asked of a column of moments only"),
        }
    }

    /// Appends a null.
    pub fn append_null(&mut self) {
        match &mut self.builder {
            Builder::Boolean(builder) => builder.append_null(),
            Builder::Int(builder) => builder.append_null(),
            Builder::BigInt(builder) => builder.append_null(),
            Builder::Float(builder) => builder.append_null(),
            Builder::Decimal128(builder, ..) => builder.append_null(),
            Builder::Decimal256(builder, ..) => builder.append_null(),
            Builder::Text(builder) => builder.append_null(),
            Builder::Date(builder) => builder.append_null(),
            Builder::Time(builder) => builder.append_null(),
            Builder::Timestamp(builder) => builder.append_null(),
            Builder::Bytes(builder) => builder.append_null(),
            Builder::List { ends, present, .. } => {
                ends.push(*ends.last().expect("it starts with one end"));
                present.append_null();
            }
        }
    }

    /// The column, of the type that [`data_type`] says.
    pub fn finish(mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Boolean(builder) => Arc::new(builder.finish()),
            Builder::Int(builder) => Arc::new(builder.finish()),
            Builder::BigInt(builder) => Arc::new(builder.finish()),
            Builder::Float(builder) => Arc::new(builder.finish()),
            Builder::Decimal128(builder, ..) => Arc::new(builder.finish()),
            Builder::Decimal256(builder, ..) => Arc::new(builder.finish()),
            Builder::Text(builder) => Arc::new(builder.finish()),
            Builder::Date(builder) => Arc::new(builder.finish()),
            Builder::Time(builder) => Arc::new(builder.finish()),
            Builder::Timestamp(builder) => Arc::new(builder.finish()),
            Builder::Bytes(builder) => Arc::new(builder.finish()),
            Builder::List { items, ends, present } => {
                let item_type = items.column_type.clone();
                let items = std::mem::replace(items.as_mut(), Self::new(&item_type, 0)).finish();
                let field = Arc::new(Field::new_list_field(items.data_type().clone(), true));
                let ends = OffsetBuffer::new(ScalarBuffer::from(std::mem::take(ends)));
                Arc::new(ListArray::new(field, ends, items, present.finish()))
            }
        }
    }
}

impl Builder {
    /// Appends a value in the canonical form of the type; false, and nothing is appended, when it is not.
    fn append(&mut self, json: &str) -> bool {
        match self {
            Self::Boolean(builder) => some(json.parse().ok(), |value| builder.append_value(value)),
            Self::Int(builder) => some(unquoted(json).parse().ok(), |value| builder.append_value(value)),
            Self::BigInt(builder) => some(unquoted(json).parse().ok(), |value| builder.append_value(value)),
            Self::Float(builder) => some(float(&unquoted(json)), |value| builder.append_value(value)),
            Self::Decimal128(builder, precision, scale) => {
                let number = parse::decimal128(&unquoted(json), *scale, *precision);
                some(number, |number| builder.append_value(number))
            }
            Self::Decimal256(builder, precision, scale) => {
                let number = parse::decimal256(&unquoted(json), *scale, *precision);
                some(number, |number| builder.append_value(number))
            }
            Self::Text(builder) => {
                builder.append_value(unquoted(json));
                true
            }
            Self::Date(builder) => some(parse::date(&unquoted(json)), |days| builder.append_value(days)),
            Self::Time(builder) => some(parse::time(&unquoted(json)), |micros| builder.append_value(micros)),
            Self::Timestamp(builder) => some(parse::timestamp(&unquoted(json)), |micros| builder.append_value(micros)),
            Self::Bytes(builder) => {
                let bytes = json.starts_with('"').then(|| BASE64_STANDARD.decode(&*unquoted(json)).ok()).flatten();
                some(bytes, |bytes| builder.append_value(bytes))
            }
            Self::List { items, ends, present } => {
                let Ok(values) = serde_json::from_str::<Vec<&RawValue>>(json) else { return false };
                for value in &values {
                    items.append(value.get());
                }
                let start = *ends.last().expect("it starts with one end");
                // A batch of rows holds far fewer than 2³¹ items: a row is at most a message long.
                ends.push(start + i32::try_from(values.len()).expect("a message holds fewer than 2³¹ values"));
                present.append_non_null();
                true
            }
        }
    }
}

fn some<T>(value: Option<T>, append: impl FnOnce(T)) -> bool {
    let is_some = value.is_some();
    if let Some(value) = value {
        append(value);
    }
    is_some
}

/// A number, or the words that Debezium has for the others.
fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => text.parse().ok(),
        _ => None,
    }
}

/// The content of a JSON string; other values as their text.
pub fn unquoted(json: &str) -> Cow<'_, str> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(content) if !content.contains('\\') => Cow::Borrowed(content),
        Some(_) => serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned),
        None => Cow::Borrowed(json),
    }
}

#[cfg(test)]
mod tests {
    use arrow::{array::Array, util::display::array_value_to_string};

    use super::*;

    fn shown(column_type: ColumnType, values: &[&str]) -> Vec<String> {
        let mut column = Values::new(&column_type, values.len());
        for value in values {
            column.append(value);
        }
        let array = column.finish();
        assert_eq!(*array.data_type(), data_type(&column_type));
        (0..array.len()).map(|row| array_value_to_string(&array, row).unwrap()).collect()
    }

    #[test]
    fn values_of_each_type() {
        assert_eq!(shown(ColumnType::Boolean, &["true", "null", "false"]), ["true", "", "false"]);
        assert_eq!(shown(ColumnType::Int, &["-1", "2"]), ["-1", "2"]);
        assert_eq!(shown(ColumnType::BigInt, &["\"9007199254740993\"", "1"]), ["9007199254740993", "1"]);
        assert_eq!(shown(ColumnType::Float, &["1.5", "\"-Infinity\"", "3e2"]), ["1.5", "-inf", "300.0"]);
        let price = ColumnType::Decimal(Some((12, 2)));
        assert_eq!(shown(price, &["\"19.90\"", "\"NaN\"", "\"-0.5\""]), ["19.90", "", "-0.50"]);
        assert_eq!(shown(ColumnType::Text, &["\"a\\\"b\"", "\"é\"", "12"]), ["a\"b", "é", "12"]);
        assert_eq!(shown(ColumnType::Json, &["{\"a\":[1]}", "\"{}\""]), ["{\"a\":[1]}", "{}"]);
        assert_eq!(shown(ColumnType::Date, &["\"2026-11-21\""]), ["2026-11-21"]);
        assert_eq!(
            shown(ColumnType::TimestampTz, &["\"2026-11-21T14:00:00.000001Z\""]),
            ["2026-11-21T14:00:00.000001Z"]
        );
        assert_eq!(shown(ColumnType::Bytes, &["\"AQID\""]), ["010203"]);
        let list = ColumnType::List(Box::new(ColumnType::BigInt));
        assert_eq!(shown(list, &["[1,null,3]", "null", "[]"]), ["[1, , 3]", "", "[]"]);
    }
}
