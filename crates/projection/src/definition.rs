//! A definition: a statement over relations that are known.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
};

use arrow::datatypes::FieldRef;
use datafusion::{
    common::DataFusionError,
    logical_expr::LogicalPlan,
    optimizer::optimize_projections::OptimizeProjections,
    sql::{
        planner::{ParserOptions, SqlToRel},
        sqlparser::{
            ast::{self, Expr, ObjectName, Query, SelectItem, SetExpr, Spanned, visit_expressions, visit_relations},
            tokenizer::Span,
        },
    },
};
use deltafold_event::ColumnType;

use crate::{
    functions::Names,
    joined, key,
    nearest::{did_you_mean, list},
    optimized,
    problem::{Flaw, Place, Problem},
    relations::{Relation, Relations, SOURCE},
    statement::{Statement, normal},
    steps, types, typing,
};

/// A column of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether it may be null.
    pub is_nullable: bool,
}

/// A statement that was found to be right.
#[derive(Debug, Clone)]
pub struct Definition {
    name: Arc<str>,
    columns: Vec<Column>,
    key: Vec<String>,
    sources: Vec<String>,
    relations: BTreeMap<String, Relation>,
    plan: LogicalPlan,
}

impl Definition {
    /// Types a statement.
    ///
    /// # Errors
    /// When it names what is not there, does not fit together, or nothing proves that its key is unique.
    pub fn check(statement: &Statement, relations: &Relations) -> Result<Self, Problem> {
        let flawed = |flaw: Flaw| flaw.in_file(&statement.file, start_of(&statement.query));
        let names = Names::new(relations);
        let sources = sources(&statement.query, relations).map_err(flawed)?;
        functions(&statement.query, &names).map_err(flawed)?;
        named(&statement.query.body).map_err(flawed)?;
        let planned = |error: DataFusionError| flawed(typing::flaw(&error, &statement.query));
        let mut plan = plan(&statement.query, &names).map_err(planned)?;
        if joined::has_joins(&plan) {
            joined::unmistakable(&plan).map_err(flawed)?;
            plan = joined::by_equality(plan).map_err(planned)?;
            joined::supported(&plan).map_err(flawed)?;
        }
        let columns = columns(&plan, &statement.query).map_err(flawed)?;
        let key_flaw = |what: String| flawed(Flaw { place: Some(statement.key_place), what });
        let mut key = Vec::new();
        for name in &statement.key {
            match columns.iter().position(|column| column.name == *name) {
                Some(at) => key.push(at),
                None => {
                    let known = || columns.iter().map(|column| column.name.as_str());
                    let near = did_you_mean(name, known());
                    return Err(key_flaw(format!(
                        "key names {name}, which SELECT does not give{near} ({})",
                        list(known())
                    )));
                }
            }
        }
        // Where one column follows from another, the planner groups by both: what nothing needs is left out first.
        let needed = optimized(plan.clone(), vec![Arc::new(OptimizeProjections::new())]).map_err(planned)?;
        let unique = key::unique(&needed, relations);
        let given: BTreeSet<usize> = key.iter().copied().collect();
        let over = sources.iter().filter_map(|name| {
            let (schema, table) =
                name.split_once('.').map_or((None, name.as_str()), |(schema, table)| (Some(schema), table));
            Some((name.clone(), relations.named(schema, table)?.clone()))
        });
        let over: BTreeMap<String, Relation> = over.collect();
        let keys: Vec<_> = over.iter().map(|(name, relation)| (name.as_str(), relation.key.as_slice())).collect();
        if !unique.iter().any(|unique| unique.is_subset(&given)) {
            return Err(key_flaw(not_unique(&statement.key, &unique, &columns, &keys)));
        }
        Ok(Self { name: statement.name().into(), columns, key: statement.key.clone(), sources, relations: over, plan })
    }

    /// The view's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The view's columns, in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns of its key, in key order.
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// The relations that it is over, by name.
    pub fn sources(&self) -> &[String] {
        &self.sources
    }

    /// A relation that it is over.
    pub(crate) fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.get(name)
    }

    /// What keeps it true, step by step from the relations on.
    pub fn steps(&self) -> Vec<String> {
        steps::of(&self.plan)
    }

    /// What each step remembers, and what a change costs there, of those that remember anything.
    pub fn state(&self) -> Vec<String> {
        steps::state(&self.plan)
    }

    /// What it computes, typed.
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }
}

/// What a plan gives, where a view can hold it.
fn columns(plan: &LogicalPlan, query: &Query) -> Result<Vec<Column>, Flaw> {
    let fields = plan.schema().fields();
    if let Some(twice) =
        (1..fields.len()).find(|&at| fields[..at].iter().any(|other| other.name() == fields[at].name()))
    {
        let what = format!("two columns are called {}: expected each by itself, with AS", fields[twice].name());
        return Err(Flaw { place: None, what });
    }
    let column = |(at, field): (usize, &FieldRef)| match types::column_type(field.data_type()) {
        Some(column_type) => Ok(Column { name: field.name().clone(), column_type, is_nullable: field.is_nullable() }),
        None => {
            let (name, of) = (field.name(), types::name(&field.data_type().to_string()));
            let what =
                format!("{name} is of type {of}, which a view cannot hold: expected a CAST to a type that it can");
            Err(Flaw::at(selected(&query.body, at).unwrap_or_else(Span::empty), what))
        }
    };
    fields.iter().enumerate().map(column).collect()
}

