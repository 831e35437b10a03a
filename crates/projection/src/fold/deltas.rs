//! What flows from operator to operator.

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array},
    compute::{concat_batches, filter_record_batch, take_record_batch},
    datatypes::SchemaRef,
    error::ArrowError,
};
use datafusion::common::Result;

/// Rows that came and went: row `i` of `rows` is there `weight[i]` times more from the moment `at[i]` on
/// (microseconds), because of the change number `cause[i]` of those that are being folded.
///
/// The same row at the same moment may stand in it several times: its weights add up.
#[derive(Debug, Clone)]
pub(crate) struct Deltas {
    pub(crate) rows: RecordBatch,
    pub(crate) at: Vec<i64>,
    pub(crate) weight: Vec<i64>,
    pub(crate) cause: Vec<u32>,
    /// If it is known, for each row whether it is the same as the one before it.
    pub(crate) same: Option<Vec<bool>>,
}

impl Deltas {
    pub(crate) fn none(schema: &SchemaRef) -> Self {
        Self { rows: RecordBatch::new_empty(schema.clone()), at: vec![], weight: vec![], cause: vec![], same: None }
    }

    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// The same with other columns.
    pub(crate) fn with_rows(self, rows: RecordBatch) -> Self {
        Self { rows, ..self }
    }

    /// Those of which this is true.
    pub(crate) fn filtered(&self, by: &BooleanArray) -> Result<Self> {
        let stays = |at: &usize| by.is_valid_and_true(*at);
        let kept: Vec<usize> = (0..self.len()).filter(stays).collect();
        Ok(Self {
            rows: filter_record_batch(&self.rows, by)?,
            at: kept.iter().map(|&at| self.at[at]).collect(),
            weight: kept.iter().map(|&at| self.weight[at]).collect(),
            cause: kept.iter().map(|&at| self.cause[at]).collect(),
            // Rows that are the same are all kept, or none of them.
            same: self.same.as_ref().map(|same| kept.iter().map(|&at| same[at]).collect()),
        })
    }

    /// One of them.
    pub(crate) fn only(&self, at: usize) -> Result<Self> {
        let index = u32::try_from(at).expect("a batch has fewer than 2³² rows");
        Ok(Self {
            rows: take_record_batch(&self.rows, &UInt32Array::from(vec![index]))?,
            at: vec![self.at[at]],
            weight: vec![self.weight[at]],
            cause: vec![self.cause[at]],
            same: None,
        })
    }

    /// All of several, whose columns are of the types of the schema.
    pub(crate) fn all(schema: &SchemaRef, parts: Vec<Self>) -> Result<Self> {
        let mut all = Self::none(schema);
        let mut batches = Vec::with_capacity(parts.len());
        for part in parts {
            batches.push(batch(schema, part.rows.columns().to_vec(), part.rows.num_rows())?);
            all.at.extend(part.at);
            all.weight.extend(part.weight);
            all.cause.extend(part.cause);
        }
        all.rows = concat_batches(schema, &batches)?;
        Ok(all)
    }
}

/// Columns as a batch of so many rows, also where there are none.
///
/// # Errors
/// When the columns are not what the schema says, one value for each row.
pub(super) fn batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> std::result::Result<RecordBatch, ArrowError> {
    RecordBatch::try_new_with_options(schema.clone(), columns, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

trait Truth {
    fn is_valid_and_true(&self, at: usize) -> bool;
}

impl Truth for BooleanArray {
    fn is_valid_and_true(&self, at: usize) -> bool {
        use arrow::array::Array;
        self.is_valid(at) && self.value(at)
    }
}
