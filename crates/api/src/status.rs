//! What there is and how far it has come: `projections`, `sources`, `store`.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_event::{StoredEvent, control};
use deltafold_projector::OriginInfo;
use deltafold_view::At;

use crate::{
    errors::ApiError,
    model::ViewModel,
    reading::{Reading, last_before},
    row, scalars,
};

/// The root fields.
pub(crate) fn fields() -> [Field; 4] {
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
        Field::new("sources", TypeRef::named_nn_list_nn("Source"), |ctx| {
            FieldFuture::new(async move {
                let found = sources(Reading::of(ctx.ctx)).await.map_err(|error| error.into_graphql(&ctx))?;
                Ok(Some(FieldValue::list(found.into_iter().map(FieldValue::owned_any))))
            })
        })
        .description("What has been read from where."),
        Field::new("store", TypeRef::named_nn("Store"), |_| FieldFuture::Value(Some(FieldValue::owned_any(StoreNode))))
            .description("The event store."),
    ]
}

/// The types.
pub(crate) fn objects() -> [Object; 6] {
    [projection(), column(), source(), file(), partition(), store()]
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
            field("kind", text(), |_, _| Some("mirror".into())).description("mirror: the rows of one aggregate type."),
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

/// A source.
struct SourceNode {
    name: String,
    files: Vec<StoredEvent>,
    partitions: Vec<(String, i32, i64)>,
    origins: Vec<OriginInfo>,
}

async fn sources(reading: &Reading) -> Result<Vec<SourceNode>, ApiError> {
    let mut found: BTreeMap<String, SourceNode> = BTreeMap::new();
    let origins = &reading.catalog.origins;
    let node = |name: &str| {
        let feeds = |origin: &&OriginInfo| origin.sources.iter().any(|source| source == name);
        let origins = origins.iter().filter(feeds).cloned().collect();
        SourceNode { name: name.to_owned(), files: Vec::new(), partitions: Vec::new(), origins }
    };
    let files = reading.log.control(control::FILE).await?;
    // The newest event of a file says how far it was read.
    let mut newest: BTreeMap<String, StoredEvent> = BTreeMap::new();
    for event in files {
        if let Some(id) = event.event.aggregate_id.clone() {
            newest.insert(id, event);
        }
    }
    for (app_id, next) in reading.log.store().offsets() {
        let of_partition = app_id.split_once('/').and_then(|(source, rest)| {
            let (topic, partition) = rest.rsplit_once('/')?;
            Some((source.to_owned(), topic.to_owned(), partition.parse::<i32>().ok()?))
        });
        if let Some((source, topic, partition)) = of_partition.filter(|_| !newest.contains_key(&app_id)) {
            found.entry(source.clone()).or_insert_with(|| node(&source)).partitions.push((topic, partition, next));
        }
    }
    for source in origins.iter().flat_map(|origin| &origin.sources) {
        found.entry(source.clone()).or_insert_with(|| node(source));
    }
    if !newest.is_empty() {
        found.entry("file".to_owned()).or_insert_with(|| node("file")).files = newest.into_values().collect();
    }
    Ok(found.into_values().collect())
}

fn source() -> Object {
    Object::new("Source")
        .description("Where records come from.")
        .field(Field::new("name", TypeRef::named_nn(TypeRef::STRING), |ctx| {
            let node = ctx.parent_value.downcast_ref::<SourceNode>();
            FieldFuture::from_value(node.map(|node| node.name.as_str().into()))
        }))
        .field(
            Field::new("kind", TypeRef::named_nn(TypeRef::STRING), |ctx| {
                let node = ctx.parent_value.downcast_ref::<SourceNode>();
                FieldFuture::from_value(node.map(|node| if node.files.is_empty() { "kafka" } else { "files" }.into()))
            })
            .description("kafka or files."),
        )
        .field(Field::new("files", TypeRef::named_nn_list_nn("SourceFile"), |ctx| {
            let node = ctx.parent_value.downcast_ref::<SourceNode>();
            FieldFuture::Value(
                node.map(|node| FieldValue::list(node.files.iter().map(|file| FieldValue::borrowed_any(file)))),
            )
        }))
        .field(Field::new("partitions", TypeRef::named_nn_list_nn("SourcePartition"), |ctx| {
            let node = ctx.parent_value.downcast_ref::<SourceNode>();
            FieldFuture::Value(node.map(|node| {
                FieldValue::list(node.partitions.iter().map(|partition| FieldValue::borrowed_any(partition)))
            }))
        }))
        .field(
            Field::new("origins", TypeRef::named_nn_list_nn("Origin"), |ctx| {
                let node = ctx.parent_value.downcast_ref::<SourceNode>();
                FieldFuture::Value(
                    node.map(|node| {
                        FieldValue::list(node.origins.iter().map(|origin| FieldValue::borrowed_any(origin)))
                    }),
                )
            })
            .description("The databases that its events come from; of files none is told."),
        )
}

fn file() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&StoredEvent, &serde_json::Value) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            let Some(event) = ctx.parent_value.downcast_ref::<StoredEvent>() else { return FieldFuture::Value(None) };
            let said = event.event.after.as_deref().and_then(|json| serde_json::from_str(json).ok());
            FieldFuture::from_value(of(event, &said.unwrap_or_default()))
        })
    };
    Object::new("SourceFile")
        .description("A file that events were read from, known by its content.")
        .field(field("id", TypeRef::named_nn(TypeRef::ID), |event, _| {
            event.event.aggregate_id.as_deref().map(Value::from)
        }))
        .field(
            field("bytes", TypeRef::named("BigInt"), |_, said| Some(said.get("bytes")?.to_string().into()))
                .description("How much of it was read, decompressed."),
        )
        .field(
            field("name", TypeRef::named(TypeRef::STRING), |_, said| Some(said.get("name")?.as_str()?.into()))
                .description("The name under which it was read last."),
        )
        .field(
            field("events", TypeRef::named("BigInt"), |_, said| Some(said.get("events")?.to_string().into()))
                .description("How many events came from it."),
        )
        .field(field("lines", TypeRef::named("BigInt"), |_, said| Some(said.get("lines")?.to_string().into())))
        .field(
            field("digest", TypeRef::named(TypeRef::STRING), |_, said| Some(said.get("digest")?.as_str()?.into()))
                .description("The digest of what was read."),
        )
        .field(field("recordedAt", TypeRef::named_nn("DateTime"), |event, _| {
            Some(event.recorded_at.to_string().into())
        }))
}

fn partition() -> Object {
    type Partition = (String, i32, i64);
    let field = |name: &str, type_ref: TypeRef, of: fn(&Partition) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<Partition>().map(of))
        })
    };
    Object::new("SourcePartition")
        .description("A partition of a topic.")
        .field(field("topic", TypeRef::named_nn(TypeRef::STRING), |(topic, ..)| topic.as_str().into()))
        .field(field("partition", TypeRef::named_nn(TypeRef::INT), |(_, partition, _)| (*partition).into()))
        .field(
            field("nextOffset", TypeRef::named_nn("BigInt"), |(.., next)| next.to_string().into())
                .description("The offset that is read next."),
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
