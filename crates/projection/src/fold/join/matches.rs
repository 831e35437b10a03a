//! The rows that a join gives, as they are put together.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array},
    compute::take,
    error::ArrowError,
    row::RowConverter,
};

use super::{Join, Kind, Side};
use crate::fold::{
    deltas::{Deltas, batch},
    error::Fault,
    steps::Steps,
};

/// Rows of each side, and for each that is given the one on the left, the one on the right if there is one, and whether
/// there is any.
#[derive(Default)]
pub(super) struct Matches {
    left: Texts,
    right: Texts,
    of_left: Vec<u32>,
    of_right: Vec<Option<u32>>,
    is_matched: Vec<bool>,
    at: Vec<i64>,
    weight: Vec<i64>,
    cause: Vec<u32>,
}

/// Bytes of rows, one behind the other.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn last(&self) -> Option<&[u8]> {
        let start = self.ends.len().checked_sub(2).map_or(0, |before| self.ends[before]);
        self.ends.last().map(|end| &self.bytes[start..*end])
    }

    /// Its number. What comes mostly comes again next.
    fn put(&mut self, row: &[u8]) -> u32 {
        if self.last() != Some(row) {
            self.bytes.extend_from_slice(row);
            self.ends.push(self.bytes.len());
        }
        u32::try_from(self.ends.len() - 1).expect("a batch gives fewer than 2³² rows")
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[*start..*end])
    }

    fn columns(&self, rows: Option<&RowConverter>) -> Result<Vec<ArrayRef>, ArrowError> {
        let Some(converter) = rows else { return Ok(Vec::new()) };
        let parser = converter.parser();
        converter.convert_rows(self.iter().map(|row| parser.parse(row)))
    }
}

impl Matches {
    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    pub(super) fn put_pair(&mut self, left: &[u8], right: &[u8], steps: &Steps, cause: u32) {
        if !steps.is_empty() {
            let right = self.right.put(right);
            self.put(left, Some(right), true, steps, cause);
        }
    }

    /// A row on the left that is in some pair, which is given by itself.
    pub(super) fn put_matched(&mut self, kind: Kind, left: &[u8], steps: &Steps, cause: u32) {
        if matches!(kind, Kind::Semi | Kind::Mark) {
            self.put(left, None, true, steps, cause);
        }
    }

    /// One that is in none.
    pub(super) fn put_alone(&mut self, kind: Kind, left: &[u8], steps: &Steps, cause: u32) {
        if matches!(kind, Kind::Left | Kind::Anti | Kind::Mark) {
            self.put(left, None, false, steps, cause);
        }
    }

    fn put(&mut self, left: &[u8], right: Option<u32>, is_matched: bool, steps: &Steps, cause: u32) {
        for (at, weight) in steps {
            self.of_left.push(self.left.put(left));
            self.of_right.push(right);
            self.is_matched.push(is_matched);
            self.at.push(*at);
            self.weight.push(*weight);
            self.cause.push(cause);
        }
    }

    /// All of them, as a batch.
    pub(super) fn finish<E>(self, join: &Join) -> Result<Deltas, Fault<E>> {
        let rows = self.columns(join).and_then(|columns| batch(&join.schema, columns, self.at.len()));
        let rows = rows.map_err(|error| Fault::of(self.cause.first().copied().unwrap_or(0), &error.into()))?;
        Ok(Deltas { rows, at: self.at, weight: self.weight, cause: self.cause, same: None })
    }

    fn columns(&self, join: &Join) -> Result<Vec<ArrayRef>, ArrowError> {
        let taken = |columns: Vec<ArrayRef>, places: &UInt32Array| {
            columns.into_iter().map(|column| take(&column, places, None)).collect::<Result<Vec<_>, _>>()
        };
        let of_side = |texts: &Texts, side: &Side| texts.columns(side.rows.as_ref());
        let mut columns = taken(of_side(&self.left, &join.left)?, &self.of_left.iter().copied().collect())?;
        match join.kind {
            Kind::Inner | Kind::Left => {
                let places: UInt32Array = self.of_right.iter().copied().collect();
                columns.extend(match places.null_count() == places.len() {
                    false => taken(of_side(&self.right, &join.right)?, &places)?,
                    true => {
                        let types = join.right.input.schema().fields();
                        types.iter().map(|field| new_null_array(field.data_type(), places.len())).collect()
                    }
                });
            }
            Kind::Semi | Kind::Anti => {}
            Kind::Mark => columns.push(Arc::new(BooleanArray::from(self.is_matched.clone()))),
        }
        Ok(columns)
    }
}
