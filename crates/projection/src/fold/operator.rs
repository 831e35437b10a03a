//! The operators of a plan, from the relations on.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
};
use datafusion::physical_expr::PhysicalExpr;

use super::{
    Writes,
    deltas::Deltas,
    error::Fault,
    expressions::{truths, values},
    group::Group,
};
use crate::memory::Memory;

/// One of them, with those that it takes changes from.
pub(crate) enum Operator {
    /// Gives the changes of the relation with this number, some of its columns.
    Scan { relation: usize, columns: Vec<usize>, schema: SchemaRef },
    /// Lets through the rows of which a condition is true.
    Filter { input: Box<Operator>, condition: Arc<dyn PhysicalExpr> },
    /// Makes other rows of the rows.
    Map { input: Box<Operator>, exprs: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef },
    /// Gives what all of its inputs give.
    Union { inputs: Vec<Operator>, schema: SchemaRef },
    /// Adds up what is alike.
    Group { input: Box<Operator>, group: Group },
}

impl Operator {
    /// What changes in what it gives.
    pub(crate) fn fold<M: Memory>(
        &self,
        relations: &[Deltas],
        is_first: bool,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<Deltas, Fault<M::Error>> {
        match self {
            Self::Scan { relation, columns, schema } => {
                let deltas = &relations[*relation];
                let rows = columns.iter().map(|&column| deltas.rows.column(column).clone()).collect();
                let rows = batch(schema, rows, deltas.len());
                Ok(Deltas { rows, at: deltas.at.clone(), weight: deltas.weight.clone(), cause: deltas.cause.clone() })
            }
            Self::Filter { input, condition } => {
                let deltas = input.fold(relations, is_first, memory, writes)?;
                let truths = truths(condition, &deltas)?;
                deltas.filtered(&truths).map_err(|error| Fault::of(0, &error))
            }
            Self::Map { input, exprs, schema } => {
                let deltas = input.fold(relations, is_first, memory, writes)?;
                let columns = exprs.iter().map(|expr| values(expr, &deltas)).collect::<Result<_, _>>()?;
                let rows = batch(schema, columns, deltas.len());
                Ok(deltas.with_rows(rows))
            }
            Self::Union { inputs, schema } => {
                let parts = inputs.iter().map(|input| input.fold(relations, is_first, memory, writes));
                Deltas::all(schema, parts.collect::<Result<_, _>>()?).map_err(|error| Fault::of(0, &error))
            }
            Self::Group { input, group } => {
                let deltas = input.fold(relations, is_first, memory, writes)?;
                group.fold(&deltas, is_first, memory, writes)
            }
        }
    }
}

fn batch(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .expect("expressions give what their types say, one value for each row")
}
