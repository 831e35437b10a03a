//! Several files into one: positions filled, rows in the table's order again.

use std::{collections::BTreeSet, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array},
    compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch},
    datatypes::TimestampMicrosecondType,
};
use parquet::errors::ParquetError;

use crate::{
    ReadError,
    encode::{self, Encoded},
    read::ParquetFile,
    schema::{DEAD_LETTERS, column},
    table::file::{DataFile, Place, Tags},
};

/// The order of the event table's rows; the dead letters' is the last of it.
const ORDER: [&str; 4] = [column::AGGREGATE_TYPE, column::AGGREGATE_ID, column::SOURCE_POSITION, column::POSITION];

/// Merges opened files. Blocks.
pub(super) fn merge(files: &[ParquetFile]) -> Result<Encoded, ReadError> {
    let mut batches = Vec::new();
    for file in files {
        for batch in file.batches(&[], None)? {
            batches.push(placed(file, &batch)?);
        }
    }
    let broken = |error: ParquetError| ReadError::File {
        file: files.first().map_or_else(String::new, |file| file.file.path.clone()),
        what: format!("it cannot be merged: {error}"),
    };
    let sorted = || {
        let schema = batches.first().ok_or_else(|| ParquetError::General("it is empty".to_owned()))?.schema();
        let whole = concat_batches(&schema, &batches)?;
        let keys: Vec<SortColumn> = ORDER
            .iter()
            .filter_map(|name| whole.column_by_name(name))
            .map(|values| SortColumn { values: values.clone(), options: None })
            .collect();
        let order = lexsort_to_indices(&keys, None)?;
        let pieces = (0..whole.num_rows()).step_by(encode::PIECE_ROWS).map(|start| {
            let rows = encode::PIECE_ROWS.min(whole.num_rows() - start);
            take_record_batch(&whole, &order.slice(start, rows))
        });
        encode::write(schema, whole.num_rows(), pieces)
    };
    sorted().map_err(broken)
}

/// A batch with its positions and the times of its commits filled in.
fn placed(file: &ParquetFile, batch: &RecordBatch) -> Result<RecordBatch, ReadError> {
    let positions = file.positions(batch)?.into_iter().map(|position| position.as_i64());
    let positions: ArrayRef = Arc::new(Int64Array::from_iter_values(positions));
    let known = batch.column_by_name(column::COMMITTED_AT);
    let known = known.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let known = known.ok_or_else(|| file.broken("it has no commit times"))?;
    let times = known.iter().map(|time| time.unwrap_or(file.file.committed_at.as_micros()));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"));
    // Files of dead letters lack the columns that came after they were written.
    let is_of_letters = batch.column_by_name(column::AGGREGATE_TYPE).is_none();
    let schema = if is_of_letters { DEAD_LETTERS.clone() } else { batch.schema() };
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        column::POSITION => positions.clone(),
        column::COMMITTED_AT => times.clone(),
        name => match batch.column_by_name(name) {
            Some(values) => values.clone(),
            None => new_null_array(field.data_type(), batch.num_rows()),
        },
    });
    RecordBatch::try_new(schema.clone(), columns.collect()).map_err(|error| file.broken(error))
}

/// The tags of what files are merged into.
pub(super) fn tags(files: &[Arc<DataFile>]) -> Option<Tags> {
    let (first, last) = (files.first()?, files.last()?);
    let control: BTreeSet<_> = files.iter().flat_map(|file| &file.control).cloned().collect();
    Some(Tags {
        place: Place::Range(first.first, last.last),
        committed_at: last.committed_at,
        raw_bytes: files.iter().map(|file| file.raw_bytes).sum(),
        control: control.into_iter().collect(),
    })
}
