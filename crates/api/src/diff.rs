//! Images of rows, and what differs between two of them.

use async_graphql::{
    Name, Value,
    dynamic::{Field, FieldFuture, Object, TypeRef},
};

use crate::{errors::ApiError, model::ViewModel, row};

/// A row as one JSON value, by GraphQL field.
///
/// # Errors
/// When it is no JSON object.
pub(crate) fn state(view: &ViewModel, row: &str) -> Result<Value, ApiError> {
    let values = row::image(view, Some(row))?;
    Ok(Value::Object(view.names.columns.iter().map(Name::new).zip(values).collect()))
}

/// What differs between two images.
pub(crate) struct FieldChange {
    field: String,
    column: String,
    before: Value,
    after: Value,
}

/// The fields that two images of a row differ in; an absent row is null everywhere.
///
/// # Errors
/// When a row is no JSON object.
pub(crate) fn changes(
    view: &ViewModel,
    before: Option<&str>,
    after: Option<&str>,
) -> Result<Vec<FieldChange>, ApiError> {
    let images = row::image(view, before)?.into_iter().zip(row::image(view, after)?);
    let named = view.names.columns.iter().zip(view.columns()).zip(images);
    Ok(named
        .filter(|(_, (before, after))| before != after)
        .map(|((field, column), (before, after))| FieldChange {
            field: field.clone(),
            column: column.name.clone(),
            before,
            after,
        })
        .collect())
}

/// `FieldChange`.
pub(crate) fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&FieldChange) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            let value = ctx.parent_value.downcast_ref::<FieldChange>().map(of);
            FieldFuture::from_value(value)
        })
    };
    Object::new("FieldChange")
        .description("A field that differs between two images of a row.")
        .field(field("field", TypeRef::named_nn(TypeRef::STRING), |change| change.field.as_str().into()))
        .field(
            field("column", TypeRef::named_nn(TypeRef::STRING), |change| change.column.as_str().into())
                .description("Its name at the source."),
        )
        .field(field("before", TypeRef::named("JSON"), |change| change.before.clone()))
        .field(field("after", TypeRef::named("JSON"), |change| change.after.clone()))
}
