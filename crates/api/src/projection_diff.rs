//! How a generation that waits to be shown differs from the one that is shown.

use std::{cmp::Ordering, sync::Arc};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, TypeRef},
};
use deltafold_event::{Position, Timestamp};
use deltafold_view::{Part, ReadError, Reader, Timeline};

use crate::{
    errors::{ApiError, nearest},
    reading::Reading,
};

/// How many keys that differ are shown, if it is not said.
const SHOWN: usize = 10;

/// What differs.
#[derive(Default)]
struct Difference {
    generations: [u32; 2],
    same: u64,
    added: u64,
    removed: u64,
    changed: u64,
    in_the_past: u64,
    first: Vec<KeyDifference>,
}

/// A key that differs: its row in either, and since when they differ.
struct KeyDifference {
    key: String,
    from: Timestamp,
    rows: [Option<String>; 2],
}

/// The root field.
pub(crate) fn field() -> Field {
    Field::new("projectionDiff", TypeRef::named("ProjectionDiff"), |ctx| {
        FieldFuture::new(async move {
            let reading = Reading::of(ctx.ctx);
            let name = ctx.args.get("name").and_then(|name| name.string().ok()).unwrap_or_default();
            let most = ctx.args.get("first").and_then(|first| first.u64().ok()).map_or(SHOWN, |first| first as usize);
            let path = "projectionDiff.first";
            let most = reading.limits.page(Some(most as i64), path).map_err(|error| error.into_graphql(&ctx))?;
            let found = diff(reading, name, most).await.map_err(|error| error.into_graphql(&ctx))?;
            Ok(found.map(FieldValue::owned_any))
        })
    })
    .description("How what was built and waits to be shown differs from what is shown; null if nothing waits.")
    .argument(InputValue::new("name", TypeRef::named_nn(TypeRef::STRING)).description("The projection."))
    .argument(
        InputValue::new("first", TypeRef::named(TypeRef::INT))
            .description("How many keys that differ are listed; 10 if not said."),
    )
}

async fn diff(reading: &Arc<Reading>, name: &str, most: usize) -> Result<Option<Difference>, ApiError> {
    let known = &reading.catalog.projections;
    let Some(found) = known.iter().find(|projection| *projection.name == *name) else {
        let nearest = nearest(name, known.iter().map(|projection| &*projection.name));
        let path = "projectionDiff.name".to_owned();
        return Err(ApiError::UnknownName { path, kind: "projection", name: name.to_owned(), nearest });
    };
    let (Some(generation), Some(ready)) = (found.generation, found.ready) else { return Ok(None) };
    let view = |generation| {
        let view = reading.snapshot.generation(name, generation);
        view.ok_or_else(|| ApiError::internal("diff", format!("generation {generation} of {name} is gone")))
    };
    let (shown, waiting) = (view(generation)?, view(ready)?);
    let readers = [shown, waiting].map(|view| reading.snapshot.reader(&view));
    let whole = reading.whole(name)?;
    let compared = tokio::task::spawn_blocking(move || compare(&readers, whole, most)).await;
    let difference = compared.map_err(|error| ApiError::internal("diff", error))?;
    let difference = difference.map_err(|error| ApiError::internal("diff", error))?;
    Ok(Some(Difference { generations: [generation, ready], ..difference }))
}

/// Walks both, each as of a position, in the order of their keys.
fn compare([shown, waiting]: &[Reader; 2], at: [Position; 2], most: usize) -> Result<Difference, ReadError> {
    let mut difference = Difference::default();
    let mut shown = shown.timelines(at[0], Part::default()).peekable();
    let mut waiting = waiting.timelines(at[1], Part::default()).peekable();
    loop {
        let order = match (shown.peek(), waiting.peek()) {
            (None, None) => return Ok(difference),
            (Some(Err(_)), _) => return Err(shown.next().and_then(Result::err).expect("just seen")),
            (_, Some(Err(_))) => return Err(waiting.next().and_then(Result::err).expect("just seen")),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(Ok(one)), Some(Ok(other))) => one.key.as_bytes().cmp(other.key.as_bytes()),
        };
        let one = if order.is_le() { shown.next().transpose()? } else { None };
        let other = if order.is_ge() { waiting.next().transpose()? } else { None };
        difference.add(one.as_ref(), other.as_ref(), most);
    }
}

