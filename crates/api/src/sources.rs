//! Where records come from: `sources`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, Object, TypeRef},
};
use deltafold_event::{StoredEvent, control};
use deltafold_projector::OriginInfo;

use crate::{
    errors::ApiError,
    reading::Reading,
    source_state::{PartitionState, SourceState, Sources},
};

/// The root field.
pub(crate) fn field() -> Field {
    Field::new("sources", TypeRef::named_nn_list_nn("Source"), |ctx| {
        FieldFuture::new(async move {
            let states = ctx.ctx.data_unchecked::<Arc<dyn Sources>>().states();
            let found = sources(Reading::of(ctx.ctx), states).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(Some(FieldValue::list(found.into_iter().map(FieldValue::owned_any))))
        })
    })
    .description("What has been read from where, and how that is going.")
}

/// The types.
pub(crate) fn objects() -> [Object; 3] {
    [source(), file(), partition()]
}

/// A source.
#[derive(Default)]
struct SourceNode {
    name: String,
    files: Vec<StoredEvent>,
    partitions: BTreeMap<(String, i32), PartitionNode>,
    origins: Vec<OriginInfo>,
    /// How it is doing, where this process reads it.
    state: Option<SourceState>,
}

/// A partition of a topic.
struct PartitionNode {
    topic: String,
    partition: i32,
    /// Where the store says that it goes on; none before its first record is in there.
    committed: Option<i64>,
    /// How it is read, where this process does.
    state: Option<PartitionState>,
}

impl SourceNode {
    fn partition(&mut self, topic: String, partition: i32) -> &mut PartitionNode {
        let node = PartitionNode { topic: topic.clone(), partition, committed: None, state: None };
        self.partitions.entry((topic, partition)).or_insert(node)
    }
}

async fn sources(reading: &Reading, states: Vec<SourceState>) -> Result<Vec<SourceNode>, ApiError> {
    let files = reading.log.control(control::FILE).await?;
    // The newest event of a file says how far it was read.
    let mut newest: BTreeMap<String, StoredEvent> = BTreeMap::new();
    for event in files {
        if let Some(id) = event.event.aggregate_id.clone() {
            newest.insert(id, event);
        }
    }
    let mut found: BTreeMap<String, SourceNode> = BTreeMap::new();
    for (app_id, next) in reading.log.store().offsets() {
        let of_partition = app_id.split_once('/').and_then(|(source, rest)| {
            let (topic, partition) = rest.rsplit_once('/')?;
            Some((source.to_owned(), topic.to_owned(), partition.parse::<i32>().ok()?))
        });
        if let Some((source, topic, partition)) = of_partition.filter(|_| !newest.contains_key(&app_id)) {
            found.entry(source).or_default().partition(topic, partition).committed = Some(next);
        }
    }
    for mut state in states {
        let node = found.entry(state.name.clone()).or_default();
        for partition in std::mem::take(&mut state.partitions) {
            let (topic, number) = (partition.topic.clone(), partition.partition);
            node.partition(topic, number).state = Some(partition);
        }
        node.state = Some(state);
    }
    for origin in &reading.catalog.origins {
        // Several of its partitions may come through one source.
        for source in origin.sources.iter().collect::<BTreeSet<_>>() {
            found.entry(source.clone()).or_default().origins.push(origin.clone());
        }
    }
    if !newest.is_empty() {
        found.entry("file".to_owned()).or_default().files = newest.into_values().collect();
    }
    Ok(found.into_iter().map(|(name, node)| SourceNode { name, ..node }).collect())
}

