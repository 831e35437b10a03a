//! Projections: what a view contains, said in SQL.
//!
//! A file holds one `CREATE MATERIALIZED VIEW name WITH (key = '…') AS SELECT …`. [`Statement::parse`] reads it and
//! refuses by name and place what cannot be maintained; [`Definition::check`] types it against the [`Relations`] that it
//! is over, and finds whether its key is unique. DataFusion parses and types; what it would run as a batch query, but
//! nobody can keep true change by change, is refused here, never approximated. A [`Fold`] keeps a view true: a pure
//! function of what it remembers, which it reads through [`Memory`] and writes as [`Folded`], and of what changes in its
//! relations. No I/O.

mod definition;
mod fold;
mod functions;
mod joined;
mod key;
mod memory;
mod nearest;
mod problem;
mod relations;
mod statement;
mod steps;
mod supported;
mod types;
mod typing;

use std::sync::Arc;

use datafusion::{
    common::Result,
    logical_expr::LogicalPlan,
    optimizer::{Optimizer, OptimizerContext, OptimizerRule},
};

pub use definition::{Column, Definition};
pub use fold::{
    Arrangement, Change, Fold, FoldError, Folded, KEY_HASH, Kept, Newest, ONLY_KEY, ORDER, Order, Shown, keyed_hash,
    operator_of,
};
pub use memory::{Memory, NoMemory, Pair, Version};
pub use problem::{Place, Problem};
pub use relations::{Relation, Relations};
pub use statement::Statement;

/// A plan after some of DataFusion's rules, each once, in their order.
fn optimized(plan: LogicalPlan, rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>) -> Result<LogicalPlan> {
    let context = OptimizerContext::new().with_max_passes(1);
    Optimizer::with_rules(rules).optimize(plan, &context, |_, _| {})
}