impl Difference {
    fn add(&mut self, one: Option<&Timeline>, other: Option<&Timeline>, most: usize) {
        let versions = |timeline: Option<&Timeline>| -> Vec<(Timestamp, Option<String>)> {
            let versions = timeline.map(|timeline| timeline.versions.as_slice()).unwrap_or_default();
            versions.iter().map(|(from, entry)| (*from, entry.row().map(str::to_owned))).collect()
        };
        let (was, is) = (versions(one), versions(other));
        if was == is {
            self.same += 1;
            return;
        }
        let newest = |versions: &[(Timestamp, Option<String>)]| versions.last().and_then(|(_, row)| row.clone());
        let rows = [newest(&was), newest(&is)];
        match &rows {
            [None, Some(_)] => self.added += 1,
            [Some(_), None] => self.removed += 1,
            [one, other] if one != other => self.changed += 1,
            _ => self.in_the_past += 1,
        }
        if self.first.len() < most {
            let apart = was.iter().zip(&is).position(|(one, other)| one != other);
            let apart = apart.unwrap_or_else(|| was.len().min(is.len()));
            let from = was.get(apart).into_iter().chain(is.get(apart)).map(|(from, _)| *from).min();
            let key = one.or(other).map(|timeline| timeline.key.to_string()).unwrap_or_default();
            self.first.push(KeyDifference { key, from: from.unwrap_or(Timestamp::MIN), rows });
        }
    }
}

/// The types.
pub(crate) fn objects() -> [Object; 2] {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Difference) -> Value| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<Difference>().map(of))
        })
    };
    let count = || TypeRef::named_nn("BigInt");
    let diff = Object::new("ProjectionDiff")
        .description("How a generation that waits to be shown differs from the one that is shown.")
        .field(field("generation", TypeRef::named_nn(TypeRef::INT), |diff| diff.generations[0].into()))
        .field(
            field("ready", TypeRef::named_nn(TypeRef::INT), |diff| diff.generations[1].into())
                .description("The generation that waits."),
        )
        .field(
            field("same", count(), |diff| diff.same.to_string().into())
                .description("Keys with the same versions in both."),
        )
        .field(field("added", count(), |diff| diff.added.to_string().into()).description("Rows that only the new has."))
        .field(
            field("removed", count(), |diff| diff.removed.to_string().into())
                .description("Rows that the new does not have."),
        )
        .field(field("changed", count(), |diff| diff.changed.to_string().into()).description("Rows that differ now."))
        .field(
            field("inThePast", count(), |diff| diff.in_the_past.to_string().into())
                .description("Rows that are the same now, and were not always."),
        )
        .field(
            Field::new("first", TypeRef::named_nn_list_nn("ProjectionKeyDiff"), |ctx| {
                let diff = ctx.parent_value.downcast_ref::<Difference>();
                FieldFuture::Value(diff.map(|diff| {
                    FieldValue::list(diff.first.iter().map(|difference| FieldValue::borrowed_any(difference)))
                }))
            })
            .description("The first keys that differ."),
        );
    let field = |name: &str, type_ref: TypeRef, of: fn(&KeyDifference) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(ctx.parent_value.downcast_ref::<KeyDifference>().and_then(of))
        })
    };
    let row = |row: &Option<String>| row.as_deref().and_then(|row| serde_json::from_str(row).ok());
    let key = Object::new("ProjectionKeyDiff")
        .description("A key whose versions differ.")
        .field(
            field("key", TypeRef::named_nn(TypeRef::STRING), |difference| Some(difference.key.as_str().into()))
                .description("The text of its key; of several columns the JSON array of their values."),
        )
        .field(
            field("from", TypeRef::named_nn("DateTime"), |difference| Some(difference.from.to_string().into()))
                .description("The first moment from which they differ."),
        )
        .field(
            Field::new("shown", TypeRef::named("JSON"), move |ctx| {
                let difference = ctx.parent_value.downcast_ref::<KeyDifference>();
                FieldFuture::from_value(difference.and_then(|difference| row(&difference.rows[0])))
            })
            .description("The row now, by column, as it is shown; null if there is none."),
        )
        .field(
            Field::new("ready", TypeRef::named("JSON"), move |ctx| {
                let difference = ctx.parent_value.downcast_ref::<KeyDifference>();
                FieldFuture::from_value(difference.and_then(|difference| row(&difference.rows[1])))
            })
            .description("The row now, by column, as it would be."),
        );
    [diff, key]
}
