//! Appending to one aggregate, if it is as whoever appends believes.
//!
//! What is expected is checked against everything below the version that the commit wins (D14). What a commit of this
//! process has brought meanwhile is in memory; another's is read, and the commit tried again.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use deltafold_event::{Event, EventId, Position, StoredEvent, control};

use crate::{AppendError, Conflict, Direction, EventFilter, EventStore, table::commit::CommitError};

/// How many events an aggregate is to have before an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExpectedRevision {
    /// As many as it may be.
    #[default]
    Any,
    /// None.
    None,
    /// At least one.
    Exists,
    /// So many.
    Exact(u64),
}

impl ExpectedRevision {
    fn holds(self, revision: u64) -> bool {
        match self {
            Self::Any => true,
            Self::None => revision == 0,
            Self::Exists => revision > 0,
            Self::Exact(expected) => revision == expected,
        }
    }
}

impl fmt::Display for ExpectedRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::None => f.write_str("none"),
            Self::Exists => f.write_str("one at least"),
            Self::Exact(revision) => revision.fmt(f),
        }
    }
}

/// What whoever folds the log knows of an aggregate. Without any, the log is read from its beginning.
#[derive(Clone)]
pub struct KnownAggregate {
    /// Everything below it counts.
    pub below: Position,
    /// How many distinct events the aggregate has below that.
    pub revision: u64,
    /// Whether an event of its type is below that.
    pub has: Arc<dyn Fn(EventId) -> bool + Send + Sync>,
}

impl Default for KnownAggregate {
    fn default() -> Self {
        Self { below: Position::ZERO, revision: 0, has: Arc::new(|_| false) }
    }
}

impl fmt::Debug for KnownAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownAggregate").field("below", &self.below).field("revision", &self.revision).finish()
    }
}

/// That events are in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendedTo {
    /// The position of the last of them.
    pub position: Position,
    /// How many distinct events the aggregate has with them, or, if they were there before, now.
    pub revision: u64,
    /// Whether they were there before.
    pub was_there: bool,
}

