//! The operators of a plan, from the relations on.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::SchemaRef,
};
use datafusion::physical_expr::PhysicalExpr;

use super::{
    Writes,
    deltas::{Deltas, batch},
    error::Fault,
    expressions::{truths, values},
    group::Group,
    join::Join,
};
use crate::memory::Memory;

/// What is folded.
pub(crate) enum Given<'d> {
    /// What changed in the relations, by number. `is_first`: nothing was folded before.
    Relations { changes: &'d [Deltas], is_first: bool },
    /// What changed in what the only group is made of.
    Grouped(&'d Deltas),
}

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
    /// Brings together what belongs together.
    Join(Box<Join>),
}

impl Operator {
    /// What changes in what it gives.
    pub(crate) fn fold<M: Memory>(
        &self,
        given: &Given<'_>,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<Deltas, Fault<M::Error>> {
        match self {
            Self::Scan { relation, columns, schema } => {
                let Given::Relations { changes, .. } = given else {
                    unreachable!("below the only group nothing is folded again")
                };
                let deltas = &changes[*relation];
                let rows = columns.iter().map(|&column| deltas.rows.column(column).clone()).collect();
                let rows = evaluated(schema, rows, deltas.len());
                Ok(deltas.clone().with_rows(rows))
            }
            Self::Filter { input, condition } => {
                let deltas = input.fold(given, memory, writes)?;
                let truths = truths(condition, &deltas)?;
                deltas.filtered(&truths).map_err(|error| Fault::of(0, &error))
            }
            Self::Map { input, exprs, schema } => {
                let deltas = input.fold(given, memory, writes)?;
                let columns = exprs.iter().map(|expr| values(expr, &deltas)).collect::<Result<_, _>>()?;
                let rows = evaluated(schema, columns, deltas.len());
                Ok(deltas.with_rows(rows))
            }
            Self::Union { inputs, schema } => {
                let parts = inputs.iter().map(|input| input.fold(given, memory, writes));
                Deltas::all(schema, parts.collect::<Result<_, _>>()?).map_err(|error| Fault::of(0, &error))
            }
            Self::Group { input, group } => {
                let (deltas, is_first) = match given {
                    Given::Relations { is_first, .. } => (&input.fold(given, memory, writes)?, *is_first),
                    Given::Grouped(deltas) => (*deltas, false),
                };
                group.fold(deltas, is_first, memory, writes)
            }
            Self::Join(join) => {
                let left = join.left.input.fold(given, memory, writes)?;
                let right = join.right.input.fold(given, memory, writes)?;
                join.fold(&left, &right, memory, writes)
            }
        }
    }

    /// The group that all rows come through, and what it is made of; none where there is no group, or more than one, or a
    /// join.
    pub(crate) fn only_group(&self) -> Option<(&Self, &Group)> {
        match self {
            Self::Group { input, group } => (!input.remembers()).then_some((input, group)),
            Self::Filter { input, .. } | Self::Map { input, .. } => input.only_group(),
            Self::Scan { .. } | Self::Union { .. } | Self::Join(_) => None,
        }
    }

    /// Whether what it gives hangs on more than the row that it is given.
    pub(crate) fn remembers(&self) -> bool {
        match self {
            Self::Group { .. } | Self::Join(_) => true,
            Self::Scan { .. } => false,
            Self::Filter { input, .. } | Self::Map { input, .. } => input.remembers(),
            Self::Union { inputs, .. } => inputs.iter().any(Self::remembers),
        }
    }

    pub(crate) fn has_joins(&self) -> bool {
        match self {
            Self::Join(_) => true,
            Self::Scan { .. } => false,
            Self::Filter { input, .. } | Self::Map { input, .. } | Self::Group { input, .. } => input.has_joins(),
            Self::Union { inputs, .. } => inputs.iter().any(Self::has_joins),
        }
    }

    /// The columns of what it gives.
    pub(crate) fn schema(&self) -> &SchemaRef {
        match self {
            Self::Scan { schema, .. } | Self::Map { schema, .. } | Self::Union { schema, .. } => schema,
            Self::Filter { input, .. } => input.schema(),
            Self::Group { group, .. } => &group.schema,
            Self::Join(join) => &join.schema,
        }
    }
}

fn evaluated(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    batch(schema, columns, rows).expect("expressions give what their types say, one value for each row")
}
