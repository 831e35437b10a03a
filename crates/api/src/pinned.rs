//! Answers that do not change any more: those as of a position, or a time of recording, that everything has been folded
//! up to. They have an entity tag that is known without reading.
//!
//! What is so at a time can still change by late events; a moment of both times cannot.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Value, Variables,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    },
};
use deltafold_projector::{Catalog, ProjectionInfo};
use xxhash_rust::xxh3::xxh3_128;

use crate::{
    model::{Model, ViewModel},
    scalars,
    schema::Built,
};

/// Shown of a version as it is known now, whatever moment was asked for.
const KNOWN_NOW: &str = "recordedTo";

/// The entity tag of the answer to an operation, if that does not change any more but by what the tag is made of: the
/// text and its variables, the schema, how the views that it reads were built, and the newest event that changes what is
/// believed.
pub(crate) fn entity_tag(
    built: &Built,
    catalog: &Catalog,
    query: &str,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    variables: &Variables,
    settings: &str,
) -> Option<String> {
    let mut walk = Walk { built, catalog, document, operation, variables, views: Vec::new() };
    if operation.ty != OperationType::Query || !walk.is_pinned_root(&operation.selection_set.node) {
        return None;
    }
    let mut parts = vec![query.to_owned(), settings.to_owned(), env!("CARGO_PKG_VERSION").to_owned()];
    parts.push(operation_text(document, operation));
    let mut given: Vec<String> = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    given.sort_unstable();
    parts.extend(given);
    parts.push(built.fingerprint().to_string());
    parts.push(catalog.control.to_string());
    // What a relation leads to is read as well.
    let related = built.model.relations.iter().flat_map(|relation| [&*relation.from, &*relation.to]);
    for view in walk.views.into_iter().chain(related) {
        let of = |definition: &Arc<ProjectionInfo>| definition.sql.to_string();
        let info = &view.info;
        let definition = catalog.projections.iter().find(|definition| definition.name == info.name).map(of);
        let start = catalog.view(&info.name).and_then(|info| info.history_start);
        parts.push(format!("{} {} {start:?} {definition:?}", info.name, info.generation));
    }
    Some(format!("W/\"{:032x}\"", xxh3_128(parts.join("\0").as_bytes())))
}

/// Tells an operation from the others of its document.
fn operation_text(document: &ExecutableDocument, operation: &OperationDefinition) -> String {
    let found = document.operations.iter().find(|(_, other)| std::ptr::eq(&other.node, operation));
    found.and_then(|(name, _)| name).map(ToString::to_string).unwrap_or_default()
}

struct Walk<'a> {
    built: &'a Built,
    catalog: &'a Catalog,
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    views: Vec<&'a ViewModel>,
}

/// Which arguments of a root field say the moments that it reads at.
#[derive(Debug)]
enum Moments {
    AsOf(Arc<ViewModel>),
    FromTo(Arc<ViewModel>),
    /// Of an aggregate, whose type is an argument.
    Aggregate,
}

/// The root fields whose answers may be pinned.
#[derive(Debug)]
pub(crate) struct Roots(HashMap<String, Moments>);

impl Roots {
    /// Those of a model's schema.
    pub(crate) fn new(model: &Model) -> Self {
        let of_view = model.views.iter().flat_map(|view| {
            let names = &view.names;
            [
                (names.by_key(), Moments::AsOf(view.clone())),
                (names.list.clone(), Moments::AsOf(view.clone())),
                (names.aggregate(), Moments::AsOf(view.clone())),
                (names.diff(), Moments::FromTo(view.clone())),
            ]
        });
        Self(of_view.chain([("aggregate".to_owned(), Moments::Aggregate)]).collect())
    }
}

impl<'a> Walk<'a> {
    fn is_pinned_root(&mut self, selection: &'a SelectionSet) -> bool {
        self.each(selection, &mut |walk, field| {
            let name = field.name.node.as_str();
            let built = walk.built;
            let (view, moments): (_, &[&str]) = match built.roots.0.get(name) {
                Some(Moments::AsOf(view)) => (Some(view), &["asOf"]),
                Some(Moments::FromTo(view)) => (Some(view), &["from", "to"]),
                Some(Moments::Aggregate) => (None, &["asOf"]),
                None => return name == "__typename",
            };
            walk.views.extend(view.map(|view| &**view));
            moments.iter().all(|argument| walk.is_pinned(walk.argument(field, argument)))
                && walk.is_pinned_below(&field.selection_set.node)
        })
    }

    /// Whether nothing below reads at a moment of its own that is not pinned.
    fn is_pinned_below(&mut self, selection: &'a SelectionSet) -> bool {
        self.each(selection, &mut |walk, field| {
            let own = ["asOf", "from", "to"].into_iter().map(|name| walk.argument(field, name));
            field.name.node != KNOWN_NOW
                && own.flatten().all(|moment| walk.is_pinned(Some(moment)))
                && walk.is_pinned_below(&field.selection_set.node)
        })
    }

    /// Whether something holds of each field of a selection. Fragments that spread themselves were refused before.
    fn each(&mut self, selection: &'a SelectionSet, holds: &mut dyn FnMut(&mut Self, &'a Field) -> bool) -> bool {
        selection.items.iter().all(|item| {
            let plain = |directives: &[async_graphql::Positioned<Directive>]| directives.is_empty();
            match &item.node {
                // What is left out would have to be looked at.
                Selection::Field(field) => plain(&field.node.directives) && holds(self, &field.node),
                Selection::InlineFragment(fragment) => {
                    plain(&fragment.node.directives) && self.each(&fragment.node.selection_set.node, holds)
                }
                Selection::FragmentSpread(spread) => {
                    let document = self.document;
                    let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) else { return false };
                    plain(&spread.node.directives) && self.each(&fragment.node.selection_set.node, holds)
                }
            }
        })
    }

    fn argument(&self, field: &'a Field, name: &str) -> Option<Value> {
        let given = field.get_argument(name)?.node.clone();
        let default = |variable: &str| {
            let definitions = &self.operation.variable_definitions;
            let definition = definitions.iter().find(|definition| definition.node.name.node == variable);
            definition.and_then(|definition| definition.node.default_value.as_ref()).map(|value| value.node.clone())
        };
        let value = |variable: async_graphql::Name| {
            let value = self.variables.get(&variable).cloned().or_else(|| default(&variable));
            Ok::<_, ()>(value.unwrap_or_default())
        };
        given.into_const_with(value).ok()
    }

    /// Whether a moment is by a position, or a time of recording, that everything is folded up to.
    fn is_pinned(&self, moment: Option<Value>) -> bool {
        let Some(Value::Object(parts)) = moment else { return false };
        let part = |name: &str| parts.get(name).filter(|value| **value != Value::Null);
        if part("consistent").is_some_and(|consistent| *consistent == Value::Boolean(true)) {
            return false;
        }
        match (part("position").and_then(scalars::position), part("recordedAt").and_then(scalars::moment)) {
            (Some(position), None) => position < self.catalog.checkpoint,
            // More may be recorded at the very time of the last commit.
            (None, Some(recorded_at)) => self.catalog.recorded_at.is_some_and(|newest| recorded_at < newest),
            _ => false,
        }
    }
}