impl EventStore {
    /// Appends events of one aggregate in one commit, if it is at the revision that is expected. If they are all there
    /// already, by their ids, that is what is wanted, whatever was expected.
    ///
    /// # Errors
    /// As [`Self::append`]; a [`Conflict`] also where the aggregate is at another revision, its type is a source table's,
    /// or some of the events only are there.
    ///
    /// # Panics
    /// Without events, or with such of several aggregates.
    pub async fn append_to(
        &self,
        events: Vec<Event>,
        expected: ExpectedRevision,
        known: KnownAggregate,
    ) -> Result<AppendedTo, AppendError> {
        let first = events.first().expect("there is an event at least");
        let aggregate = (first.aggregate_type.clone(), first.aggregate_id.clone().expect("they are of an aggregate"));
        assert!(events.iter().all(|event| event.aggregate_type == aggregate.0
            && event.aggregate_id.as_deref() == Some(&aggregate.1)), "they are of one aggregate");
        let ids = events.iter().map(|event| event.id).collect();
        let of_events = events.len() as u64;
        let following = Following { store: self, aggregate, ids, expected, known: Mutex::new(Known::of(known)) };

        let mut prepared = None;
        loop {
            self.refresh().await?;
            following.read_on().await?;
            if let Decided::Already = following.decide()? {
                return following.already().await;
            }
            let prepared = match &mut prepared {
                Some(prepared) => prepared,
                none => none.insert(self.prepare(events.clone()).await?),
            };
            let is_already = Mutex::new(false);
            let check = |version| {
                following.recall_to(version)?;
                if let Decided::Already = following.decide()? {
                    *is_already.lock().expect("no holder of this lock panics") = true;
                    return Err(CommitError::Behind);
                }
                Ok(())
            };
            match self.commit_if(prepared, &[], Some(&check)).await {
                Ok(batch) => {
                    let position = batch.events.last().map_or(batch.end(), |last| last.position);
                    let revision = following.known().revision + of_events;
                    return Ok(AppendedTo { position, revision, was_there: false });
                }
                Err(CommitError::Behind) if *is_already.lock().expect("no holder of this lock panics") => {
                    return following.already().await;
                }
                // Others were first: their commits are read, and then it is tried again.
                Err(CommitError::Behind) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// An append that follows what others append.
struct Following<'a> {
    store: &'a EventStore,
    aggregate: (Arc<str>, String),
    /// Of the events to be appended.
    ids: Vec<EventId>,
    expected: ExpectedRevision,
    known: Mutex<Known>,
}

/// What is known of the aggregate.
struct Known {
    below: Position,
    revision: u64,
    /// Of events that came after what was known at first.
    ids: HashSet<EventId>,
    has: Arc<dyn Fn(EventId) -> bool + Send + Sync>,
}

enum Decided {
    Append,
    Already,
}

impl Known {
    fn of(known: KnownAggregate) -> Self {
        let KnownAggregate { below, revision, has } = known;
        Self { below, revision, ids: HashSet::new(), has }
    }

    fn has(&self, id: EventId) -> bool {
        self.ids.contains(&id) || (self.has)(id)
    }

    fn take<'e>(&mut self, events: impl IntoIterator<Item = &'e StoredEvent>, aggregate: &(Arc<str>, String)) {
        let is_of = |event: &Event| {
            event.aggregate_type == aggregate.0 && event.aggregate_id.as_deref() == Some(aggregate.1.as_str())
        };
        for stored in events.into_iter().filter(|stored| is_of(&stored.event)) {
            let id = stored.event.id;
            if !self.has(id) {
                self.ids.insert(id);
                self.revision += 1;
            }
        }
    }
}

impl Following<'_> {
    /// Reads what has been committed since.
    async fn read_on(&self) -> Result<(), AppendError> {
        let from = self.known().below;
        let end = self.store.high_water_mark();
        let filter = EventFilter {
            aggregate_type: Some(self.aggregate.0.to_string()),
            aggregate_id: Some(self.aggregate.1.clone()),
            from: Some(from),
            to: Some(end),
            ..EventFilter::default()
        };
        let events = self.store.scan(&filter, Direction::Forward, usize::MAX).await?;
        let mut known = self.known();
        known.take(&events, &self.aggregate);
        known.below = known.below.max(end);
        Ok(())
    }

    /// Takes in what this process has committed since, up to a version.
    fn recall_to(&self, version: u64) -> Result<(), CommitError> {
        let mut known = self.known();
        let recent = self.store.recent();
        while known.below.version() <= version {
            let batch = recent.get(known.below.version()).ok_or(CommitError::Behind)?;
            known.take(&batch.events, &self.aggregate);
            known.below = batch.end();
        }
        Ok(())
    }

    /// Whether to append, by all that is known.
    fn decide(&self) -> Result<Decided, Conflict> {
        let known = self.known();
        let (aggregate_type, aggregate_id) = (self.aggregate.0.to_string(), self.aggregate.1.clone());
        if self.store.has_control(control::TABLE, &aggregate_type) {
            return Err(Conflict::Fed { aggregate_type });
        }
        let mut there = self.ids.iter().filter(|id| known.has(**id));
        if let Some(event) = there.next().copied() {
            let is_all = there.count() + 1 == self.ids.len();
            return if is_all { Ok(Decided::Already) } else { Err(Conflict::Partly { event }) };
        }
        match self.expected.holds(known.revision) {
            true => Ok(Decided::Append),
            false => {
                let (expected, found) = (self.expected, known.revision);
                Err(Conflict::Revision { aggregate_type, aggregate_id, expected, found })
            }
        }
    }

    /// Where the events are that were there before.
    async fn already(&self) -> Result<AppendedTo, AppendError> {
        let mut position = Position::ZERO;
        for id in &self.ids {
            if let Some(found) = self.store.find(*id).await? {
                position = position.max(found.position);
            }
        }
        Ok(AppendedTo { position, revision: self.known().revision, was_there: true })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no holder of this lock panics")
    }
}
