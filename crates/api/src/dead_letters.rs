//! Records that could not become events.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, TypeRef},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use deltafold_event::Timestamp;
use deltafold_store::{DeadLetter, DeadLetterFilter};
use deltafold_view::At;

use crate::{
    cursor::{Cursor, digest},
    errors::ApiError,
    order::Place,
    page::{self, Edge, Page, PageArgs},
    reading::Reading,
    values,
};

/// A dead letter with its number.
struct LetterNode(u64, DeadLetter);

/// The root fields.
pub(crate) fn fields() -> [Field; 2] {
    let one = Field::new("deadLetter", TypeRef::named("DeadLetter"), |ctx| {
        FieldFuture::new(async move {
            let asked = ctx.args.get("number").and_then(|number| number.i64().ok());
            let Some(number) = asked.and_then(|number| u64::try_from(number).ok()) else { return Ok(None) };
            let found = Reading::of(ctx.ctx).log.dead_letter(number).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(found.map(|letter| FieldValue::owned_any(LetterNode(number, letter))))
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
pub(crate) fn objects() -> [Object; 3] {
    let connection = page::connection::<Page<LetterNode>>("DeadLetterConnection", "DeadLetterEdge", "DeadLetter");
    [object(), connection, page::edge::<LetterNode>("DeadLetterEdge", "DeadLetter")]
}

/// The input type.
pub(crate) fn input() -> InputObject {
    let part = |name: &str| InputValue::new(name, TypeRef::named("EventNameFilter"));
    InputObject::new("DeadLetterFilter").field(part("source")).field(part("topic")).field(part("code"))
}

async fn list(ctx: &ResolverContext<'_>) -> Result<Page<LetterNode>, ApiError> {
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
        after,
        // From the end there is no way but through all of them.
        limit: (!page.backward && before.is_none()).then_some(page.size + 1),
    };
    let found = reading.log.dead_letters(filter).await?;
    let mut found: Vec<_> =
        found.into_iter().filter(|(number, _)| before.is_none_or(|before| *number < before)).collect();
    if page.backward {
        found.reverse();
    }
    found.truncate(page.size + 1);
    let edge = |(number, letter): (u64, DeadLetter)| {
        let place = Place { values: Vec::new(), key: number.to_string() };
        let at = At { time: Timestamp::MAX, position: reading.position() };
        let cursor = Cursor { list, at, is_past: false, place }.encode();
        Edge { node: LetterNode(number, letter), cursor }
    };
    Ok(Page::new(found.into_iter().map(edge).collect(), &page))
}

fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&LetterNode) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<LetterNode>().and_then(of))
        })
    };
    let text = || TypeRef::named(TypeRef::STRING);
    let some_text = || TypeRef::named_nn(TypeRef::STRING);
    Object::new("DeadLetter")
        .description("A record that could not become an event, whole, with the reason.")
        .field(field("number", TypeRef::named_nn(TypeRef::INT), |LetterNode(number, _)| Some((*number).into())))
        .field(
            field("code", some_text(), |LetterNode(_, letter)| Some(letter.code.as_str().into()))
                .description("A stable name of the reason."),
        )
        .field(
            field("reason", some_text(), |LetterNode(_, letter)| Some(letter.reason.as_str().into()))
                .description("The reason, with what to do."),
        )
        .field(field("source", some_text(), |LetterNode(_, letter)| Some(letter.source.as_str().into())))
        .field(field("topic", some_text(), |LetterNode(_, letter)| Some(letter.topic.as_str().into())))
        .field(field("partition", TypeRef::named_nn(TypeRef::INT), |LetterNode(_, letter)| {
            Some(letter.partition.into())
        }))
        .field(field("offset", TypeRef::named_nn("BigInt"), |LetterNode(_, letter)| {
            Some(letter.offset.to_string().into())
        }))
        .field(field("file", text(), |LetterNode(_, letter)| letter.file.as_deref().map(Value::from)))
        .field(field("line", TypeRef::named("BigInt"), |LetterNode(_, letter)| {
            letter.line.map(|line| line.to_string().into())
        }))
        .field(
            field("key", TypeRef::named("Bytes"), |LetterNode(_, letter)| bytes(letter.key.as_deref()))
                .description("The record's key, as it came."),
        )
        .field(
            field("value", TypeRef::named("Bytes"), |LetterNode(_, letter)| bytes(letter.value.as_deref()))
                .description("The record's value, as it came."),
        )
        .field(
            field("valueText", text(), |LetterNode(_, letter)| {
                letter.value.as_deref().map(|value| String::from_utf8_lossy(value).into_owned().into())
            })
            .description("The value as text; what is no UTF-8 is replaced."),
        )
        .field(field("headers", TypeRef::named("JSON"), |LetterNode(_, letter)| {
            (!letter.headers.is_empty()).then(|| values::of_text(&letter.headers))
        }))
        .field(field("recordedAt", TypeRef::named_nn("DateTime"), |LetterNode(_, letter)| {
            Some(letter.recorded_at.to_string().into())
        }))
}

fn bytes(bytes: Option<&[u8]>) -> Option<Value> {
    bytes.map(|bytes| BASE64_STANDARD.encode(bytes).into())
}
