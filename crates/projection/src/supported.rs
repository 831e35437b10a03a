//! What of SQL can be kept true, change by change: everything else is refused where it stands.

mod joins;

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::{
    ast::{
        Distinct, DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArguments, GroupByExpr, Query,
        Select, SetExpr, SetOperator, SetQuantifier, Spanned, TableFactor, Visit, Visitor, visit_expressions,
    },
    tokenizer::Span,
};

use crate::problem::Flaw;

/// Refuses what a query, or one in its FROM, has that cannot be maintained.
pub(crate) fn query(query: &Query) -> Result<(), Flaw> {
    if let Some(with) = &query.with {
        if with.recursive {
            return refused(with.with_token.0.span, "WITH RECURSIVE", "a query that does not go through itself");
        }
        with.cte_tables.iter().try_for_each(|table| self::query(&table.query))?;
    }
    if let Some(order) = &query.order_by {
        return refused(order.span(), "ORDER BY", "none: a view has no order, and whoever reads it says one");
    }
    if let Some(limit) = &query.limit_clause {
        return refused(limit.span(), "LIMIT or OFFSET", "none: whoever reads a view says how many");
    }
    if let Some(fetch) = &query.fetch {
        return refused(fetch.span(), "FETCH", "none: whoever reads a view says how many");
    }
    if !query.locks.is_empty() {
        return refused(query.span(), "FOR UPDATE or FOR SHARE", "none");
    }
    rows(&query.body)
}

fn rows(body: &SetExpr) -> Result<(), Flaw> {
    match body {
        SetExpr::Select(select) => self::select(select),
        SetExpr::Query(query) => self::query(query),
        SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier: SetQuantifier::All, right } => {
            rows(left)?;
            rows(right)
        }
        SetExpr::SetOperation { right, op, set_quantifier, .. } => {
            let what = match set_quantifier {
                SetQuantifier::None => op.to_string(),
                quantifier => format!("{op} {quantifier}"),
            };
            refused(right.span(), &what, "UNION ALL, or SELECT DISTINCT … FROM (… UNION ALL …)")
        }
        SetExpr::Values(_) => refused(body.span(), "VALUES", "SELECT … FROM a relation"),
        SetExpr::Table(_) => refused(body.span(), "TABLE", "SELECT * FROM it"),
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            refused(body.span(), "a change of data", "SELECT … FROM a relation")
        }
    }
}

fn select(select: &Select) -> Result<(), Flaw> {
    let span = select.select_token.0.span;
    if let Some(Distinct::On(columns)) = &select.distinct {
        let span = columns.first().map_or(span, Spanned::span);
        return refused(span, "DISTINCT ON", "GROUP BY with first_value(… ORDER BY …)");
    }
    if select.top.is_some() {
        return refused(span, "TOP", "none: whoever reads a view says how many");
    }
    if let Some(into) = &select.into {
        return refused(into.name.span(), "INTO", "none");
    }
    if select.from.is_empty() {
        return refused(span, "SELECT without FROM", "SELECT … FROM a relation");
    }
    for from in &select.from {
        table(&from.relation)?;
        from.joins.iter().try_for_each(joins::join)?;
    }
    if let Some(view) = select.lateral_views.first() {
        return refused(view.lateral_view.span(), "LATERAL VIEW", "one relation");
    }
    match &select.group_by {
        GroupByExpr::All(_) => return refused(span, "GROUP BY ALL", "the columns by name"),
        GroupByExpr::Expressions(_, modifiers) if !modifiers.is_empty() => {
            return refused(span, "GROUP BY with ROLLUP, CUBE or TOTALS", "one GROUP BY per view");
        }
        GroupByExpr::Expressions(groups, _) => {
            let sets = |expr: &&Expr| matches!(expr, Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_));
            if let Some(sets) = groups.iter().find(sets) {
                return refused(sets.span(), "GROUPING SETS, CUBE or ROLLUP", "one GROUP BY per view");
            }
        }
    }
    if let Some(qualify) = &select.qualify {
        return refused(qualify.span(), "QUALIFY", "HAVING");
    }
    joins::none_in(&select.projection, "SELECT")?;
    joins::none_in(&select.group_by, "GROUP BY")?;
    select.selection.iter().chain(&select.having).try_for_each(joins::condition)?;
    each(&Expressions(select), expression)
}

