//! The statistics of an Add.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType},
};
use deltafold_event::Timestamp;
use serde_json::{Map, Value, json};

use crate::schema::column;

/// Texts whose bounds are worth having.
const TEXTS: [&str; 4] = [column::AGGREGATE_TYPE, column::AGGREGATE_ID, column::EVENT_TYPE, "code"];

/// Longer texts are cut; a bound need not be a value.
const TEXT_LENGTH: usize = 64;

/// The count of rows and of nulls, and the bounds of numbers, moments and some texts, as Delta's protocol has them.
pub(crate) fn statistics(batch: &RecordBatch) -> String {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (field, values) in batch.schema().fields().iter().zip(batch.columns()) {
        nulls.insert(field.name().clone(), json!(values.null_count()));
        let bounds = match field.data_type() {
            DataType::Utf8 if TEXTS.contains(&field.name().as_str()) => texts(values.as_string::<i32>().iter()),
            DataType::Utf8View if TEXTS.contains(&field.name().as_str()) => texts(values.as_string_view().iter()),
            DataType::Int32 => range(values.as_primitive::<Int32Type>().iter()).map(|(a, b)| (json!(a), json!(b))),
            DataType::Int64 => range(values.as_primitive::<Int64Type>().iter()).map(|(a, b)| (json!(a), json!(b))),
            DataType::Timestamp(..) => range(values.as_primitive::<TimestampMicrosecondType>().iter())
                .and_then(|(a, b)| Some((moment(a)?, moment(b)?))),
            _ => None,
        };
        if let Some((low, high)) = bounds {
            least.insert(field.name().clone(), low);
            greatest.insert(field.name().clone(), high);
        }
    }
    json!({"numRecords": batch.num_rows(), "minValues": least, "maxValues": greatest, "nullCount": nulls}).to_string()
}

fn range<T: Ord + Copy>(values: impl Iterator<Item = Option<T>>) -> Option<(T, T)> {
    let mut values = values.flatten();
    let first = values.next()?;
    Some(values.fold((first, first), |(least, greatest), value| (least.min(value), greatest.max(value))))
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> Option<(Value, Value)> {
    let (least, greatest) = range(values)?;
    let cut = |text: &str| text.floor_char_boundary(TEXT_LENGTH.min(text.len()));
    let low = &least[..cut(least)];
    let mut high = greatest[..cut(greatest)].to_owned();
    if high.len() < greatest.len() {
        high.push(char::MAX);
    }
    Some((json!(low), json!(high)))
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
        let found: Value = serde_json::from_str(&statistics(&batch)).unwrap();
        assert_eq!(found["numRecords"], 3);
        assert_eq!(found["nullCount"]["partition"], 1);
        assert_eq!((&found["minValues"]["partition"], &found["maxValues"]["partition"]), (&json!(-1), &json!(3)));
        assert_eq!(found["minValues"]["aggregate_id"], "a");
        assert!(found["maxValues"]["aggregate_id"].as_str().unwrap() > long.as_str());
        assert_eq!(moment(i64::MAX), None);
    }
}
