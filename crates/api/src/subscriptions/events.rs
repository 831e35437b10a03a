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

use crate::{Api, errors::ApiError, events, scalars};

pub(super) const NAME: &str = "events";

/// As many are read at once.
const READ_AHEAD: usize = 100;

pub(super) fn field() -> (String, String, String, Vec<InputValue>) {
    let description = "The events as they are recorded, in the order of their positions, each once.";
    let arguments = vec![
        InputValue::new("where", TypeRef::named("EventFilter"))
            .description("Which events; all but the store's own, if not given."),
        InputValue::new("after", TypeRef::named("Position"))
            .description("Those after this position: the last one that was received. From now on, if not given."),
    ];
    (NAME.to_owned(), "Event".to_owned(), description.to_owned(), arguments)
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
            let read = events::first_deliveries(&reading, filter, Direction::Forward, READ_AHEAD).await?;
            self.from = match read.last() {
                Some(last) if read.len() >= READ_AHEAD => last.position.next(),
                _ => reading.end(),
            };
            if self.filter.to.is_some_and(|to| to <= self.from) && read.is_empty() {
                return Ok(None);
            }
            self.read = read.into();
        }
    }
}
