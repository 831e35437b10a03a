//! `appendEvents`: domain events of one aggregate, as a client gives them.

use std::{collections::HashSet, sync::Arc};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_event::Timestamp;
use deltafold_store::{ExpectedRevision, KnownAggregate};

use super::commands;
use crate::{
    Principal, aggregate,
    commands::{AppendEvents, NewEvent},
    errors::ApiError,
    limits::exceeded,
    reading::Reading,
    scalars, values,
};

const NAME: &str = "appendEvents";

/// The longest names of types.
const TYPE_BYTES: usize = 255;

/// The root fields.
pub(super) fn fields() -> [Field; 1] {
    let field = Field::new(NAME, TypeRef::named_nn("AppendedEvents"), |ctx| {
        FieldFuture::new(async move {
            let appended = append(&ctx).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(Some(FieldValue::owned_any(appended)))
        })
    });
    [field
        .description(
            "Appends domain events of one aggregate, all of them or none. Not to a type that a source table feeds. Tried \
             again with the same ids, it gives what the first time gave.",
        )
        .argument(InputValue::new("aggregate", TypeRef::named_nn("AggregateKey")).description("The aggregate."))
        .argument(
            InputValue::new("expectedRevision", TypeRef::named("ExpectedRevision"))
                .description("How many events it is to have before; any number, if not given."),
        )
        .argument(
            InputValue::new("events", TypeRef::named_nn_list_nn("NewEvent")).description("In the order of the log."),
        )]
}

/// The input types.
pub(super) fn inputs() -> [InputObject; 3] {
    let flag = |name: &str| InputValue::new(name, TypeRef::named(TypeRef::BOOLEAN));
    [
        InputObject::new("AggregateKey")
            .description("Which aggregate.")
            .field(InputValue::new("type", TypeRef::named_nn(TypeRef::STRING)))
            .field(InputValue::new("id", TypeRef::named_nn(TypeRef::ID))),
        InputObject::new("ExpectedRevision")
            .description("How many events an aggregate is to have: one of these.")
            .field(flag("any").description("Any number."))
            .field(flag("none").description("None: it is new."))
            .field(flag("exists").description("One at least."))
            .field(InputValue::new("exact", TypeRef::named(TypeRef::INT)).description("So many.")),
        InputObject::new("NewEvent")
            .description("A domain event.")
            .field(InputValue::new("id", TypeRef::named(TypeRef::ID)).description(
                "What no other event of the aggregate type has: with it the event can be appended again, and counts once. \
                 Made up, if not given.",
            ))
            .field(InputValue::new("type", TypeRef::named_nn(TypeRef::STRING)).description("As in item_added."))
            .field(InputValue::new("payload", TypeRef::named_nn("JSON")).description("What it says."))
            .field(
                InputValue::new("metadata", TypeRef::named("JSON"))
                    .description("What goes on record beside it, with who appends it."),
            )
            .field(
                InputValue::new("occurredAt", TypeRef::named("DateTime")).description("When it happened; now, if not given."),
            ),
    ]
}

/// What was appended.
struct Appended {
    position: String,
    revision: u64,
    ids: Vec<String>,
    were_there: bool,
}

async fn append(ctx: &ResolverContext<'_>) -> Result<Appended, ApiError> {
    let argument = |name: &str| ctx.args.get(name).map_or(Value::Null, |value| value.as_value().clone());
    let text = |of: &Value, member: &str, path: &str| {
        let Value::Object(members) = of else { return None };
        let found = members.get(member).and_then(scalars::digits)?;
        Some((found, format!("{NAME}.{path}.{member}")))
    };
    let aggregate = argument("aggregate");
    let missing = || ApiError::input(format!("{NAME}.aggregate"), "a type and an id", "less");
    let (aggregate_type, path) = text(&aggregate, "type", "aggregate").ok_or_else(missing)?;
    if aggregate_type.is_empty() || aggregate_type.len() > TYPE_BYTES || aggregate_type.starts_with('$') {
        let expected = format!("a name of at most {TYPE_BYTES} bytes that does not begin with $");
        return Err(ApiError::input(path, expected, format!("\"{aggregate_type}\"")));
    }
    let (aggregate_id, path) = text(&aggregate, "id", "aggregate").ok_or_else(missing)?;
    let most = Reading::of(ctx.ctx).limits.aggregate_id_bytes;
    if aggregate_id.is_empty() || aggregate_id.len() > most {
        return Err(ApiError::input(path, format!("1 to {most} bytes"), format!("{}", aggregate_id.len())));
    }
    let expected = expected(&argument("expectedRevision"))?;
    let events = events(&argument("events"))?;
    let most = Reading::of(ctx.ctx).limits.page_max;
    if events.len() > most {
        return Err(exceeded("page_max", most, events.len()));
    }

    let reading = Reading::of(ctx.ctx);
    let ids = events.iter().map(|event| event.event_id(&aggregate_type).to_string()).collect();
    let known = known(reading, &aggregate_type, &aggregate_id)?;
    let append = AppendEvents { aggregate_type, aggregate_id, expected, known, events };
    let appended = commands(ctx).append_events(append, Principal::of(ctx.ctx)?).await.map_err(ApiError::of_command)?;
    let (position, revision) = (appended.position.to_string(), appended.revision);
    Ok(Appended { position, revision, ids, were_there: appended.was_there })
}

