//! Checking what a client gives against the schema's input types, with errors that say where, what was expected, and
//! the nearest right name. Resolvers may then take the forms of their arguments for granted.

use async_graphql::{
    Name, Value, Variables,
    indexmap::IndexMap,
    parser::types::{ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet},
    registry::{MetaType, MetaTypeName, Registry},
};

use crate::{
    errors::{ApiError, nearest, shown},
    scalars,
};

/// Checks a value against an input type; `path` is where it stands.
pub(crate) fn check(registry: &Registry, type_name: &str, value: &Value, path: &str) -> Result<(), ApiError> {
    if is_variable(value) {
        return Ok(());
    }
    match MetaTypeName::create(type_name) {
        MetaTypeName::NonNull(inner) if *value == Value::Null => {
            Err(ApiError::input(path, described(registry, inner), "null"))
        }
        MetaTypeName::NonNull(inner) => check(registry, inner, value, path),
        _ if *value == Value::Null => Ok(()),
        MetaTypeName::List(inner) => match value {
            Value::List(values) => values
                .iter()
                .enumerate()
                .try_for_each(|(index, value)| check(registry, inner, value, &format!("{path}[{index}]"))),
            single => check(registry, inner, single, path),
        },
        MetaTypeName::Named(name) => check_named(registry, name, value, path),
    }
}

