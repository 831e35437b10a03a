//! Which columns tell the rows of a query apart.

use std::collections::BTreeSet;

use datafusion::{
    common::Column,
    logical_expr::{Distinct, Expr, LogicalPlan},
};

use crate::relations::Relations;

/// The least sets of a plan's columns, by their place, no two of its rows are alike in.
pub(crate) fn unique(plan: &LogicalPlan, relations: &Relations) -> Vec<BTreeSet<usize>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let Some(relation) = relations
                .named(scan.table_name.schema(), scan.table_name.table())
                .filter(|relation| !relation.key.is_empty())
            else {
                return Vec::new();
            };
            let fields = scan.projected_schema.fields();
            let at = |column: &String| fields.iter().position(|field| field.name() == column);
            relation.key.iter().map(at).collect::<Option<_>>().into_iter().collect()
        }
        // What is left of rows that differ differs.
        LogicalPlan::Filter(filter) => unique(&filter.input, relations),
        LogicalPlan::SubqueryAlias(alias) => unique(&alias.input, relations),
        LogicalPlan::Projection(projection) => {
            let of_input = unique(&projection.input, relations);
            shown(&projection.expr, &projection.input, of_input)
        }
        LogicalPlan::Aggregate(aggregate) => vec![(0..aggregate.group_expr.len()).collect()],
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let mut sets = unique(input, relations);
            if sets.is_empty() {
                sets.push((0..input.schema().fields().len()).collect());
            }
            sets
        }
        // One row can come out of both halves of a union.
        _ => Vec::new(),
    }
}

/// Those of the sets all of whose columns are among the expressions, where these have them.
fn shown(exprs: &[Expr], input: &LogicalPlan, sets: Vec<BTreeSet<usize>>) -> Vec<BTreeSet<usize>> {
    let column = |expr: &Expr| input.schema().index_of_column(plain(expr)?).ok();
    let columns: Vec<Option<usize>> = exprs.iter().map(column).collect();
    let find = |at: &usize| columns.iter().position(|column| column.as_ref() == Some(at));
    sets.into_iter().filter_map(|set| set.iter().map(find).collect()).collect()
}

/// The column that an expression is, maybe under another name.
fn plain(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => plain(&alias.expr),
        _ => None,
    }
}
