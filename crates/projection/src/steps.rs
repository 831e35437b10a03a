//! What keeps a view true, told step by step.

use datafusion::{
    common::JoinType,
    logical_expr::{Distinct, Expr, Join, LogicalPlan},
};

use crate::joined::{conditions, named};

/// The steps of a plan, from its relations on.
pub(crate) fn of(plan: &LogicalPlan) -> Vec<String> {
    let mut steps: Vec<String> = plan.inputs().into_iter().flat_map(of).collect();
    steps.extend(step(plan));
    steps
}

/// What each step of a plan remembers, and what a change costs there, of those that remember anything.
pub(crate) fn state(plan: &LogicalPlan) -> Vec<String> {
    let mut states: Vec<String> = plan.inputs().into_iter().flat_map(state).collect();
    let remembered = match plan {
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => {
            "each group at each moment at which it changed; a change reads and writes the newest moments of its group, a late one \
             those since"
        }
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => {
                "the rows of both sides by what is equal, with when they were there, those of relations once for all projections \
                 that join the same by it; a change reads those of the other side that it meets, and gives a row for each"
            }
            JoinType::Left => {
                "the rows of both sides by what is equal, with when they were there, and how many there are on the right, those of \
                 relations once for all projections that join the same by it; a change reads those of the other side that it \
                 meets, and gives a row for each"
            }
            _ => {
                "the rows outside by what is equal, with when they were there, and how many there are inside, those of relations \
                 once for all projections that join the same by it; a change outside gives one row, one inside a row for each \
                 outside that it meets, where it is the first or the last"
            }
        },
        _ => return states,
    };
    states.extend(step(plan).map(|step| format!("{step}: {remembered}")));
    states
}

fn step(plan: &LogicalPlan) -> Option<String> {
    match plan {
        LogicalPlan::Join(join) => Some(joined(join)),
        LogicalPlan::TableScan(scan) => Some(format!("the changes of {}", scan.table_name.table())),
        LogicalPlan::Filter(filter) => Some(format!("filter by {}", named(&filter.predicate).human_display())),
        LogicalPlan::Aggregate(aggregate) => {
            let groups = match &aggregate.group_expr[..] {
                [] => "one group".to_owned(),
                groups => format!("group by {}", list(groups)),
            };
            Some(match &aggregate.aggr_expr[..] {
                [] => groups,
                aggregates => format!("{groups}: {}", list(aggregates)),
            })
        }
        LogicalPlan::Distinct(Distinct::All(_)) => Some("distinct rows".to_owned()),
        LogicalPlan::Union(union) => Some(format!("all of {} together", union.inputs.len())),
        LogicalPlan::Projection(projection) if !projection.expr.iter().all(is_column) => {
            Some(format!("map to {}", list(&projection.expr)))
        }
        _ => None,
    }
}

fn joined(join: &Join) -> String {
    let equal =
        |(left, right): &(Expr, Expr)| format!("{} = {}", named(left).human_display(), named(right).human_display());
    let mut on: Vec<String> = join.on.iter().map(equal).collect();
    on.extend(conditions(join).map(|condition| named(&condition).human_display().to_string()));
    let on = if on.is_empty() { "nothing".to_owned() } else { on.join(", ") };
    match join.join_type {
        JoinType::Left => format!("left join on {on}"),
        JoinType::LeftSemi => format!("those with any on {on}"),
        JoinType::LeftAnti => format!("those without any on {on}"),
        JoinType::LeftMark => format!("whether there is any on {on}"),
        _ => format!("join on {on}"),
    }
}

fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_column(&alias.expr),
        _ => false,
    }
}

fn list(exprs: &[Expr]) -> String {
    exprs.iter().map(|expr| expr.human_display().to_string()).collect::<Vec<_>>().join(", ")
}