/// Looks at all expressions in something.
fn each(of: &impl Visit, is_right: impl Fn(&Expr) -> Result<(), Flaw>) -> Result<(), Flaw> {
    match visit_expressions(of, |expr| match is_right(expr) {
        Ok(()) => ControlFlow::Continue(()),
        Err(flaw) => ControlFlow::Break(flaw),
    }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(flaw) => Err(flaw),
    }
}

/// The expressions of a SELECT, without those of the queries in its FROM, which are looked at by themselves.
struct Expressions<'s>(&'s Select);

impl Visit for Expressions<'_> {
    fn visit<V: Visitor>(&self, visitor: &mut V) -> ControlFlow<V::Break> {
        let Self(select) = self;
        select.projection.visit(visitor)?;
        let joins = select.from.iter().flat_map(|from| &from.joins);
        joins.filter_map(joins::on).try_for_each(|on| on.visit(visitor))?;
        select.selection.visit(visitor)?;
        select.group_by.visit(visitor)?;
        select.having.visit(visitor)
    }
}

fn table(factor: &TableFactor) -> Result<(), Flaw> {
    match factor {
        TableFactor::Table { name, args: None, version: None, sample: None, with_ordinality: false, .. } => {
            match name.0.len() {
                1 | 2 => Ok(()),
                _ => refused(name.span(), "a name of three parts", "the name of a relation"),
            }
        }
        TableFactor::Table { name, args: Some(_), .. } => {
            refused(name.span(), "a function in FROM", "the name of a relation")
        }
        TableFactor::Table { name, version: Some(_), .. } => {
            refused(name.span(), "a moment in FROM", "none: whoever reads a view says as of when")
        }
        TableFactor::Table { name, .. } => refused(name.span(), "a sample", "the name of a relation"),
        TableFactor::Derived { lateral: false, subquery, sample: None, .. } => query(subquery),
        other => refused(other.span(), "this in FROM", "the name of a relation, or a query in parentheses"),
    }
}

fn expression(expr: &Expr) -> Result<(), Flaw> {
    match expr {
        Expr::Subquery(query) => refused(query.span(), "a query as a value", "a query in FROM"),
        Expr::Exists { subquery, .. } | Expr::InSubquery { subquery, .. } => query(subquery),
        Expr::Function(Function { name, over: Some(_), .. }) => {
            refused(name.span(), "a window function", "an aggregate with GROUP BY")
        }
        Expr::Function(function) => aggregate(function),
        Expr::Value(value) if matches!(value.value, datafusion::sql::sqlparser::ast::Value::Placeholder(_)) => {
            refused(value.span, "a parameter", "a value")
        }
        _ => Ok(()),
    }
}

/// What an aggregate shows must follow from the rows alone, in whatever order they came.
fn aggregate(function: &Function) -> Result<(), Flaw> {
    let FunctionArguments::List(arguments) = &function.args else { return Ok(()) };
    let name = function.name.to_string().to_lowercase();
    let span = function.name.span();
    let is_ordered = arguments.clauses.iter().any(|clause| matches!(clause, FunctionArgumentClause::OrderBy(_)));
    let is_distinct = arguments.duplicate_treatment == Some(DuplicateTreatment::Distinct);
    match name.as_str() {
        "array_agg" | "string_agg" | "first_value" | "last_value" if !is_ordered => {
            refused(span, &format!("{name}() without an order"), &format!("{name}(… ORDER BY …)"))
        }
        "sum" | "avg" if is_distinct => {
            let what = format!("{name}(DISTINCT …)");
            refused(span, &what, &format!("{name}(…) over a query with SELECT DISTINCT in FROM"))
        }
        _ => Ok(()),
    }
}

fn refused(span: Span, what: &str, expected: &str) -> Result<(), Flaw> {
    Err(Flaw::at(span, format!("{what} cannot be maintained: expected {expected}")))
}
