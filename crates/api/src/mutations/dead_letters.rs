//! `retryDeadLetters` and `discardDeadLetters`.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ObjectAccessor, ResolverContext, TypeRef},
};

use super::commands;
use crate::{
    Principal,
    commands::{LetterChoice, LetterFailure, Settled},
    errors::ApiError,
    reading::Reading,
};

/// The root fields.
pub(super) fn fields() -> [Field; 2] {
    let retry = Field::new("retryDeadLetters", TypeRef::named_nn("SettledDeadLetters"), |ctx| {
        FieldFuture::new(async move {
            let settled = async {
                let which = choice(&ctx, "retryDeadLetters")?;
                let retried = commands(&ctx).retry_dead_letters(which, Principal::of(ctx.ctx)?);
                retried.await.map_err(ApiError::of_command)
            };
            told(settled.await, &ctx)
        })
    })
    .description(
        "Decodes dead letters once more, as this server is configured now, and appends what they become. What still \
         cannot be decoded stays a dead letter.",
    );
    let discard = Field::new("discardDeadLetters", TypeRef::named_nn("SettledDeadLetters"), |ctx| {
        FieldFuture::new(async move {
            let settled = async {
                let which = choice(&ctx, "discardDeadLetters")?;
                let reason = text(&ctx.args, "reason").filter(|reason| !reason.trim().is_empty());
                let reason =
                    reason.ok_or_else(|| ApiError::input("discardDeadLetters.reason", "a reason", "an empty text"))?;
                let discarded = commands(&ctx).discard_dead_letters(which, reason, Principal::of(ctx.ctx)?);
                discarded.await.map_err(ApiError::of_command)
            };
            told(settled.await, &ctx)
        })
    })
    .description("Gives dead letters up. They stay on record, with the reason and who asked for it.")
    .argument(InputValue::new("reason", TypeRef::named_nn(TypeRef::STRING)).description("Why."));
    [arguments(retry), arguments(discard)]
}

/// Which dead letters.
fn arguments(field: Field) -> Field {
    let named = |name: &str, of: &str| InputValue::new(name, TypeRef::named(of));
    field
        .argument(
            InputValue::new("numbers", TypeRef::named_nn_list(TypeRef::INT))
                .description("These, all of which must be open."),
        )
        .argument(named("all", TypeRef::BOOLEAN).description("All that are open."))
        .argument(named("source", TypeRef::STRING).description("Those that are open of this source."))
        .argument(named("topic", TypeRef::STRING).description("Those that are open of this topic."))
        .argument(named("code", TypeRef::STRING).description("Those that are open with this code."))
        .argument(
            named("first", TypeRef::INT).description("At most so many; as many as a page may have, if not given."),
        )
        .argument(named("after", TypeRef::INT).description("Those after this number: the last one's stoppedAt."))
}

/// The types.
pub(super) fn objects() -> [Object; 2] {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Settled) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<Settled>().and_then(of))
        })
    };
    let settled = Object::new("SettledDeadLetters")
        .description("What became of the dead letters that were chosen.")
        .field(
            field("settled", TypeRef::named_nn(TypeRef::INT), |settled| Some(settled.settled.into()))
                .description("How many are open no more."),
        )
        .field(
            field("events", TypeRef::named_nn(TypeRef::INT), |settled| Some(settled.events.into()))
                .description("How many events they became."),
        )
        .field(
            field("failed", TypeRef::named_nn(TypeRef::INT), |settled| Some(settled.failed.into()))
                .description("How many still cannot be decoded."),
        )
        .field(
            Field::new("failures", TypeRef::named_nn_list_nn("DeadLetterFailure"), |ctx| {
                let settled = ctx.parent_value.downcast_ref::<Settled>();
                FieldFuture::Value(settled.map(|settled| {
                    FieldValue::list(settled.failures.iter().map(|failure| FieldValue::borrowed_any(failure)))
                }))
            })
            .description("Why, of the first of them."),
        )
        .field(
            field("position", TypeRef::named("Position"), |settled| Some(settled.position?.to_string().into()))
                .description("Where the last event stands that was appended: a minPosition for what reads it."),
        )
        .field(
            field("stoppedAt", TypeRef::named(TypeRef::INT), |settled| Some(settled.stopped_at?.into()))
                .description("The last number that was looked at, where there may be more: the next request's after."),
        );
    let part = |name: &str, type_ref: TypeRef, of: fn(&LetterFailure) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<LetterFailure>().map(of))
        })
    };
    let some_text = || TypeRef::named_nn(TypeRef::STRING);
    let failure = Object::new("DeadLetterFailure")
        .description("A dead letter that still cannot be decoded.")
        .field(part("number", TypeRef::named_nn(TypeRef::INT), |failure| failure.number.into()))
        .field(
            part("code", some_text(), |failure| failure.code.as_str().into())
                .description("A stable name of the reason there is now."),
        )
        .field(
            part("reason", some_text(), |failure| failure.reason.as_str().into())
                .description("The reason, with what to do."),
        );
    [settled, failure]
}

fn told<'a>(
    settled: Result<Settled, ApiError>,
    ctx: &ResolverContext<'a>,
) -> async_graphql::Result<Option<FieldValue<'a>>> {
    match settled {
        Ok(settled) => Ok(Some(FieldValue::owned_any(settled))),
        Err(error) => Err(error.into_graphql(ctx)),
    }
}

fn choice(ctx: &ResolverContext<'_>, field: &str) -> Result<LetterChoice, ApiError> {
    let args = &ctx.args;
    let number = |name: &str| args.get(name).and_then(|value| value.i64().ok());
    let numbers = match args.get("numbers").map(|value| value.as_value().clone()) {
        Some(Value::List(numbers)) => Some(numbers.iter().map(letter_number).collect::<Option<Vec<u64>>>()),
        // One that stands alone is a list of one.
        Some(single @ Value::Number(_)) => Some(letter_number(&single).map(|number| vec![number])),
        _ => None,
    };
    let numbers = numbers
        .map(|numbers| numbers.ok_or_else(|| ApiError::input(format!("{field}.numbers"), "numbers from 1", "others")))
        .transpose()?;
    let [source, topic, code] = ["source", "topic", "code"].map(|name| text(args, name));
    let all = args.get("all").and_then(|value| value.boolean().ok()).unwrap_or(false);
    let filtered = source.is_some() || topic.is_some() || code.is_some();
    if numbers.is_some() == (all || filtered) {
        let found = if numbers.is_some() { "both" } else { "neither" };
        return Err(ApiError::input(field, "either numbers, or all or a source, topic or code", found));
    }
    let limits = &Reading::of(ctx.ctx).limits;
    let first = number("first").or_else(|| i64::try_from(limits.page_max).ok());
    let limit = limits.page(first, &format!("{field}.first"))? as u64;
    let after = number("after").and_then(|after| u64::try_from(after).ok());
    if numbers.as_ref().is_some_and(|numbers| numbers.len() as u64 > limit) {
        let expected = format!("at most {limit} numbers");
        return Err(ApiError::input(format!("{field}.numbers"), expected, "more"));
    }
    Ok(LetterChoice { numbers, source, topic, code, after, limit })
}

fn letter_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        _ => None,
    }
}

fn text(args: &ObjectAccessor<'_>, name: &str) -> Option<String> {
    args.get(name).and_then(|value| value.string().ok().map(str::to_owned))
}
