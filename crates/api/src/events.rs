//! The audit log: events as the store keeps them, each once, at its first delivery.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_event::{EventId, Position, StoredEvent, Timestamp};
use deltafold_store::{Direction, EventFilter};
use deltafold_view::At;

use crate::{
    cursor::{Cursor, digest},
    errors::ApiError,
    order::Place,
    page::{self, Edge, Page, PageArgs},
    reading::Reading,
    scalars, values,
};

/// An event, or only its id where nothing else was asked for.
pub(crate) struct EventNode {
    id: EventId,
    stored: Option<Box<StoredEvent>>,
}

impl EventNode {
    /// An event that was read.
    pub(crate) fn stored(event: StoredEvent) -> Self {
        Self { id: event.event.id, stored: Some(Box::new(event)) }
    }
}

/// How many entries of an aggregate are looked through for an event before the store is asked.
const LOOK_THROUGH: usize = 16;

/// The root fields `event` and `events`.
pub(crate) fn fields() -> [Field; 2] {
    let event = Field::new("event", TypeRef::named("Event"), |ctx| {
        let given = ctx.args.get("id").and_then(|id| scalars::digits(id.as_value())).unwrap_or_default();
        match given.parse::<EventId>() {
            Ok(id) => by_id(ctx, Some(id)),
            Err(_) => ApiError::input("event.id", "an event id: a UUID", format!("\"{given}\"")).into_field(&ctx),
        }
    })
    .description("The event with this id, at its first delivery.")
    .argument(InputValue::new("id", TypeRef::named_nn(TypeRef::ID)).description("The event's id, a UUID."));
    let events = Field::new("events", TypeRef::named_nn("EventConnection"), |ctx| {
        FieldFuture::new(async move {
            list(&ctx).await.map(|page| Some(FieldValue::owned_any(page))).map_err(|error| error.into_graphql(&ctx))
        })
    })
    .description("The events in the order of their positions, each once, at its first delivery.")
    .argument(
        InputValue::new("where", TypeRef::named("EventFilter"))
            .description("Which events; all but the store's own, if not given."),
    );
    [event, page::arguments(events)]
}

/// The event with this id.
pub(crate) fn by_id<'a>(ctx: ResolverContext<'a>, id: Option<EventId>) -> FieldFuture<'a> {
    let Some(id) = id else { return FieldFuture::Value(None) };
    let is_root = ctx.ctx.path_node.is_some_and(|node| node.parent.is_none());
    let only_id = ctx.ctx.field().selection_set().all(|field| matches!(field.name(), "id" | "__typename"));
    if only_id && !is_root {
        return FieldFuture::Value(Some(FieldValue::owned_any(EventNode { id, stored: None })));
    }
    FieldFuture::new(async move {
        let found = Reading::of(ctx.ctx).log.find(id).await.map_err(|error| error.into_graphql(&ctx))?;
        Ok(found.map(|event| FieldValue::owned_any(EventNode::stored(event))))
    })
}

/// The types.
pub(crate) fn objects() -> [Object; 3] {
    let connection = page::connection::<Page<EventNode>>("EventConnection", "EventEdge", "Event");
    [object(), connection, page::edge::<EventNode>("EventEdge", "Event")]
}

/// The input types.
pub(crate) fn inputs() -> [InputObject; 4] {
    let range = |name: &str, scalar: &str| {
        ["_gt", "_gte", "_lt", "_lte"].iter().fold(InputObject::new(name), |input, operator| {
            input.field(InputValue::new(*operator, TypeRef::named(scalar)))
        })
    };
    let name = InputObject::new("EventNameFilter").field(InputValue::new("_eq", TypeRef::named(TypeRef::STRING)));
    let filter = InputObject::new("EventFilter")
        .description("Which events: those that satisfy every part.")
        .field(
            InputValue::new("aggregateType", TypeRef::named("EventNameFilter"))
                .description("The store's own events have types that start with $, and come only when asked for."),
        )
        .field(InputValue::new("aggregateId", TypeRef::named("EventNameFilter")))
        .field(InputValue::new("eventType", TypeRef::named("EventNameFilter")))
        .field(InputValue::new("id", TypeRef::named("EventNameFilter")).description("An event's id: a UUID."))
        .field(
            InputValue::new("transactionId", TypeRef::named("EventNameFilter"))
                .description("What one transaction of a source changed; such ids are the source's own."),
        )
        .field(InputValue::new("position", TypeRef::named("PositionRange")))
        .field(InputValue::new("occurredAt", TypeRef::named("DateTimeRange")));
    [filter, name, range("PositionRange", "Position"), range("DateTimeRange", "DateTime")]
}

