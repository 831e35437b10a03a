//! Dead letters as a file, in the order of arrival.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        new_null_array,
    },
    error::ArrowError,
};
use parquet::errors::ParquetError;

use super::{Encoded, parquet_file::write};
use crate::{DeadLetter, schema::DEAD_LETTERS};

/// The file of a commit of dead letters.
pub(crate) fn dead_letters(letters: &[DeadLetter]) -> Result<Encoded, ParquetError> {
    write(DEAD_LETTERS.clone(), letters.len(), std::iter::once(columns(letters)))
}

fn columns(letters: &[DeadLetter]) -> Result<RecordBatch, ArrowError> {
    let text =
        |of: fn(&DeadLetter) -> &str| Arc::new(StringArray::from_iter_values(letters.iter().map(of))) as ArrayRef;
    let bytes =
        |of: fn(&DeadLetter) -> Option<&[u8]>| Arc::new(letters.iter().map(of).collect::<BinaryArray>()) as ArrayRef;
    let recorded =
        TimestampMicrosecondArray::from_iter_values(letters.iter().map(|letter| letter.recorded_at.as_micros()));
    let nothing = |index: usize| new_null_array(DEAD_LETTERS.field(index).data_type(), letters.len());
    let columns: Vec<ArrayRef> = vec![
        text(|letter| &letter.source),
        text(|letter| &letter.topic),
        Arc::new(Int32Array::from_iter_values(letters.iter().map(|letter| letter.partition))),
        Arc::new(Int64Array::from_iter_values(letters.iter().map(|letter| letter.offset))),
        Arc::new(letters.iter().map(|letter| letter.file.as_deref()).collect::<StringArray>()),
        Arc::new(letters.iter().map(|letter| letter.line.map(|line| line as i64)).collect::<Int64Array>()),
        bytes(|letter| letter.key.as_deref()),
        bytes(|letter| letter.value.as_deref()),
        text(|letter| &letter.headers),
        text(|letter| &letter.code),
        text(|letter| &letter.reason),
        Arc::new(recorded.with_timezone("UTC")),
        Arc::new(letters.iter().map(|letter| letter.timestamp_ms).collect::<Int64Array>()),
        Arc::new(Int32Array::from_iter_values(0..letters.len() as i32)),
        nothing(14),
        nothing(15),
    ];
    RecordBatch::try_new(DEAD_LETTERS.clone(), columns)
}
