//! Folding everything that is known of a type at once, aggregate by aggregate.
//!
//! What comes out is what [`crate::Keeper`] makes of the same events in the order of their positions. Aggregates meet
//! in few places: a truncate concerns all of them, so each is folded with all truncates; halves of a move look at
//! each other, so aggregates with one are set aside and folded together in the end; columns are remembered by the
//! position that showed them first. Where the columns of the key change, and where the same domain event may come
//! under two aggregates, the order of positions is needed.

use std::convert::Infallible;

use deltafold_event::{EventId, Metadata, OrderKey, Position, StoredEvent, Timestamp};

use crate::{
    Changes, FoldError, KeeperState, KeySpan, Last, Memory, Record, Schemas, TypeEvent,
    fold::{Fold, type_wide::type_event},
    keys,
};

/// Folds the events of one aggregate type, of which nothing was folded before, aggregate by aggregate.
#[derive(Debug)]
pub struct ByAggregate {
    state: KeeperState,
    key_notes: KeyNotes,
    truncates: Vec<StoredEvent>,
    /// The events of aggregates with a move.
    aside: Vec<StoredEvent>,
    most_aside: usize,
}

impl ByAggregate {
    /// For a type with these truncates: its events that belong to no aggregate, by position. `most_aside`: how many
    /// events of aggregates with moves may be held in memory.
    pub fn new(truncates: Vec<StoredEvent>, most_aside: usize) -> Self {
        let (state, key_notes) = (KeeperState::default(), KeyNotes::default());
        Self { state, key_notes, truncates, aside: Vec::new(), most_aside }
    }

    /// Folds whole aggregates: of each all events, by position. No aggregate comes twice. None when the type has to
    /// be folded by position: then nothing of it may be kept.
    ///
    /// # Errors
    /// When an event cannot be folded.
    pub fn fold<'e>(
        &mut self,
        aggregates: impl IntoIterator<Item = &'e [StoredEvent]>,
        schemas: &Schemas,
    ) -> Result<Option<Changes>, FoldError<Infallible>> {
        let is_anywhere = |truncate: &StoredEvent| truncate.event.source_position.is_none();
        if self.truncates.iter().any(is_anywhere) {
            return Ok(None);
        }
        let mut fold = Fold::new(&Nothing, schemas, &mut self.state).by_aggregate(&mut self.key_notes);
        for events in aggregates {
            if events.iter().any(|stored| stored.event.operation.is_none() && stored.event.source_position.is_none()) {
                return Ok(None);
            }
            if events.iter().any(|stored| Metadata::tells_move(&stored.event.metadata)) {
                self.aside.extend_from_slice(events);
            } else {
                fold.aggregate(&self.truncates, events)?;
            }
        }
        let changes = Changes { state: None, ..fold.finish() };
        Ok((!self.key_notes.differ && self.aside.len() <= self.most_aside).then_some(changes))
    }

    /// Folds what was set aside. The changes are of other aggregates than those before, and have the keeper's state.
    ///
    /// # Errors
    /// When an event cannot be folded.
    pub fn finish(mut self, schemas: &Schemas) -> Result<Option<Changes>, FoldError<Infallible>> {
        self.state.truncates.clear();
        let mut events: Vec<&StoredEvent> = self.truncates.iter().chain(&self.aside).collect();
        events.sort_unstable_by_key(|stored| stored.position);
        let mut fold = Fold::new(&Nothing, schemas, &mut self.state).by_aggregate(&mut self.key_notes);
        for event in events {
            fold.event(event)?;
        }
        let changes = fold.finish();
        if self.key_notes.differ {
            return Ok(None);
        }
        self.state.keys.extend(self.key_notes.span());
        Ok(Some(Changes { state: Some(self.state), ..changes }))
    }
}

/// What events show of the columns of the key, in whatever order they come.
#[derive(Debug, Default)]
pub(crate) struct KeyNotes {
    columns: Option<Vec<String>>,
    /// Whether not all showed the same.
    differ: bool,
    /// The first event without a position that arrived.
    first_read: Option<TypeEvent>,
    /// The position of the first log event that arrived.
    first_log: Option<Position>,
    /// The first log event by order.
    least_log: Option<TypeEvent>,
}

impl KeyNotes {
    fn take(&mut self, columns: &[String]) {
        match &self.columns {
            Some(known) => self.differ |= known != columns,
            None => self.columns = Some(columns.to_vec()),
        }
    }

    pub(crate) fn log_event(&mut self, columns: &[String], record: &Record) {
        self.take(columns);
        self.first_log = Some(self.first_log.map_or(record.position, |first| first.min(record.position)));
        let place = |order: &OrderKey| (order.epoch, order.source_position.clone());
        if self.least_log.as_ref().is_some_and(|least| place(&least.order) < place(&record.order)) {
            return;
        }
        let event = type_event(record, keys::before_log(&record.order));
        let by_order = |event: &TypeEvent| (event.order.clone(), event.id, event.position);
        if self.least_log.as_ref().is_none_or(|least| by_order(&event) < by_order(least)) {
            self.least_log = Some(event);
        }
    }

    pub(crate) fn event_without_position(&mut self, columns: &[String], record: &Record) {
        self.take(columns);
        if self.first_read.as_ref().is_none_or(|first| record.position < first.position) {
            self.first_read = Some(type_event(record, OrderKey::default()));
        }
    }

    /// The span that all these events are in; none when none of them showed a key.
    fn span(self) -> Option<KeySpan> {
        let read_first = |read: &TypeEvent| self.first_log.is_none_or(|log| read.position < log);
        let from = self.first_read.filter(read_first).or_else(|| self.least_log.clone())?;
        Some(KeySpan { columns: self.columns?, from, first_log: self.least_log })
    }
}

/// The memory of a keeper that has folded nothing.
struct Nothing;

impl Memory for Nothing {
    type Error = Infallible;

    fn last(&self, _: &str) -> Result<Option<Last>, Infallible> {
        Ok(None)
    }

    fn before(&self, _: &str, _: &OrderKey, _: Timestamp) -> Result<Option<Record>, Infallible> {
        Ok(None)
    }

    fn from(&self, _: &str, _: &OrderKey, _: Timestamp, _: usize) -> Result<Vec<Record>, Infallible> {
        Ok(Vec::new())
    }

    fn earlier(&self, _: &str, _: Timestamp) -> Result<Option<Record>, Infallible> {
        Ok(None)
    }

    fn seen(&self, _: EventId) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn aggregates(&self) -> Box<dyn Iterator<Item = Result<String, Infallible>> + '_> {
        Box::new(std::iter::empty())
    }
}
