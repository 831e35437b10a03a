//! Which columns tell the rows of a query apart.

use std::collections::BTreeSet;

use datafusion::{
    common::{Column, JoinType},
    logical_expr::{Distinct, Expr, Join, LogicalPlan},
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
        LogicalPlan::Join(join) => joined(join, relations),
        // One row can come out of both halves of a union.
        _ => Vec::new(),
    }
}

/// How many sets of a join are looked at: with each equality they may double.
const MOST: usize = 256;

/// A row of a join is told apart by a key of each side; what one side has to equal of the other follows from the other.
fn joined(join: &Join, relations: &Relations) -> Vec<BTreeSet<usize>> {
    let of_left = unique(&join.left, relations);
    let is_inner = match join.join_type {
        JoinType::Inner => true,
        JoinType::Left => false,
        // The rows of one side, or some of them.
        _ => return of_left,
    };
    let width = join.left.schema().fields().len();
    let of_right = unique(&join.right, relations);
    let of_right: Vec<BTreeSet<usize>> =
        of_right.iter().map(|set| set.iter().map(|column| column + width).collect()).collect();
    let place = |expr: &Expr, of: &LogicalPlan| of.schema().index_of_column(plain(expr)?).ok();
    let equal: Vec<(Option<usize>, Option<usize>)> = join
        .on
        .iter()
        .map(|(left, right)| (place(left, &join.left), place(right, &join.right).map(|column| column + width)))
        .collect();
    let on_left: BTreeSet<usize> = equal.iter().filter_map(|(left, _)| *left).collect();
    let on_right: BTreeSet<usize> = equal.iter().filter_map(|(_, right)| *right).collect();
    let mut sets = BTreeSet::new();
    for (left, right) in of_left.iter().flat_map(|left| of_right.iter().map(move |right| (left, right))) {
        sets.insert(left | &(right - &on_right));
        if is_inner {
            // Nothing on the right is left out, as an outer join's nulls would.
            sets.insert(right | &(left - &on_left));
        }
    }
    if is_inner {
        // What is equal can stand for each other.
        for (left, right) in equal.iter().filter_map(|(left, right)| left.zip(*right)) {
            for (one, other) in [(left, right), (right, left)] {
                let has_one = sets.iter().filter(|set: &&BTreeSet<usize>| set.contains(&one));
                let others: Vec<BTreeSet<usize>> = has_one
                    .map(|set| set.iter().map(|column| if *column == one { other } else { *column }).collect())
                    .collect();
                sets.extend(others.into_iter().take(MOST.saturating_sub(sets.len())));
            }
        }
    }
    let least = |set: &&BTreeSet<usize>| !sets.iter().any(|other| other.len() < set.len() && other.is_subset(set));
    sets.iter().filter(least).cloned().collect()
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
