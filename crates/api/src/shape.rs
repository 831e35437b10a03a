//! The shape of a response: which fields its objects have, in the order that the request names them.
//!
//! The executor leaves out fields that failed and orders the others as they became ready. A response has to show
//! failed fields as null, or, where they must not be null, the nearest object around them that may be
//! (<https://spec.graphql.org/October2021/#sec-Handling-Field-Errors>), and keep the order of the request.

use std::{borrow::Cow, collections::HashSet};

use async_graphql::{
    Name, PathSegment, ServerError, Value, Variables,
    indexmap::IndexMap,
    parser::types::{
        Directive, ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet,
    },
    registry::{MetaType, MetaTypeName, Registry},
};

/// What an object has.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    fields: Vec<(Name, Kind)>,
}

/// What a value is.
#[derive(Debug)]
enum Kind {
    Leaf,
    Object(Shape),
    List(Box<Kind>),
    NonNull(Box<Kind>),
}

/// A null where none may be.
struct Forbidden;

impl Shape {
    /// The shape of an operation's responses with these variables.
    pub(crate) fn of(
        registry: &Registry,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
        variables: &Variables,
    ) -> Self {
        let builder = Builder { registry, document, variables };
        let root = match operation.ty {
            OperationType::Query => Some(&registry.query_type),
            OperationType::Mutation => registry.mutation_type.as_ref(),
            OperationType::Subscription => registry.subscription_type.as_ref(),
        };
        builder.object(root.unwrap_or(&registry.query_type), &[&operation.selection_set.node])
    }

    /// Data in this shape; none where a null comes through to the top.
    pub(crate) fn fit(&self, data: Value, errors: &[ServerError]) -> Option<Value> {
        let mut fit = Fit { failed: errors.iter().map(|error| error.path.as_slice()).collect(), path: Vec::new() };
        fit.object(self, data).ok()
    }
}

struct Builder<'a> {
    registry: &'a Registry,
    document: &'a ExecutableDocument,
    variables: &'a Variables,
}

/// A field under one response key, with the selections of all its mentions.
struct Merged<'a> {
    field: &'a Field,
    selections: Vec<&'a SelectionSet>,
}

impl<'a> Builder<'a> {
    fn object(&self, type_name: &str, selections: &[&'a SelectionSet]) -> Shape {
        let mut merged = IndexMap::new();
        let mut spread = HashSet::new();
        for selection in selections {
            self.collect(type_name, selection, &mut merged, &mut spread);
        }
        let fields = match self.registry.types.get(type_name) {
            Some(MetaType::Object { fields, .. }) => Some(fields),
            _ => None,
        };
        let kind = |Merged { field, selections }: Merged<'a>| {
            let known = fields.and_then(|fields| fields.get(field.name.node.as_str()));
            // `__typename` and introspection, which do not fail.
            known.map_or(Kind::Leaf, |known| self.kind(&known.ty, &selections))
        };
        Shape { fields: merged.into_iter().map(|(key, merged)| (key, kind(merged))).collect() }
    }