/// The filter that `where` asks for, of the events before `end`.
///
/// # Errors
/// When a value does not fit.
pub(crate) fn filter(asked: Option<&Value>, end: Position) -> Result<EventFilter, ApiError> {
    let mut filter = EventFilter { to: Some(end), without_control: true, ..EventFilter::default() };
    let Some(Value::Object(parts)) = asked else { return Ok(filter) };
    for (part, operators) in parts {
        let Value::Object(operators) = operators else { continue };
        for (operator, value) in operators {
            let path = format!("events.where.{part}.{operator}");
            if *value == Value::Null {
                return Err(ApiError::input(path, "a value", "null"));
            }
            let text = || if let Value::String(text) = value { Some(text.clone()) } else { None };
            match (part.as_str(), operator.as_str()) {
                ("aggregateType", _) => {
                    filter.aggregate_type = text();
                    filter.without_control = false;
                }
                ("aggregateId", _) => filter.aggregate_id = text(),
                ("eventType", _) => filter.event_type = text(),
                ("transactionId", _) => filter.transaction_id = text(),
                ("id", _) => {
                    let id = text().and_then(|id| id.parse().ok());
                    filter.id =
                        Some(id.ok_or_else(|| ApiError::input(path, "an event id: a UUID", value.to_string()))?);
                }
                ("position", operator) => {
                    let Some(position) = scalars::position(value) else { continue };
                    match operator {
                        "_gt" => filter.from = filter.from.max(Some(position.next())),
                        "_gte" => filter.from = filter.from.max(Some(position)),
                        "_lt" => filter.to = filter.to.min(Some(position)),
                        _ => filter.to = filter.to.min(Some(position.next())),
                    }
                }
                (_, operator) => {
                    let expected = "a DateTime with its zone, as in \"2026-11-21T14:00:00Z\"";
                    let moment =
                        scalars::moment(value).ok_or_else(|| ApiError::input(path, expected, value.to_string()))?;
                    let next = Timestamp::from_micros(moment.as_micros().saturating_add(1));
                    let least = |end: Option<Timestamp>, new| Some(end.map_or(new, |end: Timestamp| end.min(new)));
                    match operator {
                        "_gt" => filter.occurred_from = filter.occurred_from.max(Some(next)),
                        "_gte" => filter.occurred_from = filter.occurred_from.max(Some(moment)),
                        "_lt" => filter.occurred_to = least(filter.occurred_to, moment),
                        _ => filter.occurred_to = least(filter.occurred_to, next),
                    }
                }
            }
        }
    }
    Ok(filter)
}

async fn list(ctx: &ResolverContext<'_>) -> Result<Page<EventNode>, ApiError> {
    let reading = Reading::of(ctx.ctx);
    let page = PageArgs::of(&ctx.args, &reading.limits, "events")?;
    let asked = ctx.args.get("where").map(|value| value.as_value().clone());
    let list = digest(["events", &asked.as_ref().map_or_else(String::new, Value::to_string)]);
    let cursor = |name: &str, text: &Option<String>| {
        let path = format!("events.{name}");
        let Some(text) = text else { return Ok(None) };
        let cursor = Cursor::parse(text, list, &path)?;
        match cursor.place.key.parse::<Position>() {
            Ok(position) => Ok(Some((cursor.at.position, position))),
            Err(_) => Err(ApiError::BadCursor { path }),
        }
    };
    let (after, before) = (cursor("after", &page.after)?, cursor("before", &page.before)?);
    let last = after.or(before).map_or(reading.position(), |(frozen, _)| frozen.min(reading.position()));
    let mut filter = filter(asked.as_ref(), last.next())?;
    if let Some((_, position)) = after {
        filter.from = filter.from.max(Some(position.next()));
    }
    if let Some((_, position)) = before {
        filter.to = filter.to.min(Some(position));
    }
    let direction = if page.backward { Direction::Backward } else { Direction::Forward };
    let found = first_deliveries(reading, filter, direction, page.size + 1).await?;
    let edge = |event: StoredEvent| {
        let place = Place { values: Vec::new(), key: event.position.to_string() };
        let at = At { time: Timestamp::MAX, position: last };
        let cursor = Cursor { list, at, is_past: false, place }.encode();
        Edge { node: EventNode::stored(event), cursor }
    };
    Ok(Page::new(found.into_iter().map(edge).collect(), &page))
}

/// The first (or last) so many events that a filter leaves, without what was delivered again.
pub(crate) async fn first_deliveries(
    reading: &Reading,
    mut filter: EventFilter,
    direction: Direction,
    limit: usize,
) -> Result<Vec<StoredEvent>, ApiError> {
    let mut found = Vec::new();
    loop {
        let wanted = limit - found.len();
        let batch = reading.log.scan(filter.clone(), direction, wanted).await?;
        let Some(last) = batch.last() else { return Ok(found) };
        match direction {
            Direction::Forward => filter.from = Some(last.position.next()),
            Direction::Backward => filter.to = Some(last.position),
        }
        let is_last = batch.len() < wanted;
        for event in batch {
            if is_first_delivery(reading, &event).await? {
                found.push(event);
            }
        }
        if is_last || found.len() >= limit {
            return Ok(found);
        }
    }
}

