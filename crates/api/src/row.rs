//! The type of a view's rows, with `_version` and `_history`.

use std::sync::Arc;

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, Object, ResolverContext, TypeRef},
};
use deltafold_event::{ColumnType, members};
use deltafold_view::{ReadError, Version};

use crate::{
    errors::ApiError,
    events, history,
    model::ViewModel,
    names::quoted,
    reading::{Moment, Reading},
    scalars, values, versions,
};

/// One row at a moment.
pub(crate) struct RowNode {
    /// Its view.
    pub(crate) view: Arc<ViewModel>,
    /// Its content, and since when.
    pub(crate) version: Version,
    /// The moment it is read at.
    pub(crate) moment: Moment,
    /// Where each column's value stands in the row's text.
    spans: Vec<Option<(u32, u32)>>,
}

impl RowNode {
    /// Finds the columns in a version's row.
    ///
    /// # Errors
    /// When the row is no JSON object.
    pub(crate) fn new(view: Arc<ViewModel>, version: Version, moment: Moment) -> Result<Self, ApiError> {
        let spans = spans(&view, version.row())?;
        Ok(Self { view, version, moment, spans })
    }

    /// The JSON text of a column's value; none where the row does not have it.
    pub(crate) fn raw(&self, column: usize) -> Option<&str> {
        let (start, end) = self.spans[column]?;
        Some(&self.version.row()[start as usize..end as usize])
    }

    /// The answer for a column.
    ///
    /// # Errors
    /// When the stored value is none of the column's type.
    pub(crate) fn value(&self, column: usize) -> Result<Value, ApiError> {
        match self.raw(column) {
            Some(raw) => values::of_column(raw, &self.view.columns()[column]),
            None => Ok(Value::Null),
        }
    }
}

fn spans(view: &ViewModel, row: &str) -> Result<Vec<Option<(u32, u32)>>, ApiError> {
    let mut spans = vec![None; view.columns().len()];
    let found = members(row).map_err(|error| ApiError::internal("row", error))?;
    for (name, raw) in found {
        // A column that the schema does not know yet is for the next schema to show.
        if let Some(column) = view.column(&name) {
            let raw = raw.get();
            let start = raw.as_ptr() as usize - row.as_ptr() as usize;
            spans[column] = Some((start as u32, (start + raw.len()) as u32));
        }
    }
    Ok(spans)
}

/// Every column of an image under its GraphQL name, as a JSON value; of an absent one null.
///
/// # Errors
/// When the row is no JSON object.
pub(crate) fn image(view: &ViewModel, row: Option<&str>) -> Result<Vec<Value>, ApiError> {
    let Some(row) = row else { return Ok(vec![Value::Null; view.columns().len()]) };
    let spans = spans(view, row)?;
    let value = |(column, span): (usize, Option<(u32, u32)>)| match span {
        None => Value::Null,
        Some((start, end)) => {
            let raw = &row[start as usize..end as usize];
            // An image shows what is stored, also where it does not fit the column's type.
            values::of_column(raw, &view.columns()[column]).unwrap_or_else(|_| values::of_text(raw))
        }
    };
    Ok(spans.into_iter().enumerate().map(value).collect())
}

/// The type of a column's values.
pub(crate) fn output_type(column_type: &ColumnType) -> TypeRef {
    match column_type {
        ColumnType::List(element) => TypeRef::List(Box::new(output_type(element))),
        other => TypeRef::named(scalars::of_type(other)),
    }
}

/// The object type of a view's rows.
pub(crate) fn object(view: &Arc<ViewModel>) -> Object {
    let mut object =
        Object::new(&view.names.row).description(format!("A row of the view {}.", quoted(&view.info.name)));
    for (index, (column, name)) in view.columns().iter().zip(&view.names.columns).enumerate() {
        let field = Field::new(name, output_type(&column.column_type), move |ctx| match parent(&ctx) {
            None => FieldFuture::Value(None),
            Some(row) => match row.value(index) {
                Ok(Value::Null) => FieldFuture::Value(None),
                Ok(value) => FieldFuture::Value(Some(FieldValue::value(value))),
                Err(error) => error.into_field(&ctx),
            },
        });
        let source = format!("Column {}: {}.", quoted(&column.name), column.column_type);
        let field = match view.leaving(&column.name) {
            Some(reason) => field.deprecation(Some(reason)),
            None => field,
        };
        object = object.field(field.description(source));
    }
    object
        .field(
            Field::new("_version", TypeRef::named_nn("RowVersion"), |ctx| {
                FieldFuture::Value(parent(&ctx).map(|row| FieldValue::borrowed_any(row)))
            })
            .description("The version shown: since when it is so, and since when we know."),
        )
        .field(if view.is_mirror() { history::field(asked) } else { versions::field(asked) })
}

/// Whose history a row's is, and as of when.
fn asked(ctx: &ResolverContext<'_>) -> Option<(Arc<ViewModel>, String, Moment)> {
    parent(ctx).map(|row| (row.view.clone(), row.version.key.to_string(), row.moment))
}

/// `RowVersion`.
pub(crate) fn version_object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&RowNode) -> Value| {
        Field::new(name, type_ref, move |ctx| FieldFuture::from_value(parent(&ctx).map(of)))
    };
    Object::new("RowVersion")
        .description("One version of a row: its content over a stretch of valid time.")
        .field(
            field("validFrom", TypeRef::named_nn("DateTime"), |row| row.version.valid_from.to_string().into())
                .description("Since when it is so."),
        )
        .field(
            Field::new("validTo", TypeRef::named("DateTime"), |ctx| {
                let Some(row) = parent(&ctx) else { return FieldFuture::Value(None) };
                match valid_to(Reading::of(ctx.ctx), row) {
                    Ok(moment) => FieldFuture::from_value(moment.map(|moment| moment.to_string().into())),
                    Err(error) => ApiError::internal("valid to", error).into_field(&ctx),
                }
            })
            .description("Until when it was so; null while it is."),
        )
        .field(
            field("recordedFrom", TypeRef::named("Position"), |row| match row.view.is_mirror() {
                true => row.version.recorded_from.to_string().into(),
                false => Value::Null,
            })
            .description("The position from which it was believed; null in a derived view."),
        )
        .field(
            field("recordedTo", TypeRef::named("Position"), |row| {
                let position = row.version.recorded_to.filter(|_| row.view.is_mirror());
                position.map_or(Value::Null, |position| position.to_string().into())
            })
            .description("The position from which it was believed no longer; null while it is."),
        )
        .field(
            field("incomplete", TypeRef::named_nn(TypeRef::BOOLEAN), |row| row.version.incomplete.into())
                .description("Whether a value that the source left out as unchanged could not be found: it is null."),
        )
        .field(
            Field::new("event", TypeRef::named("Event"), |ctx| {
                let id = parent(&ctx).and_then(|row| row.version.event);
                events::by_id(ctx, id)
            })
            .description("The event that began it, where the row stems from one aggregate."),
        )
}

fn valid_to(reading: &Reading, row: &RowNode) -> Result<Option<deltafold_event::Timestamp>, ReadError> {
    let position = row.moment.at.position;
    reading.reader(&row.view, position).valid_to(&row.version, position)
}

fn parent<'a>(ctx: &ResolverContext<'a>) -> Option<&'a RowNode> {
    ctx.parent_value.downcast_ref::<RowNode>()
}
