//! The events of one aggregate, with what each made of its row.
//!
//! Rows come from what the relation keeper wrote down after each event: images, not the events' `before` and `after`,
//! which are not always whole. As of a moment, the events are those that were valid then, with the images that were
//! believed at its position.

use std::sync::Arc;

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, Object, ResolverContext, TypeRef},
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use deltafold_event::{Position, Timestamp};
use deltafold_projector::{Record, to_record};
use deltafold_view::At;

use crate::{
    cursor::{Cursor, digest},
    diff,
    entries::{self, Coordinate},
    errors::ApiError,
    events::EventNode,
    model::ViewModel,
    order::Place,
    page::{self, Edge, Page, PageArgs},
    reading::{Moment, Reading},
};

/// One event of an aggregate.
pub(crate) struct HistoryNode {
    view: Arc<ViewModel>,
    record: Record,
    recorded_to: Option<Position>,
    before: Option<Box<str>>,
    event: Option<EventNode>,
}

/// A field `_history`, or `history`, of what `of` finds in its parent.
pub(crate) fn field(
    of: impl Fn(&ResolverContext<'_>) -> Option<(Arc<ViewModel>, String, Moment)> + Send + Sync + 'static,
) -> Field {
    named("_history", of)
}

/// The same under another name.
pub(crate) fn named(
    name: &'static str,
    of: impl Fn(&ResolverContext<'_>) -> Option<(Arc<ViewModel>, String, Moment)> + Send + Sync + 'static,
) -> Field {
    let field = Field::new(name, TypeRef::named_nn("AggregateEventConnection"), move |ctx| {
        let parent = of(&ctx);
        FieldFuture::new(async move {
            let Some((view, key, moment)) = parent else { return Ok(None) };
            let found = read(&ctx, view, &key, moment, name).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(Some(FieldValue::owned_any(found)))
        })
    });
    page::arguments(field.description("Its events, oldest first, with what each changed."))
}

/// The types.
pub(crate) fn objects() -> [Object; 4] {
    let connection =
        page::connection::<Page<HistoryNode>>("AggregateEventConnection", "AggregateEventEdge", "AggregateEvent");
    [connection, page::edge::<HistoryNode>("AggregateEventEdge", "AggregateEvent"), object(), diff::object()]
}

async fn read(
    ctx: &ResolverContext<'_>,
    view: Arc<ViewModel>,
    key: &str,
    moment: Moment,
    path: &str,
) -> Result<Page<HistoryNode>, ApiError> {
    let found = page_of(ctx, &view, key, moment, path, |before, (stored, recorded_to)| {
        let record = to_record(&view.info.name, &stored).map_err(|error| ApiError::internal("history", error))?;
        Ok(HistoryNode { view: view.clone(), record, recorded_to, before, event: None })
    });
    let mut found = found.await?;
    let ahead = ctx.look_ahead();
    if ahead.field("nodes").field("event").exists() || ahead.field("edges").field("node").field("event").exists() {
        load_events(Reading::of(ctx.ctx), &mut found.edges).await?;
    }
    Ok(found)
}

/// The page that a field asks for of what there is of a key, each with the image before it, as nodes.
///
/// # Errors
/// When the cursors are none of this list, or the index cannot be read.
pub(crate) async fn page_of<N>(
    ctx: &ResolverContext<'_>,
    view: &ViewModel,
    key: &str,
    moment: Moment,
    path: &str,
    node: impl Fn(Option<Box<str>>, entries::Believed) -> Result<N, ApiError>,
) -> Result<Page<N>, ApiError> {
    let reading = Reading::of(ctx.ctx);
    let page = PageArgs::of(&ctx.args, &reading.limits, path)?;
    let list = digest(["history", &view.info.name, key]);
    let cursor = |name: &str, text: &Option<String>| {
        let path = format!("{path}.{name}");
        let Some(text) = text else { return Ok(None) };
        let cursor = Cursor::parse(text, list, &path)?;
        coordinate(&cursor.place).map(|at| Some((cursor, at))).ok_or(ApiError::BadCursor { path })
    };
    let (after, before) = (cursor("after", &page.after)?, cursor("before", &page.before)?);
    // A page goes on as of where the one before it was read, unless what it hangs on is of the past itself.
    let mut at = moment.at;
    if let Some((cursor, _)) = after.as_ref().or(before.as_ref())
        && at.position == reading.now()
    {
        at.position = reading.at_position(cursor.at.position, &format!("{path}.after"))?;
    }
    reading.enter(view, Moment { at, ..moment }, path).await?;
    let reader = reading.reader(view, at.position);
    let frozen = At { position: at.position.min(reading.position()), ..at };
    let entries = entries::page(&reader, key, at, &page, after.map(|(_, at)| at), before.map(|(_, at)| at));
    let entries = entries.map_err(|error| ApiError::internal("history", error))?;
    let mut edges = Vec::with_capacity(entries.found.len());
    for (before, (stored, recorded_to)) in entries.found {
        let entry = stored.entry();
        let place = place(key, entry.valid_from, entry.order);
        let cursor = Cursor { list, at: frozen, is_past: moment.is_past, place }.encode();
        edges.push(Edge { node: node(before, (stored, recorded_to))?, cursor });
    }
    let mut found = Page::new(edges, &page);
    (found.has_next, found.has_previous) = (entries.more_after, entries.more_before);
    Ok(found)
}

async fn load_events(reading: &Reading, edges: &mut [Edge<HistoryNode>]) -> Result<(), ApiError> {
    let mut positions: Vec<Position> = edges.iter().map(|edge| edge.node.record.position).collect();
    positions.sort_unstable();
    positions.dedup();
    let events = reading.log.events_at(positions).await?;
    for edge in edges {
        let found = events.binary_search_by_key(&edge.node.record.position, |event| event.position);
        edge.node.event = found.ok().map(|index| EventNode::stored(events[index].clone()));
    }
    Ok(())
}

fn place(key: &str, valid_from: Timestamp, order: &[u8]) -> Place {
    Place {
        values: vec![valid_from.as_micros().into(), BASE64_STANDARD_NO_PAD.encode(order).into()],
        key: key.to_owned(),
    }
}

fn coordinate(place: &Place) -> Option<Coordinate> {
    let [time, order] = place.values.as_slice() else { return None };
    let order = BASE64_STANDARD_NO_PAD.decode(order.as_str()?).ok()?;
    Some((Timestamp::from_micros(time.as_i64()?), order))
}

fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&HistoryNode) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<HistoryNode>().and_then(of))
        })
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    Object::new("AggregateEvent")
        .description("One event of an aggregate, with what it made of its row.")
        .field(field("id", TypeRef::named_nn(TypeRef::ID), |node| Some(node.record.id.to_string().into())))
        .field(
            field("revision", TypeRef::named(TypeRef::INT), |node| {
                (node.record.revision > 0).then(|| node.record.revision.into())
            })
            .description(
                "Its rank among the events of its aggregate, by position: 1, 2, 3…; null of what happened to the whole \
                 type (a truncate, a change of the key).",
            ),
        )
        .field(field("eventType", TypeRef::named_nn(TypeRef::STRING), |node| {
            Some(Value::from(&*node.record.event_type))
        }))
        .field(
            field("operation", TypeRef::named(TypeRef::STRING), |node| {
                node.record.operation.map(|operation| operation.letter().into())
            })
            .description("c, u, d, r or t; null of a domain event."),
        )
        .field(
            field("occurredAt", TypeRef::named_nn("DateTime"), |node| Some(node.record.occurred_at.to_string().into()))
                .description("When the source says it happened."),
        )
        .field(
            field("validFrom", TypeRef::named_nn("DateTime"), |node| Some(node.record.valid_from.to_string().into()))
                .description("From when on it counts: never before the event that precedes it."),
        )
        .field(
            field("position", TypeRef::named_nn("Position"), |node| Some(node.record.position.to_string().into()))
                .description("Where it stands in the store, at its first delivery."),
        )
        .field(
            field("recordedFrom", TypeRef::named_nn("Position"), |node| {
                Some(node.record.recorded_from.to_string().into())
            })
            .description("The position from which this image was believed."),
        )
        .field(field("recordedTo", TypeRef::named("Position"), |node| {
            node.recorded_to.map(|position| position.to_string().into())
        }))
        .field(field("transactionId", TypeRef::named(TypeRef::STRING), |node| {
            node.record.kind.is_own().then(|| node.record.transaction.as_deref().map(Value::from)).flatten()
        }))
        .field(
            Field::new("movedFrom", TypeRef::named(TypeRef::ID), move |ctx| {
                let node = ctx.parent_value.downcast_ref::<HistoryNode>();
                FieldFuture::from_value(node.and_then(|node| text(&node.record.moved_from)))
            })
            .description("Of the second half of a key update: the id the row had."),
        )
        .field(
            Field::new("movedTo", TypeRef::named(TypeRef::ID), move |ctx| {
                let node = ctx.parent_value.downcast_ref::<HistoryNode>();
                FieldFuture::from_value(node.and_then(|node| text(&node.record.moved_to)))
            })
            .description("Of the first half of a key update: the id the row got."),
        )
        .field(field("incomplete", TypeRef::named_nn(TypeRef::BOOLEAN), |node| {
            Some(node.record.shown().is_some_and(|row| row.incomplete).into())
        }))
        .field(
            Field::new("state", TypeRef::named("JSON"), |ctx| {
                let Some(node) = ctx.parent_value.downcast_ref::<HistoryNode>() else {
                    return FieldFuture::Value(None);
                };
                match node.record.shown().map(|row| diff::state(&node.view, &row.json)).transpose() {
                    Ok(value) => FieldFuture::from_value(value),
                    Err(error) => error.into_field(&ctx),
                }
            })
            .description("The row after it, by field; null when there is none."),
        )
        .field(
            Field::new("diff", TypeRef::named_nn_list_nn("FieldChange"), |ctx| {
                let Some(node) = ctx.parent_value.downcast_ref::<HistoryNode>() else {
                    return FieldFuture::Value(None);
                };
                let after = node.record.shown().map(|row| row.json.as_str());
                match diff::changes(&node.view, node.before.as_deref(), after) {
                    Ok(changes) => {
                        FieldFuture::Value(Some(FieldValue::list(changes.into_iter().map(FieldValue::owned_any))))
                    }
                    Err(error) => error.into_field(&ctx),
                }
            })
            .description("What it changed: the image before against the image after."),
        )
        .field(
            Field::new("event", TypeRef::named("Event"), |ctx| {
                let node = ctx.parent_value.downcast_ref::<HistoryNode>();
                FieldFuture::Value(
                    node.and_then(|node| node.event.as_ref()).map(|event| FieldValue::borrowed_any(event)),
                )
            })
            .description("The event itself, as the store keeps it."),
        )
}
