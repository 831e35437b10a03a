//! `aggregate`: one aggregate of any type, with its state, revision, history and the difference between two moments.

use std::sync::Arc;

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_view::{At, Version};

use crate::{
    as_of::{self, AsOf},
    diff, entries,
    errors::ApiError,
    history,
    model::ViewModel,
    reading::{Moment, Reading},
};

/// An aggregate at a moment.
struct AggregateNode {
    view: Arc<ViewModel>,
    id: String,
    moment: Moment,
    /// Its row, if it has one.
    row: Option<Version>,
}

/// The root field.
pub(crate) fn field() -> Field {
    Field::new("aggregate", TypeRef::named("Aggregate"), |ctx| {
        FieldFuture::new(async move {
            let found = find(&ctx).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(found.map(FieldValue::owned_any))
        })
    })
    .description("The aggregate of this type and id; null if nothing is known of it at the moment.")
    .argument(
        InputValue::new("type", TypeRef::named_nn(TypeRef::STRING))
            .description("Its type: the name of its mirror view."),
    )
    .argument(
        InputValue::new("id", TypeRef::named_nn(TypeRef::ID))
            .description("The text of its key; of several columns the JSON array of their values."),
    )
    .argument(as_of::argument())
}

async fn find(ctx: &ResolverContext<'_>) -> Result<Option<AggregateNode>, ApiError> {
    let reading = Reading::of(ctx.ctx);
    let text = |name: &str| {
        let value = ctx.args.get(name).and_then(|value| crate::scalars::digits(value.as_value()));
        value.ok_or_else(|| ApiError::input(format!("aggregate.{name}"), "a value", "nothing"))
    };
    let aggregate_type = text("type")?;
    let view = reading
        .aggregates_of(&aggregate_type)
        .map_or_else(|| reading.model.mirror(&aggregate_type, "aggregate.type").cloned(), Ok)?;
    let id = text("id")?;
    let moment = AsOf::of(&ctx.args, "asOf", "aggregate")?.resolve(reading).await?;
    reading.enter(&view, moment, "aggregate").await?;
    let reader = reading.reader(&view, moment.at.position);
    let unreadable = |error| ApiError::internal("aggregate", error);
    let row = reader.as_of(&id, moment.at).map_err(unreadable)?;
    if row.is_none() && entries::newest_first(&reader, &id, moment.at, None).map_err(unreadable)?.next().is_none() {
        return Ok(None);
    }
    Ok(Some(AggregateNode { view, id, moment, row }))
}

/// The type.
pub(crate) fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&AggregateNode) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| FieldFuture::from_value(parent(&ctx).and_then(of)))
    };
    Object::new("Aggregate")
        .description("The thing that events are about.")
        .field(field("type", TypeRef::named_nn(TypeRef::STRING), |node| Some(Value::from(&*node.view.info.name))))
        .field(field("id", TypeRef::named_nn(TypeRef::ID), |node| Some(node.id.as_str().into())))
        .field(
            Field::new("revision", TypeRef::named_nn(TypeRef::INT), |ctx| {
                let Some(node) = parent(&ctx) else { return FieldFuture::Value(None) };
                match revision(Reading::of(ctx.ctx), &node.view, &node.id, node.moment.at) {
                    Ok(revision) => FieldFuture::from_value(Some(revision.into())),
                    Err(error) => error.into_field(&ctx),
                }
            })
            .description("How many distinct events it has at the moment: the rank of the last one recorded."),
        )
        .field(
            Field::new("state", TypeRef::named("JSON"), |ctx| {
                let Some(node) = parent(&ctx) else { return FieldFuture::Value(None) };
                match node.row.as_ref().map(|row| diff::state(&node.view, row.row())).transpose() {
                    Ok(state) => FieldFuture::from_value(state),
                    Err(error) => error.into_field(&ctx),
                }
            })
            .description("Its row, by field; null when there is none."),
        )
        .field(
            field("validFrom", TypeRef::named("DateTime"), |node| {
                node.row.as_ref().map(|row| row.valid_from.to_string().into())
            })
            .description("Since when its row is so."),
        )
        .field(
            field("incomplete", TypeRef::named_nn(TypeRef::BOOLEAN), |node| {
                Some(node.row.as_ref().is_some_and(|row| row.incomplete).into())
            })
            .description("Whether a value that the source left out as unchanged could not be found: it is null."),
        )
        .field(history::named("history", |ctx| {
            parent(ctx).map(|node| (node.view.clone(), node.id.clone(), node.moment))
        }))
        .field(
            Field::new("diff", TypeRef::named_nn_list_nn("FieldChange"), |ctx| {
                FieldFuture::new(async move {
                    let changes = difference(&ctx).await.map_err(|error| error.into_graphql(&ctx))?;
                    Ok(Some(FieldValue::list(changes.into_iter().map(FieldValue::owned_any))))
                })
            })
            .description("What differs between its rows at two moments.")
            .argument(InputValue::new("from", TypeRef::named_nn("AsOf")).description("The first moment."))
            .argument(
                InputValue::new("to", TypeRef::named("AsOf")).description("The aggregate's own moment, if not given."),
            ),
        )
}

async fn difference(ctx: &ResolverContext<'_>) -> Result<Vec<diff::FieldChange>, ApiError> {
    let reading = Reading::of(ctx.ctx);
    let Some(node) = parent(ctx) else { return Ok(Vec::new()) };
    let from = AsOf::of(&ctx.args, "from", "diff")?.resolve(reading).await?;
    let to = match ctx.args.get("to") {
        Some(to) if !to.is_null() => AsOf::of(&ctx.args, "to", "diff")?.resolve(reading).await?,
        _ => node.moment,
    };
    let row = async |moment: Moment| {
        reading.enter(&node.view, moment, "aggregate").await?;
        let reader = reading.reader(&node.view, moment.at.position);
        reader.as_of(&node.id, moment.at).map_err(|error| ApiError::internal("diff", error))
    };
    let (from, to) = (row(from).await?, row(to).await?);
    diff::changes(&node.view, from.as_ref().map(Version::row), to.as_ref().map(Version::row))
}

/// How many distinct events an aggregate has at a moment.
///
/// # Errors
/// When the index cannot be read.
pub(crate) fn revision(reading: &Reading, view: &ViewModel, id: &str, at: At) -> Result<u64, ApiError> {
    let unreadable = |error| ApiError::internal("revision", error);
    let reader = reading.reader(view, at.position);
    let mut highest = 0;
    for entry in entries::newest_first(&reader, id, at, None).map_err(unreadable)? {
        highest = highest.max(entry.map_err(unreadable)?.0.entry().revision);
    }
    Ok(highest)
}

fn parent<'a>(ctx: &ResolverContext<'a>) -> Option<&'a AggregateNode> {
    ctx.parent_value.downcast_ref::<AggregateNode>()
}