/// Whether the event was not in the store before. Its aggregate's mirror mostly knows; else the store does.
async fn is_first_delivery(reading: &Reading, event: &StoredEvent) -> Result<bool, ApiError> {
    if event.event.is_control() {
        return Ok(true);
    }
    let view = reading.model.views.iter().find(|view| *view.info.name == *event.event.aggregate_type);
    if let (Some(view), Some(id)) = (view, &event.event.aggregate_id) {
        let entries = reading.reader(view, Position::MAX).entries_from(id, event.event.occurred_at, &[]);
        for entry in entries.take(LOOK_THROUGH) {
            let entry = entry.map_err(|error| ApiError::internal("events", error))?;
            if entry.entry().position == event.position {
                return Ok(true);
            }
        }
    }
    let first = reading.log.find(event.event.id).await?;
    Ok(first.is_none_or(|first| first.position == event.position))
}

fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&StoredEvent) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            let node = ctx.parent_value.downcast_ref::<EventNode>();
            FieldFuture::from_value(node.and_then(|node| node.stored.as_deref()).and_then(of))
        })
    };
    let json = |text: &Option<String>| text.as_deref().map(values::of_text);
    Object::new("Event")
        .description("One change, or one domain event, as the store keeps it.")
        .field(Field::new("id", TypeRef::named_nn(TypeRef::ID), |ctx| {
            let node = ctx.parent_value.downcast_ref::<EventNode>();
            FieldFuture::from_value(node.map(|node| node.id.to_string().into()))
        }))
        .field(
            field("position", TypeRef::named_nn("Position"), |event| Some(event.position.to_string().into()))
                .description("Where it stands in the store."),
        )
        .field(
            field("recordedAt", TypeRef::named_nn("DateTime"), |event| Some(event.recorded_at.to_string().into()))
                .description("When the store took it in."),
        )
        .field(
            field("occurredAt", TypeRef::named_nn("DateTime"), |event| {
                Some(event.event.occurred_at.to_string().into())
            })
            .description("When the source says it happened."),
        )
        .field(field("aggregateType", TypeRef::named_nn(TypeRef::STRING), |event| {
            Some(Value::from(&*event.event.aggregate_type))
        }))
        .field(
            field("aggregateId", TypeRef::named(TypeRef::ID), |event| {
                event.event.aggregate_id.as_deref().map(Value::from)
            })
            .description("Null of a truncate: it is about all of its type."),
        )
        .field(field("eventType", TypeRef::named_nn(TypeRef::STRING), |event| {
            Some(Value::from(&*event.event.event_type))
        }))
        .field(
            field("operation", TypeRef::named(TypeRef::STRING), |event| {
                event.event.operation.map(|operation| operation.letter().into())
            })
            .description("c, u, d, r or t; null of a domain event."),
        )
        .field(
            Field::new("before", TypeRef::named("JSON"), move |ctx| {
                let node = ctx.parent_value.downcast_ref::<EventNode>();
                let event = node.and_then(|node| node.stored.as_deref());
                FieldFuture::from_value(event.and_then(|event| json(&event.event.before)))
            })
            .description("The row before, as the source gave it: not always whole."),
        )
        .field(
            Field::new("after", TypeRef::named("JSON"), move |ctx| {
                let node = ctx.parent_value.downcast_ref::<EventNode>();
                let event = node.and_then(|node| node.stored.as_deref());
                FieldFuture::from_value(event.and_then(|event| json(&event.event.after)))
            })
            .description("The row after, as the source gave it: not always whole."),
        )
        .field(
            field("payload", TypeRef::named("JSON"), |event| {
                let is_domain = event.event.operation.is_none();
                is_domain.then(|| event.event.after.as_deref().map(values::of_text)).flatten()
            })
            .description("Of a domain event: what it says."),
        )
        .field(
            field("metadata", TypeRef::named("JSON"), |event| Some(values::of_text(&event.event.metadata)))
                .description("The source block, the key and the headers, as the source gave them."),
        )
        .field(field("transactionId", TypeRef::named(TypeRef::STRING), |event| {
            event.event.transaction_id.as_deref().map(Value::from)
        }))
        .field(field("source", TypeRef::named_nn(TypeRef::STRING), |event| {
            Some(Value::from(&*event.event.coordinates.source))
        }))
        .field(field("topic", TypeRef::named_nn(TypeRef::STRING), |event| {
            Some(Value::from(&*event.event.coordinates.topic))
        }))
        .field(field("partition", TypeRef::named_nn(TypeRef::INT), |event| {
            Some(event.event.coordinates.partition.into())
        }))
        .field(
            field("offset", TypeRef::named_nn("BigInt"), |event| {
                Some(event.event.coordinates.offset.to_string().into())
            })
            .description("Its offset; of a line of a file the line's number."),
        )
}
