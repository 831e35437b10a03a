//! The rows of a side, in bytes and back.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef},
    row::Rows,
};
use datafusion::physical_expr::PhysicalExpr;

use super::{Change, Join, Row, Side, by_row::ByRow};
use crate::fold::{
    deltas::Deltas,
    error::Fault,
    expressions::{truths, values},
    group::{fits, row_bytes},
    steps::Steps,
};

impl Side {
    /// What changes, in the order of keys; and what of it cannot belong to any row: the row, from when on, how often, and why.
    #[expect(clippy::type_complexity, reason = "it is taken apart where it is made")]
    pub(super) fn changes<E>(
        &self,
        join: &Join,
        deltas: &Deltas,
        can_match: Option<&Arc<dyn PhysicalExpr>>,
    ) -> Result<(Vec<(Row, ByRow<Change>)>, Vec<(Row, i64, i64, u32)>), Fault<E>> {
        let (mut changes, mut alone): (Vec<(Row, ByRow<Change>)>, _) = (Vec::new(), Vec::new());
        if deltas.len() == 0 {
            return Ok((changes, alone));
        }
        let rows = self.rows(join, deltas)?;
        let can_match = can_match.map(|condition| truths(condition, deltas)).transpose()?;
        // So that each is put behind the one before.
        let mut order: Vec<usize> = (0..deltas.len()).collect();
        order.sort_by(|&one, &other| {
            rows.key(one).cmp(rows.key(other)).then_with(|| rows.row(one).cmp(rows.row(other)))
        });
        let mut last: Option<(Row, ByRow<Change>)> = None;
        for row in order {
            let (at, weight, cause) = (deltas.at[row], deltas.weight[row], deltas.cause[row]);
            if !rows.can_match(join, row) || can_match.as_ref().is_some_and(|can_match| !can_match.value(row)) {
                alone.push((rows.row(row).into(), at, weight, cause));
                continue;
            }
            let key = rows.key(row);
            if last.as_ref().is_none_or(|(last, _)| **last != *key) {
                fits(key, cause, "what a join has to find equal is, all together,")?;
                changes.extend(last.replace((key.into(), ByRow::default())));
            }
            let Some((_, of_key)) = &mut last else { unreachable!("it was put there") };
            of_key.of(rows.row(row), || Change { steps: Steps::default(), cause }).steps.add(at, weight);
        }
        changes.extend(last);
        changes.retain_mut(|(_, of_key)| {
            of_key.retain(|change| !change.steps.is_empty());
            !of_key.is_empty()
        });
        Ok((changes, alone))
    }

    /// The bytes of rows.
    pub(super) fn rows<E>(&self, join: &Join, deltas: &Deltas) -> Result<OfRows, Fault<E>> {
        let fault =
            |error: arrow::error::ArrowError| Fault::of(deltas.cause.first().copied().unwrap_or(0), &error.into());
        let columns: Vec<ArrayRef> = self.key.iter().map(|expr| values(expr, deltas)).collect::<Result<_, _>>()?;
        let keys = join.keys.convert_columns(&columns).map_err(fault)?;
        let rows =
            self.rows.as_ref().map(|rows| rows.convert_columns(deltas.rows.columns())).transpose().map_err(fault)?;
        Ok(OfRows { columns, keys, rows })
    }
}

/// Rows of a side, in bytes.
pub(super) struct OfRows {
    columns: Vec<ArrayRef>,
    keys: Rows,
    rows: Option<Rows>,
}

impl OfRows {
    /// What has to be equal.
    pub(super) fn key(&self, row: usize) -> &[u8] {
        row_bytes(&self.keys, row)
    }

    pub(super) fn row(&self, row: usize) -> &[u8] {
        self.rows.as_ref().map_or(&[], |rows| row_bytes(rows, row))
    }

    fn can_match(&self, join: &Join, row: usize) -> bool {
        join.nulls_match || self.columns.iter().all(|column| column.is_valid(row))
    }
}
