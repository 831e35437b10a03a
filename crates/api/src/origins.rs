//! The databases that events come from, and why one of them is held.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, Object, TypeRef},
};
use deltafold_projector::{OriginInfo, Suspect};

/// The types.
pub(crate) fn objects() -> [Object; 2] {
    [origin(), reset()]
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