/// Where the column of this number is said, if every one before it is said by itself; of a union, in the first query.
fn selected(body: &SetExpr, at: usize) -> Option<Span> {
    match body {
        SetExpr::Select(select) => {
            let is_one =
                |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
            let items = select.projection.get(..=at)?;
            items.iter().all(is_one).then(|| items[at].span())
        }
        SetExpr::Query(query) => selected(&query.body, at),
        SetExpr::SetOperation { left, .. } => selected(left, at),
        _ => None,
    }
}

fn start_of(query: &Query) -> Place {
    Flaw::at(query.span(), "").place.unwrap_or(Place::START)
}

/// The relations that a query is over.
fn sources(query: &Query, relations: &Relations) -> Result<Vec<String>, Flaw> {
    let mut of_with = BTreeSet::new();
    with_names(query, &mut of_with);
    let mut sources = BTreeSet::new();
    let walked = visit_relations(query, |name| {
        let parts: Vec<String> =
            name.0.iter().filter_map(|part| part.as_ident()).map(|part| normal(part).value).collect();
        let flaw = |what: String| ControlFlow::Break(Flaw::at(name.span(), what));
        match &parts[..] {
            [name] if of_with.contains(name) => {}
            [schema, _] if schema != SOURCE => {
                return flaw(format!("there is no schema {schema}: expected a name, or source.name"));
            }
            [schema @ .., relation] => match relations.named(schema.first().map(String::as_str), relation) {
                Some(_) => drop(sources.insert(parts.join("."))),
                None => {
                    let near = did_you_mean(relation, relations.names());
                    return flaw(format!("there is no relation {relation}{near} ({})", list(relations.names())));
                }
            },
            [] => {}
        }
        ControlFlow::Continue(())
    });
    match walked {
        ControlFlow::Break(flaw) => Err(flaw),
        ControlFlow::Continue(()) => Ok(sources.into_iter().collect()),
    }
}

fn with_names(query: &Query, names: &mut BTreeSet<String>) {
    for table in query.with.iter().flat_map(|with| &with.cte_tables) {
        names.insert(normal(&table.alias.name).value);
        with_names(&table.query, names);
    }
}

/// Functions that are not there, give something else each time, or cannot be maintained.
fn functions(query: &Query, names: &Names<'_>) -> Result<(), Flaw> {
    let walked = visit_expressions(query, |expr| {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let ObjectName(parts) = &function.name;
        let name = parts.last().and_then(|part| part.as_ident()).map(|part| normal(part).value).unwrap_or_default();
        match names.refuse(&name) {
            Some(what) => ControlFlow::Break(Flaw::at(function.name.span(), what)),
            None => ControlFlow::Continue(()),
        }
    });
    match walked {
        ControlFlow::Break(flaw) => Err(flaw),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// Every column has a name of its own that somebody gave it; of a union, the first query's.
fn named(body: &SetExpr) -> Result<(), Flaw> {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::Query(query) => return named(&query.body),
        SetExpr::SetOperation { left, .. } => return named(left),
        _ => return Ok(()),
    };
    let mut names = BTreeSet::new();
    for item in &select.projection {
        let name = match item {
            SelectItem::UnnamedExpr(Expr::Identifier(name)) | SelectItem::ExprWithAlias { alias: name, .. } => name,
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) if let [.., name] = &parts[..] => name,
            SelectItem::UnnamedExpr(expr) => {
                return Err(Flaw::at(expr.span(), format!("{expr} has no name: say {expr} AS name")));
            }
            _ => continue,
        };
        if !names.insert(normal(name).value) {
            return Err(Flaw::at(name.span, format!("a second column is called {name}: expected a name of its own")));
        }
    }
    Ok(())
}

fn plan(query: &Query, names: &Names<'_>) -> Result<LogicalPlan, DataFusionError> {
    let options = ParserOptions { collect_spans: true, ..ParserOptions::default() };
    let planner = SqlToRel::new_with_options(names, options);
    let plan = planner.sql_statement_to_plan(ast::Statement::Query(Box::new(query.clone())))?;
    names.analyzed(plan)
}

fn not_unique(key: &[String], unique: &[BTreeSet<usize>], columns: &[Column], keys: &[(&str, &[String])]) -> String {
    let named = |names: &[String]| list(names.iter().map(String::as_str));
    let key = named(key);
    let sets: Vec<String> =
        unique.iter().map(|unique| list(unique.iter().map(|at| columns[*at].name.as_str()))).collect();
    if !sets.is_empty() {
        return format!("nothing shows that {key} is unique: expected at least {}", sets.join(" or "));
    }
    let keys: Vec<String> = keys.iter().map(|(name, key)| format!("of {name}: {}", named(key))).collect();
    format!(
        "nothing shows that {key} is unique: expected a GROUP BY or DISTINCT whose columns SELECT gives, or the keys of \
         what it is over ({})",
        keys.join("; ")
    )
}
