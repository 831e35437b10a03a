//! What DataFusion found wrong with a query, in our words and with its place.

use std::ops::ControlFlow;

use datafusion::{
    common::{DataFusionError, SchemaError},
    sql::sqlparser::ast::{Expr, Query, Spanned, visit_expressions},
};

use crate::{
    nearest::{did_you_mean, list},
    problem::{Flaw, Place},
    types,
};

/// Of an error of planning a query.
pub(crate) fn flaw(error: &DataFusionError, query: &Query) -> Flaw {
    let diagnosed = error.diagnostic().and_then(|diagnostic| diagnostic.span).map(Place::from);
    if let DataFusionError::SchemaError(schema_error, _) = error.find_root()
        && let SchemaError::FieldNotFound { field, valid_fields } = &**schema_error
    {
        let known = || valid_fields.iter().map(|field| field.name.as_str());
        let near = did_you_mean(&field.name, known());
        let what = format!("there is no column {}{near} ({})", field.name, list(known()));
        return Flaw { place: diagnosed.or_else(|| field.spans.first().map(Place::from)), what };
    }
    let message = error.find_root().strip_backtrace();
    if let Some(call) = wrong_call(&message) {
        return call.flaw(query);
    }
    let what = match error.diagnostic() {
        None => plain(&message),
        Some(diagnostic) => {
            let notes = diagnostic.notes.iter().map(|note| note.message.as_str());
            let helps = diagnostic.helps.iter().map(|help| help.message.as_str());
            let parts = [diagnostic.message.as_str()].into_iter().chain(notes).chain(helps);
            // It tells of a type at the end of a note only.
            let typed = |part: &str| match part.split_once("has type ") {
                Some((before, of)) => format!("{before}has type {}", types::name(of)),
                None => part.to_owned(),
            };
            plain(&parts.map(typed).collect::<Vec<_>>().join("; "))
        }
    };
    Flaw { place: diagnosed, what }
}

/// A function that does not take what it is given.
struct WrongCall<'m> {
    name: &'m str,
    given: &'m str,
    /// What it takes, as `sum(Int64)`.
    candidates: Vec<&'m str>,
}

/// DataFusion tells it in its message only.
fn wrong_call(message: &str) -> Option<WrongCall<'_>> {
    let (_, rest) = message.split_once("given name and argument types '")?;
    let (call, rest) = rest.split_once("'.")?;
    let (name, given) = call.strip_suffix(')')?.split_once('(')?;
    let (_, candidates) = rest.split_once("Candidate functions:")?;
    let candidates = candidates.lines().map(str::trim).filter(|candidate| candidate.starts_with(name)).collect();
    Some(WrongCall { name, given, candidates })
}

impl WrongCall<'_> {
    fn flaw(&self, query: &Query) -> Flaw {
        let Self { name, given, candidates } = self;
        let calls = visit_expressions(query, |expr| match expr {
            Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case(name) => {
                ControlFlow::Break(function.name.span())
            }
            _ => ControlFlow::Continue(()),
        });
        let mut takes: Vec<String> = candidates.iter().map(|candidate| ours(candidate)).collect();
        // Several of Arrow's types have one name here.
        takes.dedup();
        let what = format!("{name} does not take ({}): expected {}", types::names(given), takes.join(" or "));
        match calls {
            ControlFlow::Break(span) => Flaw::at(span, what),
            ControlFlow::Continue(()) => Flaw { place: None, what },
        }
    }
}

/// A call as DataFusion writes it, with our names of types.
fn ours(call: &str) -> String {
    match call.strip_suffix(')').and_then(|call| call.split_once('(')) {
        Some((name, takes)) => format!("{name}({})", types::names(takes)),
        None => call.to_owned(),
    }
}

/// Without the name of the kind of error, and on one line.
fn plain(what: &str) -> String {
    let kinds = ["Error during planning: ", "Schema error: ", "This feature is not implemented: "];
    let what = kinds.into_iter().fold(what, |what, kind| what.strip_prefix(kind).unwrap_or(what));
    what.split_whitespace().collect::<Vec<_>>().join(" ")
}
