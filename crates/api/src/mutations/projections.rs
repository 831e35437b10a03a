//! What can be ordered of a projection: to build it anew, to stop that, to show what was built, or what was shown before;
//! to pause, to go on, to leave an event out.

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_event::EventId;
use deltafold_projector::Ordered;

use super::commands;
use crate::{
    Principal,
    errors::{ApiError, nearest},
    reading::Reading,
};

/// The root fields.
pub(super) fn fields() -> [Field; 7] {
    let text = || TypeRef::named_nn(TypeRef::STRING);
    let order =
        |name: &'static str, description: &str, ordered: fn(&ResolverContext<'_>) -> Result<Ordered, ApiError>| {
            Field::new(name, TypeRef::named_nn("ProjectionOrder"), move |ctx| {
                FieldFuture::new(async move {
                    let said = say(&ctx, name, ordered(&ctx)).await;
                    Ok(Some(FieldValue::owned_any(said.map_err(|error| error.into_graphql(&ctx))?)))
                })
            })
            .description(description)
            .argument(InputValue::new("name", text()).description("The projection."))
        };
    let reason = |type_ref| InputValue::new("reason", type_ref).description("Why: it stays on record.");
    let any = || TypeRef::named(TypeRef::STRING);
    [
        order("rebuildProjection", "Builds a view anew, beside the one that is shown, and then shows it.", |ctx| {
            let hold = ctx.args.get("hold").and_then(|hold| hold.boolean().ok()).unwrap_or_default();
            Ok(Ordered::Rebuild { hold })
        })
        .argument(
            InputValue::new("hold", TypeRef::named(TypeRef::BOOLEAN))
                .description("Whether what is built waits until swapProjection: projectionDiff compares the two."),
        )
        .argument(reason(any())),
        order("swapProjection", "Shows what was built and waits. What was shown is kept.", |_| Ok(Ordered::Swapped))
            .argument(reason(any())),
        order("undoRebuild", "Shows again what was shown before, once it has caught up.", |_| Ok(Ordered::Undone))
            .argument(reason(any())),
        order("cancelRebuild", "Gives up what is being built; what is shown stays.", |_| Ok(Ordered::Cancelled))
            .argument(reason(any())),
        order("pauseProjection", "Leaves a view as it is.", |_| Ok(Ordered::Paused)).argument(reason(any())),
        order("resumeProjection", "Goes on after a pause or a failure.", |_| Ok(Ordered::Resumed))
            .argument(reason(any())),
        order("skipEvent", "Goes on without what an event did, which could not be folded.", |ctx| {
            let id = ctx.args.get("event").and_then(|id| id.string().ok()).unwrap_or_default();
            let event: EventId = id
                .parse()
                .map_err(|_| ApiError::input("skipEvent.event", "the id of an event", format!("\"{id}\"")))?;
            Ok(Ordered::Skipped { event })
        })
        .argument(InputValue::new("event", TypeRef::named_nn(TypeRef::ID)).description("The event."))
        .argument(reason(text())),
    ]
}

/// What was put on record.
struct Order {
    name: String,
    position: String,
}

async fn say(ctx: &ResolverContext<'_>, path: &str, ordered: Result<Ordered, ApiError>) -> Result<Order, ApiError> {
    let argument = |name| ctx.args.get(name).and_then(|text| text.string().ok()).map(str::to_owned);
    let (name, reason) = (argument("name").unwrap_or_default(), argument("reason"));
    let ordered = ordered?;
    if matches!(ordered, Ordered::Skipped { .. }) && reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(ApiError::input(format!("{path}.reason"), "why the event is left out", "nothing"));
    }
    let known = &Reading::of(ctx.ctx).catalog.projections;
    if !known.iter().any(|projection| *projection.name == *name) {
        let names = known.iter().map(|projection| &*projection.name);
        let nearest = nearest(&name, names);
        return Err(ApiError::UnknownName { path: format!("{path}.name"), kind: "projection", name, nearest });
    }
    let found = known.iter().find(|projection| *projection.name == *name).expect("it was just looked for");
    let conflict = |what: &str| Err(ApiError::conflict(format!("{path}.name: {name} {what}")));
    match ordered {
        Ordered::Swapped if found.ready.is_none() => {
            return conflict("has nothing that waits to be shown: rebuild it with hold: true");
        }
        Ordered::Undone if found.previous.is_none() => return conflict("has nothing that was shown before"),
        _ => {}
    }
    let said = commands(ctx).order(name.clone(), ordered, reason, Principal::of(ctx.ctx)?);
    let position = said.await.map_err(ApiError::of_command)?;
    Ok(Order { name, position: position.to_string() })
}

/// The type of what they give back.
pub(super) fn object() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Order) -> Value| {
        Field::new(name, type_ref, move |ctx| FieldFuture::from_value(ctx.parent_value.downcast_ref::<Order>().map(of)))
    };
    Object::new("ProjectionOrder")
        .description("What was ordered of a projection, as it was put on record.")
        .field(field("name", TypeRef::named_nn(TypeRef::STRING), |order| order.name.as_str().into()))
        .field(
            field("position", TypeRef::named_nn("Position"), |order| order.position.as_str().into())
                .description("Where it stands in the store. Wait for it with minPosition; a build goes on after it."),
        )
}
