//! Evaluating expressions over rows that came and went.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    compute::prep_null_mask_filter,
};
use datafusion::{common::Result, physical_expr::PhysicalExpr};

use super::{deltas::Deltas, error::Fault};

/// What an expression is for each row.
pub(crate) fn values<E>(expr: &Arc<dyn PhysicalExpr>, deltas: &Deltas) -> Result<ArrayRef, Fault<E>> {
    let evaluate = |deltas: &Deltas| expr.evaluate(&deltas.rows)?.into_array(deltas.len());
    evaluate(deltas).map_err(|error| {
        // One row that it cannot be evaluated for fails all: the first of them, as the changes came, is named.
        let mut order: Vec<usize> = (0..deltas.len()).collect();
        order.sort_by_key(|&row| deltas.cause[row]);
        let failed = |row: usize| Some((row, evaluate(&deltas.only(row).ok()?).err()?));
        match order.into_iter().find_map(failed) {
            Some((row, error)) => Fault::of(deltas.cause[row], &error),
            None => Fault::of(deltas.cause.first().copied().unwrap_or(0), &error),
        }
    })
}

/// For which rows a condition is true: not where it is null.
pub(crate) fn truths<E>(expr: &Arc<dyn PhysicalExpr>, deltas: &Deltas) -> Result<BooleanArray, Fault<E>> {
    let truths = values(expr, deltas)?;
    let truths = truths.as_boolean();
    Ok(if truths.null_count() > 0 { prep_null_mask_filter(truths) } else { truths.clone() })
}
