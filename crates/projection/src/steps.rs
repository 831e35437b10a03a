//! What keeps a view true, told step by step.

use datafusion::logical_expr::{Distinct, Expr, LogicalPlan};

/// The steps of a plan, from its relations on.
pub(crate) fn of(plan: &LogicalPlan) -> Vec<String> {
    let mut steps: Vec<String> = plan.inputs().into_iter().flat_map(of).collect();
    steps.extend(step(plan));
    steps
}

fn step(plan: &LogicalPlan) -> Option<String> {
    match plan {
        LogicalPlan::TableScan(scan) => Some(format!("the changes of {}", scan.table_name.table())),
        LogicalPlan::Filter(filter) => Some(format!("filter by {}", filter.predicate.human_display())),
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
