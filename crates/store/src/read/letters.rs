//! Arrow columns to dead letters.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{Int32Type, Int64Type, TimestampMicrosecondType},
};
use deltafold_event::Timestamp;

use crate::DeadLetter;

/// The dead letter in a row; none if a column is missing that always was there.
pub(crate) fn letter(batch: &RecordBatch, row: usize) -> Option<DeadLetter> {
    let text = |name: &str| {
        let column = batch.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let bytes = |name: &str| {
        let column = batch.column_by_name(name)?.as_binary_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let long = |name: &str| {
        let column = batch.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let recorded = batch.column_by_name("recorded_at")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    Some(DeadLetter {
        source: text("source")?,
        topic: text("topic")?,
        partition: batch.column_by_name("partition")?.as_primitive_opt::<Int32Type>()?.value(row),
        offset: long("offset")?,
        file: text("file"),
        line: long("line").map(|line| line as u64),
        key: bytes("key"),
        value: bytes("value"),
        headers: text("headers")?,
        code: text("code")?,
        reason: text("reason")?,
        recorded_at: Timestamp::from_micros(recorded.value(row)),
        timestamp_ms: long("timestamp_ms"),
    })
}
