//! What there is and how far it has come: `projections`, `store`.

use std::sync::Arc;

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_view::At;

use crate::{
    errors::ApiError,
    model::ViewModel,
    reading::{Reading, last_before},
    row, scalars,
};

/// The root fields.
pub(crate) fn fields() -> [Field; 3] {
    [
        Field::new("projections", TypeRef::named_nn_list_nn("Projection"), |ctx| {
            let views = &Reading::of(ctx.ctx).model.views;
            FieldFuture::Value(Some(FieldValue::list(views.iter().map(|view| FieldValue::borrowed_any(view)))))
        })
        .description("All projections: what each is called here, and how far it has come."),
        Field::new("projection", TypeRef::named("Projection"), |ctx| {
            let name = ctx.args.get("name").and_then(|name| name.string().ok()).unwrap_or_default();
            let views = &Reading::of(ctx.ctx).model.views;
            let found = views.iter().find(|view| *view.info.name == *name);
            FieldFuture::Value(found.map(|view| FieldValue::borrowed_any(view)))
        })
        .description("The projection of this name; null if there is none.")
        .argument(InputValue::new("name", TypeRef::named_nn(TypeRef::STRING)).description("The view's name.")),
        Field::new("store", TypeRef::named_nn("Store"), |_| FieldFuture::Value(Some(FieldValue::owned_any(StoreNode))))
            .description("The event store."),
    ]
}

/// The types.
pub(crate) fn objects() -> [Object; 3] {
    [projection(), column(), store()]
}

/// A column of a projection.
struct ColumnNode {
    view: Arc<ViewModel>,
    index: usize,
}

fn projection() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&ViewModel, &Reading) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(view(&ctx).and_then(|view| of(view, Reading::of(ctx.ctx))))
        })
    };
    let text = || TypeRef::named_nn(TypeRef::STRING);
    Object::new("Projection")
        .description("A definition of what a view contains, and the view it produces.")
        .field(field("name", text(), |view, _| Some(Value::from(&*view.info.name))))
        .field(
            field("kind", text(), |view, _| Some(if view.is_mirror() { "mirror" } else { "derived" }.into())).description(
                "mirror: the rows of one aggregate type; derived: what a definition makes of the rows of such types.",
            ),
        )
        .field(
            field("status", text(), |_, reading| {
                Some(match (&reading.catalog.failure, reading.lag_ms()) {
                    (Some(_), _) => "stopped".into(),
                    (None, 0) => "live".into(),
                    (None, _) => "catching_up".into(),
                })
            })
            .description("live, catching_up or stopped."),
        )
        .field(
            field("error", TypeRef::named(TypeRef::STRING), |_, reading| {
                reading.catalog.failure.as_ref().map(|_| "folding has stopped; the server's log says why".into())
            })
            .description("Why it has stopped."),
        )
        .field(
            field("checkpoint", TypeRef::named_nn("Position"), |_, reading| {
                Some(reading.position().to_string().into())
            })
            .description("The last position it has folded."),
        )
        .field(
            field("lagMs", TypeRef::named_nn(TypeRef::INT), |_, reading| Some(reading.lag_ms().into()))
                .description("How long ago it held all that there is; 0 while it does."),
        )
        .field(field("generation", TypeRef::named_nn(TypeRef::INT), |view, _| Some(view.info.generation.into())))
        .field(
            field("historyStart", TypeRef::named("DateTime"), |view, reading| {
                let start = reading.catalog.view(&view.info.name)?.history_start?;
                Some(start.to_string().into())
            })
            .description("The first moment known of it: before, absence means unknown."),
        )
        .field(
            Field::new("rows", TypeRef::named_nn("BigInt"), |ctx| {
                let Some(view) = view(&ctx).cloned() else { return FieldFuture::Value(None) };
                FieldFuture::new(async move {
                    let count =
                        rows(Reading::of(ctx.ctx).reader(&view)).await.map_err(|error| error.into_graphql(&ctx))?;
                    Ok(Some(Value::from(count.to_string())))
                })
            })
            .description("How many rows it has now; counted when asked for."),
        )
        .field(
            field("typeName", text(), |view, _| Some(view.names.row.as_str().into()))
                .description("Its rows' type in GraphQL."),
        )
        .field(
            field("listField", text(), |view, _| Some(view.names.list.as_str().into()))
                .description("The root field of its list."),
        )
        .field(
            field("byKeyField", text(), |view, _| Some(view.names.by_key().into()))
                .description("The root field of one row."),
        )
        .field(
            Field::new("key", TypeRef::named_nn_list_nn("ProjectionColumn"), |ctx| {
                FieldFuture::Value(view(&ctx).map(|view| columns(view, view.key.iter().copied())))
            })
            .description("The columns of its key, in order: the arguments of the root field of one row."),
        )
        .field(
            Field::new("columns", TypeRef::named_nn_list_nn("ProjectionColumn"), |ctx| {
                FieldFuture::Value(view(&ctx).map(|view| columns(view, 0..view.columns().len())))
            })
            .description("Its columns, with the names they have in GraphQL."),
        )
}

