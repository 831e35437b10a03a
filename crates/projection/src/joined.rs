//! Joins, as they are kept: by what has to be equal on both sides.

use std::sync::Arc;

use datafusion::{
    common::{
        Column, DataFusionError, JoinType, Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, Join, LogicalPlan, Operator, utils::split_conjunction},
    optimizer::{
        decorrelate_predicate_subquery::DecorrelatePredicateSubquery, eliminate_cross_join::EliminateCrossJoin,
        extract_equijoin_predicate::ExtractEquijoinPredicate, push_down_filter::PushDownFilter,
    },
};

use crate::{optimized, problem::Flaw};

/// Whether anything in a plan is joined, or a query in WHERE.
pub(crate) fn has_joins(plan: &LogicalPlan) -> bool {
    let is_joined = |plan: &LogicalPlan| {
        let has_query = |expr: &Expr| expr.exists(|expr| Ok(is_query(expr)));
        Ok(matches!(plan, LogicalPlan::Join(_))
            || plan.expressions().iter().any(|expr| has_query(expr).unwrap_or(true)))
    };
    plan.exists(is_joined).unwrap_or(true)
}

fn is_query(expr: &Expr) -> bool {
    matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_))
}

/// Refuses what would mean something else once a query in WHERE is a join: rows outside that it names below what is there
/// without any rows, or where rows are left out that an outer join fills with nulls; and null being equal to null.
pub(crate) fn unmistakable(plan: &LogicalPlan) -> std::result::Result<(), Flaw> {
    let mut what = None;
    let looked = plan.apply_with_subqueries(|plan| {
        what = match plan {
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() && names_outside(&aggregate.input) => {
                Some("an aggregate without GROUP BY, of a query in WHERE that names rows outside, cannot be maintained: expected \
                      EXISTS (SELECT 1 FROM … WHERE …)")
            }
            LogicalPlan::Join(join) if join.join_type != JoinType::Inner && names_outside(&join.right) => {
                Some("a query on the right of LEFT JOIN that names rows outside cannot be maintained: expected these in WHERE")
            }
            LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(takes_nulls_as_equal) => {
                Some("a join on IS NOT DISTINCT FROM cannot be maintained: expected JOIN … ON one = other")
            }
            _ => None,
        };
        Ok(if what.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (looked, what) {
        (Err(error), _) => Err(Flaw { place: None, what: error.strip_backtrace() }),
        (_, Some(what)) => Err(Flaw { place: None, what: what.to_owned() }),
        (_, None) => Ok(()),
    }
}

/// Whether a plan names columns of rows outside of the query that it is of.
fn names_outside(plan: &LogicalPlan) -> bool {
    let names = |expr: &Expr| expr.exists(|expr| Ok(matches!(expr, Expr::OuterReferenceColumn(..)))).unwrap_or(true);
    plan.exists(|plan| Ok(plan.expressions().iter().any(names))).unwrap_or(true)
}

fn takes_nulls_as_equal(condition: &Expr) -> bool {
    let is_one = |expr: &Expr| Ok(matches!(expr, Expr::BinaryExpr(binary) if binary.op == Operator::IsNotDistinctFrom));
    condition.exists(is_one).unwrap_or(true)
}

/// A plan in which queries in WHERE are joins, each join says what has to be equal, and conditions on one side stand there.
pub(crate) fn by_equality(plan: LogicalPlan) -> Result<LogicalPlan> {
    optimized(
        plan,
        vec![
            Arc::new(DecorrelatePredicateSubquery::new()),
            Arc::new(ExtractEquijoinPredicate::new()),
            Arc::new(EliminateCrossJoin::new()),
            Arc::new(PushDownFilter::new()),
        ],
    )
}

/// Refuses a join that cannot be kept.
pub(crate) fn supported(plan: &LogicalPlan) -> std::result::Result<(), Flaw> {
    let mut flaw = None;
    let looked = plan.apply(|plan| {
        flaw = match plan {
            LogicalPlan::Join(join) => refuse(join),
            other => other.expressions().iter().find_map(left_over),
        };
        Ok(if flaw.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (looked, flaw) {
        (Err(error), _) => Err(Flaw { place: None, what: error.strip_backtrace() }),
        (_, Some(flaw)) => Err(flaw),
        (_, None) => Ok(()),
    }
}

/// A query in WHERE that could not be made a join.
fn left_over(expr: &Expr) -> Option<Flaw> {
    let has_query = expr.exists(|expr| Ok(is_query(expr))).unwrap_or(true);
    has_query.then(|| {
        let what = "this query in WHERE cannot be maintained: expected EXISTS (SELECT … FROM … WHERE …) or IN (SELECT …), \
                    with nothing but equalities to the rows outside";
        Flaw { place: place(expr), what: what.to_owned() }
    })
}

fn refuse(join: &Join) -> Option<Flaw> {
    let in_where = matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark);
    let is_kept = in_where || matches!(join.join_type, JoinType::Inner | JoinType::Left);
    if !is_kept || join.null_aware {
        let what = format!("{} JOIN cannot be maintained: expected JOIN, LEFT JOIN or EXISTS", join.join_type);
        return Some(Flaw { place: None, what });
    }
    if join.on.is_empty() && !in_where {
        let what = "a join without an equality of both sides cannot be maintained: expected JOIN … ON one = other";
        return Some(Flaw { place: join.filter.as_ref().and_then(place), what: what.to_owned() });
    }
    if join.join_type == JoinType::Inner {
        return None;
    }
    let is_beyond = |condition: &&Expr| !is_true(condition) && !is_of_left(join, condition);
    let beyond = join.filter.as_ref().into_iter().flat_map(split_conjunction).find(is_beyond)?;
    let what = format!(
        "{} cannot be maintained in {}: expected equalities of both sides, and conditions on one side",
        named(beyond).human_display(),
        if in_where { "a query in WHERE" } else { "LEFT JOIN … ON" },
    );
    Some(Flaw { place: place(beyond), what })
}

/// The conditions beyond equality that a join has on its rows; of any but an inner one, on those on the left.
pub(crate) fn conditions(join: &Join) -> Option<Expr> {
    let conditions = join.filter.as_ref().into_iter().flat_map(split_conjunction);
    conditions.filter(|condition| !is_true(condition)).cloned().reduce(Expr::and)
}

fn is_true(condition: &Expr) -> bool {
    matches!(condition, Expr::Literal(literal, _) if *literal == true.into())
}

/// An expression as it was written: queries in WHERE had no names.
pub(crate) fn named(expr: &Expr) -> Expr {
    let plain = |expr| match expr {
        Expr::Column(Column { relation: Some(relation), name, .. })
            if relation.table().starts_with("__correlated_sq") =>
        {
            Ok(Transformed::yes(Expr::from(Column::from_name(name))))
        }
        other => Ok(Transformed::no(other)),
    };
    expr.clone().transform(plain).map_or_else(|_| expr.clone(), |plain| plain.data)
}

fn is_of_left(join: &Join, condition: &Expr) -> bool {
    condition.column_refs().into_iter().all(|column| join.left.schema().has_column(column))
}

/// Where the first column stands that an expression names.
fn place(expr: &Expr) -> Option<crate::Place> {
    let mut found = None;
    let looked: std::result::Result<_, DataFusionError> = expr.apply(|expr| {
        if let Expr::Column(column) = expr {
            found = found.or(column.spans().first());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    looked.ok()?;
    found.map(crate::Place::from)
}
