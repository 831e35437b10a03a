//! Records that could not become events.

use async_graphql::{
    Value,
    dynamic::{Enum, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, TypeRef},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use deltafold_event::{EventId, Timestamp};
use deltafold_store::{DeadLetter, DeadLetterFilter, LetterState, Outcome, RecordedLetter, Settlement};
use deltafold_view::At;

use crate::{
    cursor::{Cursor, digest},
    errors::ApiError,
    order::Place,
    page::{self, Edge, Page, PageArgs},
    reading::Reading,
    values,
};

/// The root fields.
pub(crate) fn fields() -> [Field; 2] {
    let one = Field::new("deadLetter", TypeRef::named("DeadLetter"), |ctx| {
        FieldFuture::new(async move {
            let asked = ctx.args.get("number").and_then(|number| number.i64().ok());
            let Some(number) = asked.and_then(|number| u64::try_from(number).ok()) else { return Ok(None) };
            let found = Reading::of(ctx.ctx).log.dead_letter(number).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(found.map(FieldValue::owned_any))
        })
    })
    .description("The dead letter with this number.")
    .argument(InputValue::new("number", TypeRef::named_nn(TypeRef::INT)).description("Its number, from 1."));
    let many = Field::new("deadLetters", TypeRef::named_nn("DeadLetterConnection"), |ctx| {
        FieldFuture::new(async move {
            list(&ctx).await.map(|page| Some(FieldValue::owned_any(page))).map_err(|error| error.into_graphql(&ctx))
        })
    })
    .description("Records that could not become events, in the order of their arrival.")
    .argument(
        InputValue::new("where", TypeRef::named("DeadLetterFilter")).description("Which of them; all, if not given."),
    );
    [one, page::arguments(many)]
}

/// The types.
pub(crate) fn objects() -> [Object; 4] {
    let connection = page::connection::<Page<RecordedLetter>>("DeadLetterConnection", "DeadLetterEdge", "DeadLetter");
    [object(), settlement(), connection, page::edge::<RecordedLetter>("DeadLetterEdge", "DeadLetter")]
}

/// The states.
pub(crate) fn states() -> Enum {
    LetterState::ALL.into_iter().fold(Enum::new("DeadLetterState"), |states, state| states.item(name(state)))
}

fn name(state: LetterState) -> &'static str {
    match state {
        LetterState::Open => "OPEN",
        LetterState::Retried => "RETRIED",
        LetterState::Discarded => "DISCARDED",
    }
}

/// The input types.
pub(crate) fn inputs() -> [InputObject; 2] {
    let part = |name: &str| InputValue::new(name, TypeRef::named("EventNameFilter"));
    let filter = InputObject::new("DeadLetterFilter")
        .field(part("source"))
        .field(part("topic"))
        .field(part("code"))
        .field(InputValue::new("state", TypeRef::named("DeadLetterStateFilter")));
    let state =
        InputObject::new("DeadLetterStateFilter").field(InputValue::new("_eq", TypeRef::named("DeadLetterState")));
    [filter, state]
}