fn source() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&SourceNode) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<SourceNode>().and_then(of))
        })
    };
    let list = |name: &str, of_type: &str, of: for<'a> fn(&'a SourceNode) -> Vec<FieldValue<'a>>| {
        Field::new(name, TypeRef::named_nn_list_nn(of_type), move |ctx| {
            FieldFuture::Value(ctx.parent_value.downcast_ref::<SourceNode>().map(|node| FieldValue::list(of(node))))
        })
    };
    let big = || TypeRef::named("BigInt");
    Object::new("Source")
        .description("Where records come from.")
        .field(field("name", TypeRef::named_nn(TypeRef::STRING), |node| Some(node.name.as_str().into())))
        .field(
            field("kind", TypeRef::named_nn(TypeRef::STRING), |node| {
                Some(if node.files.is_empty() { "kafka" } else { "files" }.into())
            })
            .description("kafka or files."),
        )
        .field(list("files", "SourceFile", |node| {
            node.files.iter().map(|file| FieldValue::borrowed_any(file)).collect()
        }))
        .field(list("partitions", "SourcePartition", |node| {
            node.partitions.values().map(|partition| FieldValue::borrowed_any(partition)).collect()
        }))
        .field(
            list("origins", "Origin", |node| {
                node.origins.iter().map(|origin| FieldValue::borrowed_any(origin)).collect()
            })
            .description("The databases that its events come from; of files none is told."),
        )
        .field(
            field("hindrance", TypeRef::named(TypeRef::STRING), |node| {
                node.state.as_ref()?.hindrance.as_deref().map(Value::from)
            })
            .description("What keeps this server from reading it; it is tried again until it succeeds."),
        )
        .field(
            list("unknownTopics", TypeRef::STRING, |node| topics(node, |state| &state.unknown_topics))
                .description("Topics that the configuration names and that are not there; read once they are."),
        )
        .field(
            list("deletedTopics", TypeRef::STRING, |node| topics(node, |state| &state.deleted_topics))
                .description("Topics that were deleted; what was read of them stays."),
        )
        .field(
            field("lettersCopied", big(), |node| Some(node.state.as_ref()?.letters_copied.to_string().into()))
                .description(
                    "Dead letters copied to the topic for them since this server began, if it reads this source.",
                ),
        )
        .field(
            field("lettersNotCopied", big(), |node| Some(node.state.as_ref()?.letters_not_copied.to_string().into()))
                .description("Those that could not be; they are dead letters here all the same."),
        )
}

fn topics<'a>(node: &SourceNode, of: fn(&SourceState) -> &Vec<String>) -> Vec<FieldValue<'a>> {
    let topics = node.state.iter().flat_map(of);
    topics.map(|topic| FieldValue::value(topic.as_str())).collect()
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
    let field = |name: &str, type_ref: TypeRef, of: fn(&PartitionNode) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<PartitionNode>().and_then(of))
        })
    };
    Object::new("SourcePartition")
        .description("A partition of a topic.")
        .field(field("topic", TypeRef::named_nn(TypeRef::STRING), |node| Some(node.topic.as_str().into())))
        .field(field("partition", TypeRef::named_nn(TypeRef::INT), |node| Some(node.partition.into())))
        .field(
            field("nextOffset", TypeRef::named_nn("BigInt"), |node| {
                let reached = node.committed.or_else(|| Some(node.state.as_ref()?.next));
                Some(reached.unwrap_or_default().to_string().into())
            })
            .description("The offset up to which its records are durable here."),
        )
        .field(
            field("lag", TypeRef::named("BigInt"), |node| Some(node.state.as_ref()?.lag?.to_string().into()))
                .description("Records that are there and not read yet; null where this server does not read it."),
        )
        .field(
            field("uncommitted", TypeRef::named("BigInt"), |node| {
                Some(node.state.as_ref()?.uncommitted.to_string().into())
            })
            .description(
                "Records that nobody may read before a producer's transaction ends; null where this server does not read \
                 it.",
            ),
        )
        .field(
            field("state", TypeRef::named(TypeRef::STRING), |node| Some(node.state.as_ref()?.state.into())).description(
                "reading; ahead (it waits for others that are behind in time); data_lost or topic_replaced (it waits \
                 for a person). null where this server does not read it.",
            ),
        )
        .field(
            field("problem", TypeRef::named(TypeRef::STRING), |node| {
                node.state.as_ref()?.problem.as_deref().map(Value::from)
            })
            .description("Why it is not read, and what to do."),
        )
}
