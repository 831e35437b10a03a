//! `customerOrdersChanged`: rows of a view as they change.
//!
//! What is told are differences between what the view showed at two positions, the ends of commits: of rows that changed
//! several times in between, what came of it. A cursor says between which two, and how far in the order of the keys, so
//! that whoever comes back goes on with the next.

use std::{collections::VecDeque, sync::Arc};

use async_graphql::{
    Name, Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
    indexmap::IndexMap,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use deltafold_event::Position;
use deltafold_projector::Catalog;
use deltafold_view::{At, ReadError, Reader, Touched, Version};
use tokio::sync::watch;

use super::Offered;
use crate::{
    Api, diff,
    differences::{AT_ONCE, Sides},
    errors::ApiError,
    model::ViewModel,
    names::quoted,
    reading::{Moment, Reading},
    row::RowNode,
};

/// As many keys are kept of what commits have changed.
const FEW: usize = 10_000;

pub(super) fn field(view: &ViewModel) -> Offered {
    let description = format!(
        "The rows of {} as they change: what each was and is, once for whatever became of it in one moment.",
        quoted(&view.info.name)
    );
    let arguments = vec![
        InputValue::new("where", TypeRef::named(view.names.filter()))
            .description("Changes of rows that were or are like that; all, if not given."),
        InputValue::new("after", TypeRef::named(TypeRef::STRING)).description(
            "What comes after this cursor, the last one that was received; or after a position, as of which the view was \
             read. From now on, if not given.",
        ),
    ];
    Offered { name: view.names.changed(), of: view.names.change(), description, arguments }
}

/// Between which positions something changed, and how far that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    from: Position,
    to: Position,
    /// The last key that was told.
    key: Option<String>,
}

impl Place {
    fn at(position: Position) -> Self {
        Self { from: position, to: position, key: None }
    }

    /// The cursor of a view's changes.
    fn encode(&self, view: &str) -> String {
        let parts = serde_json::json!([view, self.from.as_i64(), self.to.as_i64(), self.key]);
        BASE64_URL_SAFE_NO_PAD.encode(parts.to_string())
    }

    /// What is in a cursor of a view's changes, or a position; none: it is neither.
    fn parse(text: &str, view: &str) -> Option<Self> {
        if let Ok(position) = text.parse() {
            return Some(Self::at(position));
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (of, from, to, key): (String, i64, i64, Option<String>) = serde_json::from_slice(&bytes).ok()?;
        let (from, to) = (Position::from_i64(from).ok()?, Position::from_i64(to).ok()?);
        (of == view && from <= to).then_some(Self { from, to, key })
    }
}

/// One row's change.
pub(super) struct Change {
    view: Arc<str>,
    /// Up to and with itself.
    place: Place,
}

/// The changes of one view.
pub(super) struct ChangeFeed {
    view: Arc<str>,
    filter: Value,
    catalog: watch::Receiver<Arc<Catalog>>,
    /// What was told.
    place: Place,
    /// What is to be told next between the positions of that.
    keys: VecDeque<String>,
    /// Whether more may have changed between them than those.
    is_more: bool,
    /// How far they were compared.
    compared: Option<String>,
    followed: Option<Followed>,
}

/// What is noted of commits.
struct Followed {
    generation: u32,
    touched: Touched,
    /// Whether it was since what was told.
    is_whole: bool,
}

impl ChangeFeed {
    pub(super) async fn open(api: &Api, view: &ViewModel, arguments: &IndexMap<Name, Value>) -> Result<Self, ApiError> {
        // From here on nothing is missed.
        let touched = api.views().touched(&view.rows);
        let (_, reading) = api.reading_of(&view.info.name)?;
        let path = format!("{}.after", view.names.changed());
        let (place, is_resumed) = match arguments.get("after") {
            Some(Value::String(after)) => {
                let place =
                    Place::parse(after, &view.info.name).ok_or_else(|| ApiError::BadCursor { path: path.clone() })?;
                reading.at_position(place.to, &path)?;
                (place, true)
            }
            _ => (Place::at(reading.position()), false),
        };
        let feed = Self {
            view: view.info.name.clone(),
            filter: arguments.get("where").cloned().unwrap_or_default(),
            catalog: api.catalog(),
            is_more: place.from < place.to,
            compared: place.key.clone(),
            place,
            keys: VecDeque::new(),
            followed: Some(Followed {
                generation: view.info.generation,
                touched,
                // What was folded of what is not all there was not noted.
                is_whole: !is_resumed && !reading.is_earlier(),
            }),
        };
        // What is wrong with a filter is told at once.
        feed.sides(view, &reading, &view.names.changed()).filtered(&reading, At::NOW, &[]).await?;
        Ok(feed)
    }