fn expected(given: &Value) -> Result<ExpectedRevision, ApiError> {
    let Value::Object(members) = given else { return Ok(ExpectedRevision::Any) };
    let mut found = Vec::new();
    for (name, value) in members {
        match (name.as_str(), value) {
            (_, Value::Null | Value::Boolean(false)) => {}
            ("any", _) => found.push(ExpectedRevision::Any),
            ("none", _) => found.push(ExpectedRevision::None),
            ("exists", _) => found.push(ExpectedRevision::Exists),
            (_, value) => {
                let exact = scalars::digits(value).and_then(|digits| digits.parse().ok()).ok_or_else(|| {
                    let path = format!("{NAME}.expectedRevision.exact");
                    ApiError::input(path, "a number that is not negative", value.to_string())
                })?;
                found.push(ExpectedRevision::Exact(exact));
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(*one),
        others => {
            let expected = "one of any: true, none: true, exists: true and exact: N";
            Err(ApiError::input(format!("{NAME}.expectedRevision"), expected, format!("{} of them", others.len())))
        }
    }
}

fn events(given: &Value) -> Result<Vec<NewEvent>, ApiError> {
    let given = match given {
        Value::List(events) => events.as_slice(),
        one => std::slice::from_ref(one),
    };
    if given.is_empty() {
        return Err(ApiError::input(format!("{NAME}.events"), "an event at least", "none"));
    }
    let now = Timestamp::from(chrono::Utc::now());
    let mut ids = HashSet::new();
    let event = |(index, given): (usize, &Value)| {
        let path = |member: &str| format!("{NAME}.events[{index}].{member}");
        let Value::Object(members) = given else {
            return Err(ApiError::input(format!("{NAME}.events[{index}]"), "an event", given.to_string()));
        };
        let member = |name: &str| members.get(name).filter(|value| **value != Value::Null);
        let own_id = match member("id").and_then(scalars::digits) {
            Some(id) if id.is_empty() || id.len() > TYPE_BYTES => {
                return Err(ApiError::input(path("id"), format!("1 to {TYPE_BYTES} bytes"), id.len().to_string()));
            }
            Some(id) => id,
            None => NewEvent::made_up_id(),
        };
        if !ids.insert(own_id.clone()) {
            return Err(ApiError::input(path("id"), "an id that no other of the events has", format!("\"{own_id}\"")));
        }
        let event_type = member("type").and_then(scalars::digits).unwrap_or_default();
        if event_type.is_empty() || event_type.len() > TYPE_BYTES {
            let expected = format!("a name of at most {TYPE_BYTES} bytes");
            return Err(ApiError::input(path("type"), expected, format!("\"{event_type}\"")));
        }
        let occurred_at = match member("occurredAt") {
            Some(given) => scalars::moment(given).ok_or_else(|| {
                let expected = "a DateTime with its zone, as in \"2026-11-21T14:00:00Z\"";
                ApiError::input(path("occurredAt"), expected, given.to_string())
            })?,
            None => now,
        };
        Ok(NewEvent {
            own_id,
            event_type,
            payload: values::into_json(members.get("payload").cloned().unwrap_or_default()),
            metadata: member("metadata").cloned().map(values::into_json),
            occurred_at,
        })
    };
    given.iter().enumerate().map(event).collect()
}

/// What the views know of an aggregate.
fn known(reading: &Reading, aggregate_type: &str, id: &str) -> Result<KnownAggregate, ApiError> {
    let below = reading.end();
    // A type that nothing is known of has no events below.
    let Some(view) = reading.aggregates_of(aggregate_type) else {
        return Ok(KnownAggregate { below, ..KnownAggregate::default() });
    };
    let revision = aggregate::revision(reading, &view, id, deltafold_view::At::NOW)?;
    let reader = reading.snapshot.reader(&view.rows);
    let has = move |event| {
        reader.seen(event).unwrap_or_else(|error| {
            // Counted as new, so that at worst an append is refused that could have been made.
            tracing::error!(%error, "whether an event is there cannot be read");
            false
        })
    };
    Ok(KnownAggregate { below, revision, has: Arc::new(has) })
}

/// The type of what it gives back.
pub(super) fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Appended) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<Appended>().map(of))
        })
    };
    Object::new("AppendedEvents")
        .description("That events are in the log.")
        .field(
            field("position", TypeRef::named_nn("Position"), |appended| appended.position.as_str().into())
                .description("Where the last of them stands. Wait for it with minPosition."),
        )
        .field(
            field("revision", TypeRef::named_nn(TypeRef::INT), |appended| appended.revision.into())
                .description("How many events the aggregate has with them."),
        )
        .field(
            field("ids", TypeRef::named_nn_list_nn(TypeRef::ID), |appended| {
                Value::List(appended.ids.iter().map(|id| id.as_str().into()).collect())
            })
            .description("What they are known by in the log, in their order."),
        )
        .field(
            field("wereThere", TypeRef::named_nn(TypeRef::BOOLEAN), |appended| appended.were_there.into())
                .description("Whether they were there before: nothing was appended then."),
        )
}
