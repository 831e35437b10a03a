//! The databases that events come from, and letting those go on that were restored.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, TypeRef},
};
use deltafold_event::Timestamp;
use deltafold_projector::{NewEpoch, OriginInfo, Suspect};
use deltafold_store::Append;

use crate::{
    errors::{ApiError, nearest},
    reading::Reading,
};

/// The fields of the mutation type.
pub(crate) fn mutations() -> [Field; 1] {
    let text = || TypeRef::named_nn(TypeRef::STRING);
    [Field::new("newEpoch", TypeRef::named_nn("NewEpoch"), |ctx| {
        FieldFuture::new(async move {
            let argument = |name| ctx.args.get(name).and_then(|text| text.string().ok()).unwrap_or_default().to_owned();
            let (name, reason) = (argument("source"), argument("reason"));
            let said = new_epoch(Reading::of(ctx.ctx), &name, reason).await;
            Ok(Some(FieldValue::owned_any(said.map_err(|error| error.into_graphql(&ctx))?)))
        })
    })
    .description("Lets a database go on that was restored or replaced: what is held of it is folded in a new epoch.")
    .argument(
        InputValue::new("source", text()).description(
            "The origin (postgresql/shop), or the name of its server or its source if that is one origin's.",
        ),
    )
    .argument(InputValue::new("reason", text()).description("Why: it stays on record."))]
}

/// The types.
pub(crate) fn objects() -> [Object; 3] {
    [origin(), reset(), begun()]
}

/// What a mutation has put on record.
struct Begun {
    origin: String,
    epoch: u32,
    position: String,
}

async fn new_epoch(reading: &Reading, name: &str, reason: String) -> Result<Begun, ApiError> {
    if reason.trim().is_empty() {
        return Err(ApiError::input("newEpoch.reason", "why the database was restored", "nothing"));
    }
    let origins = &reading.catalog.origins;
    let origin = named(origins, name)?;
    let Some(suspect) = &origin.suspect else {
        return Err(ApiError::Conflict(format!(
            "newEpoch.source: nothing is held of {}: it is in epoch {}",
            origin.id, origin.epoch
        )));
    };
    let said = NewEpoch { epoch: suspect.epoch, reason, by: "operator".to_owned() };
    let event = said.event(&origin.id, Timestamp::from(chrono::Utc::now()));
    let position = reading.log.append(Append { events: vec![event], ..Append::default() }).await?;
    Ok(Begun { origin: origin.id.clone(), epoch: suspect.epoch, position: position.to_string() })
}

/// The origin that a name means: its own, else its server's, else its source's, if only one has it. Of several, the one
/// that is held.
fn named<'a>(origins: &'a [OriginInfo], name: &str) -> Result<&'a OriginInfo, ApiError> {
    let by_id = origins.iter().filter(|origin| origin.id == name).collect::<Vec<_>>();
    let by_server = origins.iter().filter(|origin| origin.server == name).collect::<Vec<_>>();
    let by_source = origins.iter().filter(|origin| origin.sources.iter().any(|source| source == name));
    let by_source = by_source.collect::<Vec<_>>();
    let Some(found) = [by_id, by_server, by_source].into_iter().find(|found| !found.is_empty()) else {
        let names = origins
            .iter()
            .flat_map(|origin| [&origin.id, &origin.server].into_iter().chain(&origin.sources).map(String::as_str));
        return Err(ApiError::UnknownName {
            path: "newEpoch.source".to_owned(),
            kind: "origin",
            name: name.to_owned(),
            nearest: nearest(name, names),
        });
    };
    let held: Vec<_> = found.iter().filter(|origin| origin.suspect.is_some()).collect();
    match (found.as_slice(), held.as_slice()) {
        ([one], _) => Ok(one),
        (_, [one]) => Ok(one),
        _ => {
            let ids: Vec<&str> = found.iter().map(|origin| origin.id.as_str()).collect();
            Err(ApiError::input("newEpoch.source", format!("one of {}", ids.join(", ")), format!("\"{name}\"")))
        }
    }
}

