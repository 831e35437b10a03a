//! The statistics of an Add.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, FieldRef, Int32Type, Int64Type, Schema, TimestampMicrosecondType},
};
use deltafold_event::Timestamp;
use serde_json::{Map, Value, json};

use crate::schema::column;

/// Texts whose bounds are worth having.
const TEXTS: [&str; 4] = [column::AGGREGATE_TYPE, column::AGGREGATE_ID, column::EVENT_TYPE, "code"];

/// Longer texts are cut; a bound need not be a value.
const TEXT_LENGTH: usize = 64;

/// The count of rows and of nulls, and the bounds of numbers, moments and some texts, as Delta's protocol has them.
#[derive(Debug)]
pub(super) struct Statistics {
    rows: usize,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    nulls: usize,
    bounds: Option<Bounds>,
}

/// The least value and the greatest.
#[derive(Debug)]
enum Bounds {
    Number(i64, i64),
    Moment(i64, i64),
    Text(String, String),
}

impl Statistics {
    /// Of no rows.
    pub(super) fn new(schema: &Schema) -> Self {
        let column = |field: &FieldRef| Column { name: field.name().clone(), nulls: 0, bounds: None };
        Self { rows: 0, columns: schema.fields().iter().map(column).collect() }
    }

    /// Takes in more rows of the same schema.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows();
        for (column, values) in self.columns.iter_mut().zip(batch.columns()) {
            column.nulls += values.null_count();
            let has_bounds = TEXTS.contains(&column.name.as_str());
            let found = match values.data_type() {
                DataType::Utf8 if has_bounds => texts(values.as_string::<i32>().iter()),
                DataType::Utf8View if has_bounds => texts(values.as_string_view().iter()),
                DataType::Int32 => {
                    range(values.as_primitive::<Int32Type>().iter()).map(|(a, b)| Bounds::Number(a.into(), b.into()))
                }
                DataType::Int64 => range(values.as_primitive::<Int64Type>().iter()).map(|(a, b)| Bounds::Number(a, b)),
                DataType::Timestamp(..) => {
                    range(values.as_primitive::<TimestampMicrosecondType>().iter()).map(|(a, b)| Bounds::Moment(a, b))
                }
                _ => None,
            };
            column.bounds = match (column.bounds.take(), found) {
                (Some(before), Some(found)) => Some(before.and(found)),
                (before, found) => before.or(found),
            };
        }
    }

    /// As an Add has them.
    pub(super) fn to_json(&self) -> String {
        let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
        for Column { name, nulls: null_count, bounds } in &self.columns {
            nulls.insert(name.clone(), json!(null_count));
            let bounds = match bounds {
                None => None,
                Some(Bounds::Number(low, high)) => Some((json!(low), json!(high))),
                Some(Bounds::Moment(low, high)) => moment(*low).zip(moment(*high)),
                Some(Bounds::Text(low, high)) => Some((json!(at_most(low)), json!(at_least(high)))),
            };
            if let Some((low, high)) = bounds {
                least.insert(name.clone(), low);
                greatest.insert(name.clone(), high);
            }
        }
        json!({"numRecords": self.rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}).to_string()
    }
}

impl Bounds {
    /// The bounds of both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Number(a, b), Self::Number(c, d)) => Self::Number(a.min(c), b.max(d)),
            (Self::Moment(a, b), Self::Moment(c, d)) => Self::Moment(a.min(c), b.max(d)),
            (Self::Text(a, b), Self::Text(c, d)) => Self::Text(a.min(c), b.max(d)),
            (own, _) => own,
        }
    }
}

fn range<T: Ord + Copy>(values: impl Iterator<Item = Option<T>>) -> Option<(T, T)> {
    let mut values = values.flatten();
    let first = values.next()?;
    Some(values.fold((first, first), |(least, greatest), value| (least.min(value), greatest.max(value))))
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Option<Bounds> {
    let (least, greatest) = range(values)?;
    Some(Bounds::Text(least.to_owned(), greatest.to_owned()))
}

/// A short text that is no greater.
fn at_most(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_LENGTH.min(text.len()))]
}

/// A short text that is no less.
fn at_least(text: &str) -> String {
    let mut high = at_most(text).to_owned();
    if high.len() < text.len() {
        high.push(char::MAX);
    }
    high
}

/// None where the moment is outside what RFC 3339 can say.
fn moment(micros: i64) -> Option<Value> {
    let text = Timestamp::from_micros(micros).to_string();
    let plain = text.len() == "2026-11-21T14:00:00.000000Z".len() && !text.starts_with('-');
    plain.then(|| Value::String(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int32Array, StringArray},
        datatypes::{Field, Schema},
    };

    use super::*;

    #[test]
    fn bounds_hold_every_value_even_where_they_are_cut() {
        let long = "ä".repeat(100);
        let schema = Schema::new(vec![
            Field::new(column::AGGREGATE_ID, DataType::Utf8, true),
            Field::new("partition", DataType::Int32, true),
        ]);
        let ids = StringArray::from(vec![Some(long.as_str()), None, Some("a")]);
        let numbers = Int32Array::from(vec![Some(3), None, Some(-1)]);
        let batch = RecordBatch::try_new(schema.into(), vec![Arc::new(ids), Arc::new(numbers)]).unwrap();
        let mut statistics = Statistics::new(&batch.schema());
        statistics.add(&batch.slice(0, 1));
        statistics.add(&batch.slice(1, 2));
        let found: Value = serde_json::from_str(&statistics.to_json()).unwrap();
        assert_eq!(found["numRecords"], 3);
        assert_eq!(found["nullCount"]["partition"], 1);
        assert_eq!((&found["minValues"]["partition"], &found["maxValues"]["partition"]), (&json!(-1), &json!(3)));
        assert_eq!(found["minValues"]["aggregate_id"], "a");
        assert!(found["maxValues"]["aggregate_id"].as_str().unwrap() > long.as_str());
        assert_eq!(moment(i64::MAX), None);
    }
}