    fn kind(&self, type_name: &str, selections: &[&'a SelectionSet]) -> Kind {
        match MetaTypeName::create(type_name) {
            MetaTypeName::NonNull(inner) => Kind::NonNull(Box::new(self.kind(inner, selections))),
            MetaTypeName::List(inner) => Kind::List(Box::new(self.kind(inner, selections))),
            MetaTypeName::Named(name) => match self.registry.types.get(name) {
                Some(MetaType::Object { .. }) => Kind::Object(self.object(name, selections)),
                _ => Kind::Leaf,
            },
        }
    }

    fn collect(
        &self,
        type_name: &str,
        selection: &'a SelectionSet,
        merged: &mut IndexMap<Name, Merged<'a>>,
        spread: &mut HashSet<&'a str>,
    ) {
        for item in &selection.items {
            if item.node.directives().iter().any(|directive| self.leaves_out(&directive.node)) {
                continue;
            }
            match &item.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let entry = merged
                        .entry(field.response_key().node.clone())
                        .or_insert_with(|| Merged { field, selections: Vec::new() });
                    entry.selections.push(&field.selection_set.node);
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                    if on.is_none_or(|on| on == type_name) {
                        self.collect(type_name, &fragment.node.selection_set.node, merged, spread);
                    }
                }
                Selection::FragmentSpread(fragment) => {
                    let name = fragment.node.fragment_name.node.as_str();
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    // Spread once more it has nothing new.
                    if fragment.node.type_condition.node.on.node == type_name && spread.insert(name) {
                        self.collect(type_name, &fragment.node.selection_set.node, merged, spread);
                    }
                }
            }
        }
    }

    /// Whether a directive takes its field out.
    fn leaves_out(&self, directive: &Directive) -> bool {
        let out_if = match directive.name.node.as_str() {
            "skip" => true,
            "include" => false,
            _ => return false,
        };
        let condition = directive.get_argument("if").and_then(|value| {
            let variable = |name: Name| Ok::<_, ()>(self.variables.get(&name).cloned().unwrap_or_default());
            value.node.clone().into_const_with(variable).ok()
        });
        match condition {
            Some(Value::Boolean(condition)) => condition == out_if,
            // As the executor has it.
            _ => !out_if,
        }
    }
}

/// Whether any field of a document may be left out by a variable.
pub(crate) fn has_conditions(document: &ExecutableDocument) -> bool {
    fn inside(selection: &SelectionSet) -> bool {
        selection.items.iter().any(|item| {
            !item.node.directives().is_empty()
                || match &item.node {
                    Selection::Field(field) => inside(&field.node.selection_set.node),
                    Selection::InlineFragment(fragment) => inside(&fragment.node.selection_set.node),
                    Selection::FragmentSpread(_) => false,
                }
        })
    }
    let mut operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let mut fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    operations.any(inside) || fragments.any(inside)
}

struct Fit<'a> {
    failed: Vec<&'a [PathSegment]>,
    path: Vec<Cow<'a, str>>,
}

impl<'s> Fit<'s> {
    fn object(&mut self, shape: &'s Shape, value: Value) -> Result<Value, Forbidden> {
        let mut found = match value {
            Value::Object(found) => found,
            Value::Null => IndexMap::new(),
            other => return Ok(other),
        };
        let in_order = found.len() == shape.fields.len()
            && found.keys().zip(&shape.fields).all(|(found, (named, _))| found == named);
        if in_order {
            for ((_, value), (name, kind)) in found.iter_mut().zip(&shape.fields) {
                if matches!(kind, Kind::Leaf) {
                    continue;
                }
                *value = self.inside(name, kind, std::mem::take(value))?;
            }
            return Ok(Value::Object(found));
        }
        let mut ordered = IndexMap::with_capacity(shape.fields.len());
        for (name, kind) in &shape.fields {
            let value = found.swap_remove(name).unwrap_or_default();
            ordered.insert(name.clone(), self.inside(name, kind, value)?);
        }
        Ok(Value::Object(ordered))
    }

    fn inside(&mut self, name: &'s Name, kind: &'s Kind, value: Value) -> Result<Value, Forbidden> {
        self.path.push(Cow::Borrowed(name.as_str()));
        let fitted = self.value(kind, value);
        self.path.pop();
        fitted
    }

    fn value(&mut self, kind: &'s Kind, value: Value) -> Result<Value, Forbidden> {
        match (kind, value) {
            (Kind::NonNull(inner), value) => match self.value(inner, value)? {
                Value::Null => Err(Forbidden),
                value => Ok(value),
            },
            (Kind::List(inner), Value::List(values)) => {
                let mut fitted = Vec::with_capacity(values.len());
                for (index, value) in values.into_iter().enumerate() {
                    self.path.push(Cow::Owned(index.to_string()));
                    let value = self.value(inner, value);
                    self.path.pop();
                    match value {
                        Ok(value) => fitted.push(value),
                        Err(Forbidden) => return Ok(Value::Null),
                    }
                }
                Ok(Value::List(fitted))
            }
            // An object of which nothing but failures came is there all the same.
            (Kind::Object(_), Value::Null) if !self.failed_below() => Ok(Value::Null),
            (Kind::Object(shape), value) => Ok(self.object(shape, value).unwrap_or(Value::Null)),
            (_, value) => Ok(value),
        }
    }