fn check_named(registry: &Registry, name: &str, value: &Value, path: &str) -> Result<(), ApiError> {
    match registry.types.get(name) {
        Some(MetaType::Scalar { .. }) => {
            scalars::check(name, value).map_err(|expected| ApiError::input(path, expected, shown(value)))
        }
        Some(MetaType::Enum { enum_values, .. }) => {
            let given = match value {
                Value::Enum(given) => given.as_str(),
                Value::String(given) => given,
                other => return Err(ApiError::input(path, described(registry, name), shown(other))),
            };
            if enum_values.contains_key(given) {
                return Ok(());
            }
            Err(ApiError::BadInput {
                path: path.to_owned(),
                expected: described(registry, name),
                found: given.to_owned(),
                nearest: nearest(given, enum_values.keys().map(String::as_str)),
            })
        }
        Some(MetaType::InputObject { input_fields, .. }) => {
            let Value::Object(given) = value else {
                return Err(ApiError::input(path, described(registry, name), shown(value)));
            };
            for (field, value) in given {
                let Some(known) = input_fields.get(field.as_str()) else {
                    return Err(ApiError::BadInput {
                        path: path.to_owned(),
                        expected: format!("a field of {name}"),
                        found: format!("\"{field}\""),
                        nearest: nearest(field, input_fields.keys().map(String::as_str)),
                    });
                };
                check(registry, &known.ty, value, &format!("{path}.{field}"))?;
            }
            match input_fields.values().find(|known| {
                MetaTypeName::create(&known.ty).is_non_null()
                    && known.default_value.is_none()
                    && !given.contains_key(known.name.as_str())
            }) {
                Some(missing) => Err(ApiError::input(
                    format!("{path}.{}", missing.name),
                    described(registry, &missing.ty),
                    "nothing",
                )),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// What fits a type, in words.
fn described(registry: &Registry, type_name: &str) -> String {
    match MetaTypeName::create(type_name) {
        MetaTypeName::NonNull(inner) => described(registry, inner),
        MetaTypeName::List(inner) => format!("a list of {}", inner.trim_end_matches('!')),
        MetaTypeName::Named(name) => match registry.types.get(name) {
            Some(MetaType::Scalar { .. }) => scalars::check(name, &Value::Object(IndexMap::new()))
                .err()
                .map_or_else(|| format!("a {name}"), str::to_owned),
            Some(MetaType::Enum { enum_values, .. }) => {
                format!("one of {}", enum_values.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            _ => format!("an object {name}"),
        },
    }
}

/// Checks the variables of an operation: each that is declared against its type. Missing ones are left to their
/// defaults.
pub(crate) fn check_variables(
    registry: &Registry,
    operation: &OperationDefinition,
    variables: &Variables,
) -> Result<(), ApiError> {
    for definition in &operation.variable_definitions {
        let definition = &definition.node;
        let name = &definition.name.node;
        let value = variables.get(name).or_else(|| definition.default_value());
        let var_type = definition.var_type.node.to_string();
        match value {
            Some(value) => check(registry, &var_type, value, &format!("${name}"))?,
            None if !definition.var_type.node.nullable => {
                return Err(ApiError::input(format!("${name}"), described(registry, &var_type), "nothing"));
            }
            None => {}
        }
    }
    Ok(())
}

/// Checks the literals in a document's arguments; what stands in variables is not looked at.
pub(crate) fn check_document(registry: &Registry, document: &ExecutableDocument) -> Result<(), ApiError> {
    for (_, operation) in document.operations.iter() {
        let root = match operation.node.ty {
            OperationType::Query => Some(registry.query_type.as_str()),
            OperationType::Mutation => registry.mutation_type.as_deref(),
            OperationType::Subscription => registry.subscription_type.as_deref(),
        };
        if let Some(root) = root {
            check_selection(registry, root, &operation.node.selection_set.node)?;
        }
    }
    for fragment in document.fragments.values() {
        check_selection(registry, &fragment.node.type_condition.node.on.node, &fragment.node.selection_set.node)?;
    }
    Ok(())
}

fn check_selection(registry: &Registry, parent: &str, selection: &SelectionSet) -> Result<(), ApiError> {
    for item in &selection.items {
        match &item.node {
            Selection::Field(field) => {
                let field = &field.node;
                let Some(MetaType::Object { fields, .. }) = registry.types.get(parent) else { continue };
                let Some(known) = fields.get(field.name.node.as_str()) else { continue };
                for (name, value) in &field.arguments {
                    let Some(argument) = known.args.get(name.node.as_str()) else {
                        return Err(ApiError::BadInput {
                            path: field.name.node.to_string(),
                            expected: if known.args.is_empty() {
                                "no argument".to_owned()
                            } else {
                                format!("one of its arguments {}", joined(known.args.keys()))
                            },
                            found: format!("\"{}\"", name.node),
                            nearest: nearest(&name.node, known.args.keys().map(String::as_str)),
                        });
                    };
                    let path = format!("{}.{}", field.name.node, name.node);
                    let value = value.node.clone().into_const_with(|name| Ok::<_, ApiError>(variable(&name)))?;
                    check(registry, &argument.ty, &value, &path)?;
                }
                let missing = known.args.values().find(|argument| {
                    MetaTypeName::create(&argument.ty).is_non_null()
                        && argument.default_value.is_none()
                        && field.get_argument(&argument.name).is_none()
                });
                if let Some(missing) = missing {
                    let path = format!("{}.{}", field.name.node, missing.name);
                    return Err(ApiError::input(path, described(registry, &missing.ty), "nothing"));
                }
                check_selection(registry, MetaTypeName::concrete_typename(&known.ty), &field.selection_set.node)?;
            }
            Selection::InlineFragment(fragment) => {
                let on = fragment.node.type_condition.as_ref().map_or(parent, |on| on.node.on.node.as_str());
                check_selection(registry, on, &fragment.node.selection_set.node)?;
            }
            Selection::FragmentSpread(_) => {}
        }
    }
    Ok(())
}

/// What stands for a variable while a document is checked: an enum value whose name no document can write.
fn variable(name: &Name) -> Value {
    Value::Enum(Name::new(format!("${name}")))
}

fn is_variable(value: &Value) -> bool {
    matches!(value, Value::Enum(name) if name.starts_with('$'))
}

fn joined<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(String::as_str).collect::<Vec<_>>().join(", ")
}
