//! The event store as resolvers ask it.
//!
//! Each question owns what it asks and comes as a boxed future: the compiler cannot see that futures which borrow
//! across the store's own streams are `Send` for every lifetime (rust-lang/rust#102211).

use std::sync::Arc;

use deltafold_event::{EventId, Position, StoredEvent, Timestamp};
use deltafold_store::{DeadLetterFilter, Direction, EventFilter, EventStore, RecordedLetter};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::errors::ApiError;

/// The event store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    store: EventStore,
    /// A place for each question under way: one may hold a whole file of events, and takes a thread.
    places: Arc<Semaphore>,
}

/// How many questions are asked at once; others wait.
const AT_ONCE: usize = 4;

type Answer<T> = BoxFuture<'static, Result<T, ApiError>>;

impl Log {
    /// Over a store.
    pub(crate) fn new(store: EventStore) -> Self {
        Self { store, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Asks a question on a thread of its own, where it need not be `Send`.
    fn aside<T: Send + 'static, F: Future<Output = Result<T, ApiError>>>(
        &self,
        ask: impl FnOnce(EventStore) -> F + Send + 'static,
    ) -> Answer<T> {
        let (store, places) = (self.store.clone(), self.places.clone());
        Box::pin(async move {
            let place = places.acquire_owned().await.expect("nobody closes it");
            let handle = tokio::runtime::Handle::current();
            let asked = tokio::task::spawn_blocking(move || {
                // Kept until it is answered, also where nobody waits any more.
                let _place = place;
                handle.block_on(ask(store))
            });
            asked.await.unwrap_or_else(|error| Err(ApiError::internal("log", error)))
        })
    }

    /// What it knows without reading.
    pub(crate) fn store(&self) -> &EventStore {
        &self.store
    }

    /// The first (or last) so many events that a filter leaves, each delivery of them.
    pub(crate) fn scan(&self, filter: EventFilter, direction: Direction, limit: usize) -> Answer<Vec<StoredEvent>> {
        self.aside(async move |store| {
            store.scan(&filter, direction, limit).await.map_err(|error| ApiError::internal("scan", error))
        })
    }

    /// The event with this id, at its first delivery.
    pub(crate) fn find(&self, id: EventId) -> Answer<Option<StoredEvent>> {
        self.aside(async move |store| store.find(id).await.map_err(|error| ApiError::internal("find", error)))
    }

    /// The events at these positions, by position.
    pub(crate) fn events_at(&self, positions: Vec<Position>) -> Answer<Vec<StoredEvent>> {
        self.aside(async move |store| {
            store.events_at(&positions).await.map_err(|error| ApiError::internal("events at", error))
        })
    }

    /// Every event of a control type, by position.
    pub(crate) fn control(&self, aggregate_type: &'static str) -> Answer<Vec<StoredEvent>> {
        self.aside(async move |store| {
            store.control(aggregate_type).await.map_err(|error| ApiError::internal("control events", error))
        })
    }

    /// The dead letters that a filter leaves.
    pub(crate) fn dead_letters(&self, filter: DeadLetterFilter) -> Answer<Vec<RecordedLetter>> {
        self.aside(async move |store| {
            store.dead_letters(&filter).await.map_err(|error| ApiError::internal("dead letters", error))
        })
    }

    /// One dead letter.
    pub(crate) fn dead_letter(&self, number: u64) -> Answer<Option<RecordedLetter>> {
        self.aside(async move |store| {
            store.dead_letter(number).await.map_err(|error| ApiError::internal("dead letter", error))
        })
    }

    /// The exclusive end of what had been recorded by a time: bisects the commits below `end`, whose times never run
    /// backwards.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub(crate) async fn recorded_by(&self, end: Position, moment: Timestamp) -> Result<Position, ApiError> {
        let begin = |version: u64| Position::new(version, 0).unwrap_or(Position::MAX);
        let (mut low, mut high) = (0, end.version());
        while low < high {
            let middle = low + (high - low) / 2;
            let filter = EventFilter { from: Some(begin(middle)), to: Some(end), ..EventFilter::default() };
            match self.scan(filter, Direction::Forward, 1).await?.first() {
                Some(event) if event.recorded_at <= moment => low = event.position.version() + 1,
                // Recorded later, or nothing but empty commits from there on.
                Some(_) | None => high = middle,
            }
        }
        Ok(begin(low).min(end))
    }
}
