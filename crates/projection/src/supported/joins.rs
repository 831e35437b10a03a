//! Joins that can be kept true, and queries in WHERE, which are joins too.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, Query, SetExpr, Spanned, UnaryOperator,
    Visit, visit_expressions,
};

use super::{each, refused, table};
use crate::problem::Flaw;

/// The condition of a join, where it has one.
pub(super) fn on(join: &Join) -> Option<&Expr> {
    match constraint(&join.join_operator)? {
        JoinConstraint::On(on) => Some(on),
        _ => None,
    }
}

/// What says which rows match, of the joins that can be kept.
fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint) => Some(constraint),
        _ => None,
    }
}

pub(super) fn join(join: &Join) -> Result<(), Flaw> {
    const EXPECTED: &str = "JOIN … ON an equality";
    let span = join.span();
    let Some(constraint) = constraint(&join.join_operator) else {
        let (what, expected) = match &join.join_operator {
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => ("RIGHT JOIN", "LEFT JOIN, the sides exchanged"),
            JoinOperator::FullOuter(_) => ("FULL JOIN", "LEFT JOIN"),
            JoinOperator::CrossJoin(_) => ("CROSS JOIN", EXPECTED),
            _ => ("this kind of join", "JOIN, LEFT JOIN, or WHERE EXISTS (SELECT …)"),
        };
        return refused(span, what, expected);
    };
    match constraint {
        JoinConstraint::On(on) => none_in(on, "ON")?,
        JoinConstraint::Using(_) => {}
        JoinConstraint::Natural => return refused(span, "NATURAL JOIN", EXPECTED),
        JoinConstraint::None => return refused(span, "a join without a condition", EXPECTED),
    }
    table(&join.relation)
}

/// Refuses queries in a part of a SELECT where they cannot be.
pub(super) fn none_in(part: &impl Visit, named: &str) -> Result<(), Flaw> {
    each(part, |expr| match expr {
        Expr::Exists { subquery, .. } | Expr::InSubquery { subquery, .. } => {
            refused(subquery.span(), &format!("a query in {named}"), "EXISTS or IN (SELECT …) in WHERE")
        }
        _ => Ok(()),
    })
}

/// What WHERE or HAVING says: queries by themselves, or with AND, OR and NOT.
pub(super) fn condition(expr: &Expr) -> Result<(), Flaw> {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            condition(left)?;
            condition(right)
        }
        Expr::Nested(inner) => condition(inner),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
            // What is neither true nor false, as null IN (…) is, would become true by it.
            each(expr, |expr| match expr {
                Expr::InSubquery { .. } => not_in(expr),
                _ => Ok(()),
            })?;
            condition(expr)
        }
        Expr::Exists { subquery, .. } => exists(subquery),
        Expr::InSubquery { negated: true, .. } => not_in(expr),
        Expr::InSubquery { expr, .. } => none_in(&**expr, "IN"),
        other => none_in(other, "an expression"),
    }
}

fn not_in(expr: &Expr) -> Result<(), Flaw> {
    refused(expr.span(), "NOT IN (SELECT …)", "NOT EXISTS (SELECT … WHERE an equality)")
}

/// What is of one group is there without any rows: EXISTS would be true of all.
fn exists(subquery: &Query) -> Result<(), Flaw> {
    let SetExpr::Select(select) = &*subquery.body else { return Ok(()) };
    if !matches!(&select.group_by, GroupByExpr::Expressions(groups, _) if groups.is_empty()) {
        return Ok(());
    }
    let function = visit_expressions(&select.projection, |expr| match expr {
        Expr::Function(function) => std::ops::ControlFlow::Break(function.span()),
        _ => std::ops::ControlFlow::Continue(()),
    });
    match function {
        std::ops::ControlFlow::Break(span) => refused(span, "a function in EXISTS (SELECT …)", "EXISTS (SELECT 1 …)"),
        std::ops::ControlFlow::Continue(()) => Ok(()),
    }
}