fn columns<'a>(view: &Arc<ViewModel>, indices: impl Iterator<Item = usize>) -> FieldValue<'a> {
    FieldValue::list(indices.map(|index| FieldValue::owned_any(ColumnNode { view: view.clone(), index })))
}

fn view<'a>(ctx: &ResolverContext<'a>) -> Option<&'a Arc<ViewModel>> {
    ctx.parent_value.downcast_ref::<Arc<ViewModel>>()
}

async fn rows(reader: deltafold_view::Reader) -> Result<usize, ApiError> {
    let counted = tokio::task::spawn_blocking(move || {
        reader.scan(At::NOW).try_fold(0_usize, |count, row| row.map(|_| count + 1))
    });
    match counted.await {
        Ok(Ok(count)) => Ok(count),
        Ok(Err(error)) => Err(ApiError::internal("rows", error)),
        Err(error) => Err(ApiError::internal("rows", error)),
    }
}

fn column() -> Object {
    let field = |name: &str, of: fn(&ViewModel, usize) -> String| {
        Field::new(name, TypeRef::named_nn(TypeRef::STRING), move |ctx| {
            let node = ctx.parent_value.downcast_ref::<ColumnNode>();
            FieldFuture::from_value(node.map(|node| of(&node.view, node.index).into()))
        })
    };
    Object::new("ProjectionColumn")
        .field(field("name", |view, index| view.columns()[index].name.clone()).description("Its name at the source."))
        .field(field("field", |view, index| view.names.columns[index].clone()).description("Its name in GraphQL."))
        .field(
            field("type", |view, index| view.type_of(index).to_string())
                .description("Its type, as it would be declared: decimal(12,2), timestamptz, text[]."),
        )
        .field(
            field("graphqlType", |view, index| row::output_type(view.type_of(index)).to_string())
                .description("Its type in GraphQL."),
        )
        .field(
            field("scalar", |view, index| scalars::of_type(view.type_of(index)).to_owned())
                .description("The scalar of its values: what an argument for it has."),
        )
}

/// The event store: everything about it is in the reading.
struct StoreNode;

fn store() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Reading) -> Value| {
        Field::new(name, type_ref, move |ctx| FieldFuture::from_value(Some(of(Reading::of(ctx.ctx)))))
    };
    Object::new("Store")
        .description("The event store.")
        .field(
            field("events", TypeRef::named_nn("BigInt"), |reading| {
                reading.log.store().event_count().to_string().into()
            })
            .description("How many events it holds, each delivery counted."),
        )
        .field(field("deadLetters", TypeRef::named_nn("BigInt"), |reading| {
            reading.log.store().dead_letter_count().to_string().into()
        }))
        .field(
            field("position", TypeRef::named_nn("Position"), |reading| {
                last_before(reading.log.store().high_water_mark()).to_string().into()
            })
            .description("The last position that is safe to read."),
        )
}
