//! `events`: the log as it grows.

use std::{collections::VecDeque, sync::Arc};

use async_graphql::{
    Name, Value,
    dynamic::{InputValue, TypeRef},
    indexmap::IndexMap,
};
use deltafold_event::{Position, StoredEvent};
use deltafold_projector::Catalog;
use deltafold_store::{Direction, EventFilter};
use tokio::sync::watch;

use super::Offered;
use crate::{Api, errors::ApiError, events, scalars};

pub(super) const NAME: &str = "events";

/// As many are read at once, and of those so many bytes are kept: the others are read again when it is their turn.
const READ_AHEAD: usize = 100;
const KEPT_BYTES: usize = 64 << 10;

pub(super) fn field() -> Offered {
    let description = "The events as they are recorded, in the order of their positions, each once.";
    let arguments = vec![
        InputValue::new("where", TypeRef::named("EventFilter"))
            .description("Which events; all but the store's own, if not given."),
        InputValue::new("after", TypeRef::named("Position"))
            .description("Those after this position: the last one that was received. From now on, if not given."),
    ];
    Offered { name: NAME.to_owned(), of: "Event".to_owned(), description: description.to_owned(), arguments }
}

/// The events of a filter from a position on, once they are folded.
pub(super) struct EventFeed {
    filter: EventFilter,
    catalog: watch::Receiver<Arc<Catalog>>,
    read: VecDeque<StoredEvent>,
    /// Everything before it was read.
    from: Position,
}

impl EventFeed {
    pub(super) fn open(api: &Api, arguments: &IndexMap<Name, Value>) -> Result<Self, ApiError> {
        let filter = events::filter(arguments.get("where"), Position::MAX)?;
        let (_, reading) = api.reading_now()?;
        let from = match arguments.get("after").and_then(scalars::position) {
            Some(after) => {
                reading.at_position(after, "events.after")?;
                after.next()
            }
            None => reading.end(),
        };
        Ok(Self { filter, catalog: api.catalog(), read: VecDeque::new(), from })
    }

    pub(super) async fn next(&mut self, api: &Api) -> Result<Option<StoredEvent>, ApiError> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Ok(Some(event));
            }
            let from = self.from;
            if self.catalog.wait_for(|catalog| catalog.checkpoint > from).await.is_err() {
                return Ok(None);
            }
            let (_, reading) = api.reading_now()?;
            let mut filter = self.filter.clone();
            filter.from = filter.from.max(Some(from));
            filter.to = filter.to.min(Some(reading.end()));
            let mut read = events::first_deliveries(&reading, filter, Direction::Forward, READ_AHEAD).await?;
            let kept = kept(&read);
            self.from = match read.get(kept.saturating_sub(1)) {
                Some(last) if kept < read.len() || read.len() >= READ_AHEAD => last.position.next(),
                _ => reading.end(),
            };
            read.truncate(kept);
            if self.filter.to.is_some_and(|to| to <= self.from) && read.is_empty() {
                return Ok(None);
            }
            self.read = read.into();
        }
    }
}

/// How many of some events are kept: one at least, if there is one.
fn kept(events: &[StoredEvent]) -> usize {
    let bytes = |stored: &StoredEvent| {
        let event = &stored.event;
        let texts = [event.before.as_ref(), event.after.as_ref(), Some(&event.metadata)];
        texts.into_iter().flatten().map(String::len).sum::<usize>()
    };
    let mut sum = 0;
    let room = events.iter().take_while(|event| {
        sum += bytes(event);
        sum <= KEPT_BYTES
    });
    room.count().max(1).min(events.len())
}