fn origin() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&OriginInfo) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<OriginInfo>().map(of))
        })
    };
    let text = || TypeRef::named_nn(TypeRef::STRING);
    Object::new("Origin")
        .description("A database, as a connector reads it.")
        .field(
            field("id", TypeRef::named_nn(TypeRef::ID), |origin| origin.id.as_str().into())
                .description("Connector and server name, as postgresql/shop."),
        )
        .field(field("connector", text(), |origin| origin.connector.as_str().into()))
        .field(
            field("server", text(), |origin| origin.server.as_str().into())
                .description("The name that its topics begin with."),
        )
        .field(
            field("status", text(), |origin| if origin.suspect.is_some() { "suspect" } else { "live" }.into())
                .description("live, or suspect: it was restored or replaced, and what it says since then is held."),
        )
        .field(
            field("epoch", TypeRef::named_nn(TypeRef::INT), |origin| origin.epoch.into())
                .description("How often it had been restored by the time that answers are of."),
        )
        .field(
            field("unverified", TypeRef::named_nn(TypeRef::BOOLEAN), |origin| origin.is_unverified.into())
                .description("Whether no complete snapshot says which rows that epoch began with."),
        )
        .field(
            Field::new("suspect", TypeRef::named("OriginReset"), |ctx| {
                let origin = ctx.parent_value.downcast_ref::<OriginInfo>();
                let suspect = origin.and_then(|origin| origin.suspect.as_ref());
                FieldFuture::Value(suspect.map(|suspect| FieldValue::borrowed_any(suspect)))
            })
            .description("What is held, and why."),
        )
}

fn reset() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Suspect) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<Suspect>().map(of))
        })
    };
    let text = || TypeRef::named_nn(TypeRef::STRING);
    Object::new("OriginReset")
        .description("An event that showed that a database was restored or replaced.")
        .field(
            field("epoch", TypeRef::named_nn(TypeRef::INT), |suspect| suspect.epoch.into())
                .description("The newest epoch that is held."),
        )
        .field(
            field("held", TypeRef::named_nn("BigInt"), |suspect| suspect.held.to_string().into())
                .description("How many events wait."),
        )
        .field(
            field("reason", text(), |suspect| suspect.since.to_string().into())
                .description("The event, and what it contradicts."),
        )
        .field(
            field("position", TypeRef::named_nn("Position"), |suspect| suspect.since.position.to_string().into())
                .description("Where it is in the store."),
        )
        .field(field("recordedAt", TypeRef::named_nn("DateTime"), |suspect| {
            suspect.since.recorded_at.to_string().into()
        }))
        .field(field("occurredAt", TypeRef::named_nn("DateTime"), |suspect| {
            suspect.since.occurred_at.to_string().into()
        }))
        .field(
            field("source", text(), |suspect| suspect.since.source.as_str().into())
                .description("Where it was read: source, topic, partition and offset."),
        )
        .field(field("topic", text(), |suspect| suspect.since.topic.as_str().into()))
        .field(field("partition", TypeRef::named_nn(TypeRef::INT), |suspect| suspect.since.partition.into()))
        .field(field("offset", TypeRef::named_nn("BigInt"), |suspect| suspect.since.offset.to_string().into()))
}

fn begun() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Begun) -> Value| {
        Field::new(name, type_ref, move |ctx| FieldFuture::from_value(ctx.parent_value.downcast_ref::<Begun>().map(of)))
    };
    Object::new("NewEpoch")
        .description("That an origin goes on, as it was put on record.")
        .field(field("origin", TypeRef::named_nn(TypeRef::ID), |begun| begun.origin.as_str().into()))
        .field(
            field("epoch", TypeRef::named_nn(TypeRef::INT), |begun| begun.epoch.into())
                .description("The epoch that it goes on in."),
        )
        .field(
            field("position", TypeRef::named_nn("Position"), |begun| begun.position.as_str().into())
                .description("From where on what was held counts as recorded. Wait for it with minPosition."),
        )
}
