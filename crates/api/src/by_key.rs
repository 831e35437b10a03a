//! One row by its key: a seek, without planning or waiting.

use std::sync::Arc;

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, ObjectAccessor, ResolverContext, TypeRef},
};
use deltafold_event::{ColumnType, aggregate_id};

use crate::{
    as_of::{self, AsOf},
    errors::{ApiError, shown},
    model::ViewModel,
    names::quoted,
    reading::{Moment, Reading},
    row::RowNode,
    scalars, values,
};

/// The argument of a view whose key's columns are not known: the aggregate id itself.
const ID: &str = "id";

/// The root field.
pub(crate) fn field(view: &Arc<ViewModel>) -> Field {
    let name = view.names.by_key();
    let path: Arc<str> = name.as_str().into();
    let of = view.clone();
    let mut field = Field::new(name, TypeRef::named(&view.names.row), move |ctx| resolve(&of, &path, ctx))
        .description(format!("The row of {} with this key; null if there is none.", quoted(&view.info.name)));
    if view.key.is_empty() {
        field = field.argument(InputValue::new(ID, TypeRef::named_nn(TypeRef::ID)).description("The aggregate id."));
    }
    for &column in &view.key {
        let scalar = TypeRef::named_nn(scalars::of_type(view.type_of(column)));
        let description = format!("The key's column {}.", quoted(&view.columns()[column].name));
        field = field.argument(InputValue::new(&view.names.columns[column], scalar).description(description));
    }
    field.argument(as_of::argument())
}

fn resolve<'a>(view: &Arc<ViewModel>, path: &Arc<str>, ctx: ResolverContext<'a>) -> FieldFuture<'a> {
    let reading = Reading::of(ctx.ctx);
    let asked = key(view, &ctx.args, path).and_then(|key| Ok((key, AsOf::of(&ctx.args, "asOf", path)?)));
    let (key, as_of) = match asked {
        Ok(asked) => asked,
        Err(error) => return error.into_field(&ctx),
    };
    match as_of.at_once(reading) {
        Some(Ok(moment)) => at_moment(view, path, key, moment, ctx),
        Some(Err(error)) => error.into_field(&ctx),
        None => {
            let (view, path) = (view.clone(), path.clone());
            FieldFuture::new(async move {
                let read = async || {
                    let moment = as_of.resolve(reading).await?;
                    reading.enter(&view, moment, &path).await?;
                    read(&view, reading, &path, &key, moment)
                };
                let row = read().await.map_err(|error| error.into_graphql(&ctx))?;
                Ok(row.map(FieldValue::owned_any))
            })
        }
    }
}

/// The row with a key at a moment, at once if that can be; `path` is the field that asks.
pub(crate) fn at_moment<'a>(
    view: &Arc<ViewModel>,
    path: &Arc<str>,
    key: String,
    moment: Moment,
    ctx: ResolverContext<'a>,
) -> FieldFuture<'a> {
    let reading = Reading::of(ctx.ctx);
    let row = match reading.keeps(view, moment) {
        Ok(true) => {
            reading.note(view, moment);
            read(view, reading, path, &key, moment)
        }
        Ok(false) => {
            let (view, path) = (view.clone(), path.clone());
            return FieldFuture::new(async move {
                let row = reading.enter(&view, moment, &path).await;
                let row = row.and_then(|()| read(&view, reading, &path, &key, moment));
                Ok(row.map_err(|error| error.into_graphql(&ctx))?.map(FieldValue::owned_any))
            });
        }
        Err(error) => Err(error),
    };
    match row {
        Ok(row) => FieldFuture::Value(row.map(FieldValue::owned_any)),
        Err(error) => error.into_field(&ctx),
    }
}

fn read(
    view: &Arc<ViewModel>,
    reading: &Reading,
    path: &str,
    key: &str,
    moment: Moment,
) -> Result<Option<RowNode>, ApiError> {
    reading.explain(path, || "a seek by key".to_owned());
    let found = reading.reader(view, moment.at.position).as_of(key, moment.at);
    let found = found.map_err(|error| ApiError::internal("by key", error))?;
    found.map(|version| RowNode::new(view.clone(), version, moment)).transpose()
}

/// The aggregate id that the arguments make.
fn key(view: &ViewModel, args: &ObjectAccessor<'_>, path: &str) -> Result<String, ApiError> {
    let missing = |name: &str| ApiError::input(format!("{path}.{name}"), "a value", "nothing");
    let argument = |name: &str| match args.get(name) {
        Some(value) if !value.is_null() => Ok(value.as_value().clone()),
        _ => Err(missing(name)),
    };
    if view.key.is_empty() {
        let id = argument(ID)?;
        return scalars::digits(&id).ok_or_else(|| missing(ID));
    }
    let parts = view.key.iter().map(|&column| {
        let name = &view.names.columns[column];
        let value = argument(name)?;
        let column_type = view.type_of(column);
        values::into_canonical(&value, column_type)
            .map(|value| value.to_string())
            .ok_or_else(|| ApiError::input(format!("{path}.{name}"), expected(column_type), shown(&value)))
    });
    let parts: Vec<String> = parts.collect::<Result<_, _>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    aggregate_id(&parts).ok_or_else(|| missing(&view.names.columns[view.key[0]]))
}

fn expected(column_type: &ColumnType) -> String {
    scalars::check(scalars::of_type(column_type), &Value::Null)
        .err()
        .map_or_else(|| format!("a {column_type}"), str::to_owned)
}
