//! `newEpoch`: letting a database go on that was restored or replaced.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_projector::OriginInfo;

use super::commands;
use crate::{
    Principal,
    errors::{ApiError, nearest},
    reading::Reading,
};

/// The root fields.
pub(super) fn fields() -> [Field; 1] {
    let text = || TypeRef::named_nn(TypeRef::STRING);
    [Field::new("newEpoch", TypeRef::named_nn("NewEpoch"), |ctx| {
        FieldFuture::new(async move {
            let argument = |name| ctx.args.get(name).and_then(|text| text.string().ok()).unwrap_or_default().to_owned();
            let (name, reason) = (argument("source"), argument("reason"));
            let said = new_epoch(&ctx, &name, reason).await;
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

/// What was put on record.
struct Begun {
    origin: String,
    epoch: u32,
    position: String,
}

async fn new_epoch(ctx: &ResolverContext<'_>, name: &str, reason: String) -> Result<Begun, ApiError> {
    if reason.trim().is_empty() {
        return Err(ApiError::input("newEpoch.reason", "why the database was restored", "nothing"));
    }
    let origins = &Reading::of(ctx.ctx).catalog.origins;
    let origin = named(origins, name)?;
    let Some(suspect) = &origin.suspect else {
        return Err(ApiError::conflict(format!(
            "newEpoch.source: nothing is held of {}: it is in epoch {}",
            origin.id, origin.epoch
        )));
    };
    let begun = commands(ctx).new_epoch(origin.id.clone(), suspect.epoch, reason, Principal::of(ctx.ctx)?);
    let position = begun.await.map_err(ApiError::of_command)?;
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

/// The type of what they give back.
pub(super) fn object() -> Object {
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