    pub(super) async fn next(&mut self, api: &Api) -> Result<Option<Change>, ApiError> {
        loop {
            if let Some(key) = self.keys.pop_front() {
                self.place.key = Some(key);
                return Ok(Some(Change { view: self.view.clone(), place: self.place.clone() }));
            }
            if !self.is_more {
                let from = self.place.to;
                let ahead = self.catalog.wait_for(|catalog| catalog.checkpoint > from.next()).await;
                if ahead.is_err() {
                    return Ok(None);
                }
            }
            let (built, reading) = api.reading_of(&self.view)?;
            if reading.is_earlier() && !self.is_more {
                // What is noted of what is not all there yet has to stay noted until it is.
                match self.catalog.changed().await {
                    Ok(()) => continue,
                    Err(_) => return Ok(None),
                }
            }
            let Some(view) = built.model.views.iter().find(|view| view.info.name == self.view) else {
                return Ok(None);
            };
            let mut candidates = None;
            if !self.is_more {
                let Some(followed) = self.followed.as_mut().filter(|one| one.generation == view.info.generation) else {
                    // What is noted has to begin before what is read.
                    let touched = api.views().touched(&view.rows);
                    let generation = view.info.generation;
                    self.followed = Some(Followed { generation, touched, is_whole: false });
                    continue;
                };
                let noted = followed.touched.until(&reading.snapshot).map_err(unreadable)?;
                // Of very many it is better to keep none, and to go through them all in pieces.
                candidates =
                    noted.filter(|noted| std::mem::replace(&mut followed.is_whole, true) && noted.len() <= FEW);
                self.place = Place { from: self.place.to, to: reading.position(), key: None };
                self.compared = None;
            }
            self.keep(view, &reading)?;
            let changed = match candidates {
                Some(keys) => self.changed(view, &reading, keys).await?,
                None => {
                    let after = self.compared.take();
                    // Nobody waits for an answer: those who do go first.
                    let _place = reading.wait_for_scan().await;
                    let found = self.sides(view, &reading, "").compare(&reading, after).await?;
                    self.is_more = found.len() >= AT_ONCE;
                    self.compared = found.last().cloned();
                    found
                }
            };
            let path = view.names.changed();
            self.keys = self.sides(view, &reading, &path).matching(&reading, changed).await?.into();
        }
    }

    /// Has what was shown at both positions be there to be read.
    fn keep(&self, view: &ViewModel, reading: &Reading) -> Result<(), ApiError> {
        for position in [self.place.from, self.place.to] {
            let position = reading.or_now(position);
            let moment = Moment { at: At::position(position), is_past: false };
            if !reading.keeps(view, moment)? {
                let (path, view) = (format!("{}.after", view.names.changed()), self.view.to_string());
                return Err(ApiError::NotFollowed { path, view, position });
            }
        }
        Ok(())
    }

    /// Those of some keys whose rows differ.
    async fn changed(&self, view: &ViewModel, reading: &Reading, keys: Vec<Box<str>>) -> Result<Vec<String>, ApiError> {
        let [before, now] = [self.place.from, self.place.to].map(|position| shown(view, reading, position));
        let differs = move |key: &str| -> Result<bool, ReadError> {
            let [before, now] = [&before, &now].map(|(reader, at)| reader.as_of(key, *at));
            Ok(before?.as_ref().map(Version::row) != now?.as_ref().map(Version::row))
        };
        // They may be thousands of seeks.
        let compare = tokio::task::spawn_blocking(move || {
            let kept = keys.into_iter().map(|key| Ok(differs(&key)?.then(|| key.into_string())));
            kept.filter_map(Result::transpose).collect::<Result<Vec<String>, ReadError>>()
        });
        compare.await.map_err(|error| ApiError::internal("changes", error))?.map_err(unreadable)
    }