async fn list(ctx: &ResolverContext<'_>) -> Result<Page<RecordedLetter>, ApiError> {
    let reading = Reading::of(ctx.ctx);
    let page = PageArgs::of(&ctx.args, &reading.limits, "deadLetters")?;
    let asked = ctx.args.get("where").map(|value| value.as_value().clone()).unwrap_or_default();
    let list = digest(["deadLetters", &asked.to_string()]);
    let cursor = |name: &str, text: &Option<String>| {
        let path = format!("deadLetters.{name}");
        let Some(text) = text else { return Ok(None) };
        let number = Cursor::parse(text, list, &path)?.place.key.parse::<u64>();
        number.map(Some).map_err(|_| ApiError::BadCursor { path })
    };
    let (after, before) = (cursor("after", &page.after)?, cursor("before", &page.before)?);
    let part = |name: &str| match &asked {
        Value::Object(parts) => match parts.get(name) {
            Some(Value::Object(operators)) => match operators.get("_eq") {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Enum(text)) => Some(text.to_string()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    };
    let filter = DeadLetterFilter {
        source: part("source"),
        topic: part("topic"),
        code: part("code"),
        state: part("state").and_then(|asked| LetterState::ALL.into_iter().find(|state| name(*state) == asked)),
        after,
        to: before.map(|before| before.saturating_sub(1)),
        // From the end there is no way but through all of them.
        limit: (!page.backward).then_some(page.size + 1),
        bytes: None,
    };
    let mut found = reading.log.dead_letters(filter).await?;
    if page.backward {
        found.reverse();
    }
    found.truncate(page.size + 1);
    let edge = |node: RecordedLetter| {
        let place = Place { values: Vec::new(), key: node.number.to_string() };
        let at = At { time: Timestamp::MAX, position: reading.position() };
        let cursor = Cursor { list, at, is_past: false, place }.encode();
        Edge { node, cursor }
    };
    Ok(Page::new(found.into_iter().map(edge).collect(), &page))
}

fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&DeadLetter) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            let node = ctx.parent_value.downcast_ref::<RecordedLetter>();
            FieldFuture::from_value(node.and_then(|node| of(&node.letter)))
        })
    };
    let on_record = |name: &str, type_ref: TypeRef, of: fn(&RecordedLetter) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<RecordedLetter>().map(of))
        })
    };
    let text = || TypeRef::named(TypeRef::STRING);
    let some_text = || TypeRef::named_nn(TypeRef::STRING);
    Object::new("DeadLetter")
        .description("A record that could not become an event, whole, with the reason.")
        .field(on_record("number", TypeRef::named_nn(TypeRef::INT), |node| node.number.into()))
        .field(
            on_record("id", TypeRef::named_nn(TypeRef::ID), |node| node.letter.id().to_string().into())
                .description("What it is known by in the event store: the id of its aggregate of type $dead_letter."),
        )
        .field(
            on_record("state", TypeRef::named_nn("DeadLetterState"), |node| {
                Value::Enum(async_graphql::Name::new(name(node.state())))
            })
            .description("Whether something became of it."),
        )
        .field(
            Field::new("settlement", TypeRef::named("DeadLetterSettlement"), |ctx| {
                let node = ctx.parent_value.downcast_ref::<RecordedLetter>();
                let settlement = node.and_then(|node| node.settlement.as_ref());
                FieldFuture::Value(settlement.map(|settlement| FieldValue::borrowed_any(settlement)))
            })
            .description("What became of it; null while it is open."),
        )
        .field(
            field("code", some_text(), |letter| Some(letter.code.as_str().into()))
                .description("A stable name of the reason."),
        )
        .field(
            field("reason", some_text(), |letter| Some(letter.reason.as_str().into()))
                .description("The reason, with what to do."),
        )
        .field(field("source", some_text(), |letter| Some(letter.source.as_str().into())))
        .field(field("topic", some_text(), |letter| Some(letter.topic.as_str().into())))
        .field(field("partition", TypeRef::named_nn(TypeRef::INT), |letter| Some(letter.partition.into())))
        .field(field("offset", TypeRef::named_nn("BigInt"), |letter| Some(letter.offset.to_string().into())))
        .field(field("file", text(), |letter| letter.file.as_deref().map(Value::from)))
        .field(field("line", TypeRef::named("BigInt"), |letter| letter.line.map(|line| line.to_string().into())))
        .field(
            field("key", TypeRef::named("Bytes"), |letter| bytes(letter.key.as_deref()))
                .description("The record's key, as it came."),
        )
        .field(
            field("value", TypeRef::named("Bytes"), |letter| bytes(letter.value.as_deref()))
                .description("The record's value, as it came."),
        )
        .field(
            field("valueText", text(), |letter| {
                letter.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned().into())
            })
            .description("The value as text; what is no UTF-8 is replaced."),
        )
        .field(field("headers", TypeRef::named("JSON"), |letter| {
            (!letter.headers.is_empty()).then(|| values::of_text(&letter.headers))
        }))
        .field(
            field("timestamp", TypeRef::named("DateTime"), |letter| {
                Some(Timestamp::from_millis(letter.timestamp_ms?).to_string().into())
            })
            .description("The record's time."),
        )
        .field(field("recordedAt", TypeRef::named_nn("DateTime"), |letter| Some(letter.recorded_at.to_string().into())))
}

fn settlement() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Settlement) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<Settlement>().and_then(of))
        })
    };
    Object::new("DeadLetterSettlement")
        .description("What became of a dead letter, and through whom.")
        .field(
            field("by", TypeRef::named_nn(TypeRef::STRING), |settlement| Some(settlement.by.as_str().into()))
                .description("Who asked for it."),
        )
        .field(
            field("reason", TypeRef::named(TypeRef::STRING), |settlement| match &settlement.outcome {
                Outcome::Discarded { reason } => Some(reason.as_str().into()),
                Outcome::Retried { .. } => None,
            })
            .description("Why it was discarded."),
        )
        .field(
            field("events", TypeRef::named_nn_list_nn(TypeRef::ID), |settlement| {
                let ids: &[EventId] = match &settlement.outcome {
                    Outcome::Retried { events, .. } => events,
                    Outcome::Discarded { .. } => &[],
                };
                Some(Value::List(ids.iter().map(|id| id.to_string().into()).collect()))
            })
            .description("The events that it became."),
        )
        .field(
            field("ignored", TypeRef::named(TypeRef::STRING), |settlement| match &settlement.outcome {
                Outcome::Retried { ignored, .. } => ignored.as_deref().map(Value::from),
                Outcome::Discarded { .. } => None,
            })
            .description("What it is, if it is understood and has no event in it: heartbeat, tombstone, …"),
        )
        .field(
            field("position", TypeRef::named_nn("Position"), |settlement| Some(settlement.position.to_string().into()))
                .description("Where that is on record."),
        )
        .field(field("recordedAt", TypeRef::named_nn("DateTime"), |settlement| {
            Some(settlement.recorded_at.to_string().into())
        }))
}

fn bytes(bytes: Option<&[u8]>) -> Option<Value> {
    bytes.map(|bytes| BASE64_STANDARD.encode(bytes).into())
}