    /// Whether a field further down the path has failed.
    fn failed_below(&self) -> bool {
        self.failed.iter().any(|failed| {
            failed.len() > self.path.len()
                && self.path.iter().zip(*failed).all(|(here, segment)| match segment {
                    PathSegment::Field(name) => *here == name.as_str(),
                    PathSegment::Index(index) => *here == index.to_string(),
                })
        })
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{
        dynamic::{Field, FieldFuture, Object, Schema, TypeRef},
        parser::parse_query,
        value,
    };

    use super::*;

    fn fitted(query: &str, data: Value, failed: &[&[&str]]) -> Option<Value> {
        let field = |name: &str, of: TypeRef| Field::new(name, of, |_| FieldFuture::Value(None));
        let row =
            Object::new("Row").field(field("a", TypeRef::named("Int"))).field(field("b", TypeRef::named_nn("Int")));
        let query_type = Object::new("Query")
            .field(field("row", TypeRef::named("Row")))
            .field(field("rows", TypeRef::named_nn_list_nn("Row")));
        let schema = Schema::build("Query", None, None).register(row).register(query_type).finish().unwrap();
        let document = parse_query(query).unwrap();
        let errors: Vec<ServerError> = failed
            .iter()
            .map(|path| {
                let segment = |name: &&str| match name.parse() {
                    Ok(index) => PathSegment::Index(index),
                    Err(_) => PathSegment::Field((*name).to_owned()),
                };
                ServerError::new("failed", None).with_path(path.iter().map(segment).collect())
            })
            .collect();
        let operation = &document.operations.iter().next().unwrap().1.node;
        Shape::of(schema.registry(), &document, operation, &Variables::default()).fit(data, &errors)
    }

    #[test]
    fn fields_come_in_the_order_of_the_request() {
        let query = "{ row { b ...f a } x: row { a } } fragment f on Row { a __typename }";
        let found = fitted(query, value!({"x": {"a": 1}, "row": {"__typename": "Row", "a": 1, "b": 2}}), &[]);
        assert_eq!(found.unwrap().to_string(), r#"{row: {b: 2, a: 1, __typename: "Row"}, x: {a: 1}}"#);
    }

    #[test]
    fn what_failed_is_null_or_what_is_around_it() {
        let one = fitted("{ row { a b } }", value!({"row": {"b": 2}}), &[&["row", "a"]]);
        assert_eq!(one, Some(value!({"row": {"a": null, "b": 2}})));
        let only = fitted("{ row { a } }", Value::Null, &[&["row", "a"]]);
        assert_eq!(only, Some(value!({"row": {"a": null}})));
        let forbidden = fitted("{ row { a b } }", value!({"row": {"a": 1}}), &[&["row", "b"]]);
        assert_eq!(forbidden, Some(value!({"row": null})));
        let through = fitted(
            "{ rows { b } row { a } }",
            value!({"rows": [{"b": 1}, null], "row": {"a": 1}}),
            &[&["rows", "1", "b"]],
        );
        assert_eq!(through, None);
        assert_eq!(fitted("{ row { a } }", value!({"row": null}), &[]), Some(value!({"row": null})));
    }

    #[test]
    fn what_is_skipped_is_not_missing() {
        let query = "{ row { a @skip(if: true) b @include(if: true) } }";
        assert_eq!(fitted(query, value!({"row": {"b": 2}}), &[]), Some(value!({"row": {"b": 2}})));
    }
}