    /// What was shown at both positions.
    fn sides<'a>(&'a self, view: &'a ViewModel, reading: &Reading, path: &'a str) -> Sides<'a> {
        let moments = [self.place.from, self.place.to].map(|position| shown(view, reading, position).1);
        Sides { view, filter: &self.filter, path, moments }
    }
}

/// How a view is read as it showed itself at a position.
fn shown(view: &ViewModel, reading: &Reading, position: Position) -> (Reader, At) {
    let position = reading.or_now(position);
    (reading.reader(view, position), At::position(position))
}

fn unreadable(error: ReadError) -> ApiError {
    ApiError::internal("changes", error)
}

/// One row's change, to be shown.
pub(crate) struct ChangeNode {
    view: Arc<ViewModel>,
    place: Place,
}

impl ChangeNode {
    pub(super) fn of(change: Change, reading: &Reading) -> Option<Self> {
        let view = reading.model.views.iter().find(|view| view.info.name == change.view)?;
        Some(Self { view: view.clone(), place: change.place })
    }

    /// The row at one of the positions.
    fn row(&self, reading: &Reading, position: Position) -> Result<Option<RowNode>, ApiError> {
        let Some(key) = &self.place.key else { return Ok(None) };
        let (reader, at) = shown(&self.view, reading, position);
        let found = reader.as_of(key, at).map_err(unreadable)?;
        found.map(|version| RowNode::new(self.view.clone(), version, Moment { at, is_past: false })).transpose()
    }
}

/// The type of a view's changes.
pub(crate) fn object(view: &ViewModel) -> Object {
    let names = &view.names;
    let row = |name: &str, of: fn(&Place) -> Position| {
        Field::new(name, TypeRef::named(&names.row), move |ctx| {
            let Some(node) = node(&ctx) else { return FieldFuture::Value(None) };
            match node.row(Reading::of(ctx.ctx), of(&node.place)) {
                Ok(row) => FieldFuture::Value(row.map(FieldValue::owned_any)),
                Err(error) => error.into_field(&ctx),
            }
        })
    };
    Object::new(names.change())
        .description(format!("A row of {} that has changed.", quoted(&view.info.name)))
        .field(
            Field::new("cursor", TypeRef::named_nn(TypeRef::STRING), |ctx| {
                FieldFuture::from_value(node(&ctx).map(|node| node.place.encode(&node.view.info.name).into()))
            })
            .description("For after: what comes next."),
        )
        .field(
            Field::new("position", TypeRef::named_nn("Position"), |ctx| {
                FieldFuture::from_value(node(&ctx).map(|node| node.place.to.to_string().into()))
            })
            .description("The last position that counts in it; other rows may have changed with it."),
        )
        .field(row("before", |place| place.from).description("The row as it was; null: there was none."))
        .field(row("after", |place| place.to).description("The row as it is; null: there is none any more."))
        .field(
            Field::new("changes", TypeRef::named_nn_list_nn("FieldChange"), |ctx| {
                let Some(node) = node(&ctx) else { return FieldFuture::Value(None) };
                let reading = Reading::of(ctx.ctx);
                let changes = || {
                    let before = node.row(reading, node.place.from)?;
                    let after = node.row(reading, node.place.to)?;
                    let [before, after] = [&before, &after].map(|row| row.as_ref().map(|row| row.version.row()));
                    diff::changes(&node.view, before, after)
                };
                match changes() {
                    Ok(changes) => {
                        FieldFuture::Value(Some(FieldValue::list(changes.into_iter().map(FieldValue::owned_any))))
                    }
                    Err(error) => error.into_field(&ctx),
                }
            })
            .description("The fields that differ."),
        )
}

fn node<'a>(ctx: &ResolverContext<'a>) -> Option<&'a ChangeNode> {
    ctx.parent_value.downcast_ref::<ChangeNode>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_round_trip_and_belong_to_one_view() {
        let position = |number| Position::from_i64(number).unwrap();
        let place = Place { from: position(7), to: position(9), key: Some("a\u{0}\"".to_owned()) };
        let cursor = place.encode("orders");
        assert_eq!(Place::parse(&cursor, "customers"), None);
        assert_eq!(Place::parse(&cursor, "orders"), Some(place));
        assert_eq!(Place::parse("7", "orders"), Some(Place::at(position(7))));
        assert_eq!(Place::parse("x", "orders"), None);
    }
}
