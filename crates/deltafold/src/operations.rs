//! What the query API's mutations do, in the crates that it may not use itself.

use std::{future::Future, sync::Arc};

use deltafold_api::{
    AppendEvents, CommandError, CommandResult, Commands, LetterChoice, LetterFailure, Principal, Settled,
};
use deltafold_event::{Event, Position, Timestamp};
use deltafold_ingest::{LetterSelection, SettleError, SettleSummary, discard_dead_letters, retry_dead_letters};
use deltafold_projector::{NewEpoch, Ordered, Said};
use deltafold_store::{Append, AppendError, AppendedTo, Conflict, EventStore};
use futures::future::BoxFuture;
use tokio::runtime::Handle;

use crate::{
    config::Config,
    event_schemas::{EventSchemas, WrongEvent},
    exit::Exit,
    failures::Fails,
};

/// Operations on one data directory.
pub(crate) struct Operations {
    store: EventStore,
    /// As it was when this process was started.
    config: Arc<Config>,
    schemas: Arc<EventSchemas>,
}

impl Operations {
    pub(crate) fn new(store: EventStore, config: Config, schemas: EventSchemas) -> Self {
        Self { store, config: Arc::new(config), schemas: Arc::new(schemas) }
    }
}

impl Commands for Operations {
    fn append_events(&self, append: AppendEvents, by: Principal) -> BoxFuture<'static, CommandResult<AppendedTo>> {
        let (store, schemas) = (self.store.clone(), Arc::clone(&self.schemas));
        to_the_end(async move || {
            for (index, event) in append.events.iter().enumerate() {
                let checked = schemas.check(&append.aggregate_type, &event.event_type, &event.payload);
                checked.map_err(|WrongEvent { pointer, what }| CommandError::Invalid {
                    path: format!("appendEvents.events[{index}].payload{pointer}"),
                    what,
                })?;
            }
            store.append_to(append.on_record(&by), append.expected, append.known).await.map_err(not_appended)
        })
    }

    fn retry_dead_letters(&self, which: LetterChoice, by: Principal) -> BoxFuture<'static, CommandResult<Settled>> {
        let (store, config) = (self.store.clone(), Arc::clone(&self.config));
        to_the_end(async move || {
            let decoders = move |source: &str| config.decoder_of(source);
            let (selection, limit) = selection(which);
            settled(retry_dead_letters(&store, &selection, limit, decoders, by.name()).await)
        })
    }

    fn discard_dead_letters(
        &self,
        which: LetterChoice,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Settled>> {
        let store = self.store.clone();
        to_the_end(async move || {
            let (selection, limit) = selection(which);
            settled(discard_dead_letters(&store, &selection, limit, &reason, by.name()).await)
        })
    }

    fn new_epoch(
        &self,
        origin: String,
        epoch: u32,
        reason: String,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>> {
        let store = self.store.clone();
        to_the_end(async move || {
            let said = NewEpoch { epoch, reason, by: by.name().to_owned() };
            append(&store, said.event(&origin, Timestamp::from(chrono::Utc::now()))).await
        })
    }

    fn order(
        &self,
        projection: String,
        ordered: Ordered,
        reason: Option<String>,
        by: Principal,
    ) -> BoxFuture<'static, CommandResult<Position>> {
        let store = self.store.clone();
        to_the_end(async move || {
            let said = Said { ordered, by: by.name().to_owned(), reason };
            append(&store, said.event(&projection, Timestamp::from(chrono::Utc::now()))).await
        })
    }
}

fn not_appended(error: AppendError) -> CommandError {
    match &error {
        AppendError::Conflict(Conflict::Revision { found, .. }) => {
            CommandError::Revision { actual: *found, message: error.to_string() }
        }
        AppendError::Conflict(_) => CommandError::Conflict(error.to_string()),
        error if error.exit() == Exit::Unavailable => CommandError::Unavailable(error.to_string()),
        error => CommandError::Failed(error.to_string()),
    }
}

/// Puts an event on record; where it stands.
async fn append(store: &EventStore, event: Event) -> CommandResult<Position> {
    let batch = store.append(Append { events: vec![event], ..Append::default() }).await.map_err(not_appended)?;
    Ok(batch.events.last().map_or(batch.end(), |last| last.position))
}

/// Runs an operation on a thread of its own, where it goes on if nobody waits any more, and need not be `Send`: the
/// compiler cannot see that what borrows across the store's streams is (rust-lang/rust#102211).
fn to_the_end<T: Send + 'static, F: Future<Output = CommandResult<T>>>(
    operation: impl FnOnce() -> F + Send + 'static,
) -> BoxFuture<'static, CommandResult<T>> {
    let handle = Handle::current();
    let running = tokio::task::spawn_blocking(move || handle.block_on(operation()));
    Box::pin(async move { running.await.unwrap_or_else(|error| Err(CommandError::Failed(error.to_string()))) })
}

fn selection(which: LetterChoice) -> (LetterSelection, u64) {
    let LetterChoice { numbers, source, topic, code, after, limit } = which;
    let selection = match numbers {
        Some(numbers) => LetterSelection::Numbers(numbers.into_iter().map(|number| number..=number).collect()),
        None => LetterSelection::Open { source, topic, code, after },
    };
    (selection, limit)
}

fn settled(result: Result<SettleSummary, SettleError>) -> CommandResult<Settled> {
    let summary = result.map_err(|error| match error.exit() {
        Exit::NotFound => CommandError::NotFound(error.to_string()),
        Exit::Conflict => CommandError::Conflict(error.to_string()),
        Exit::Unavailable => CommandError::Unavailable(error.to_string()),
        _ => CommandError::Failed(error.to_string()),
    })?;
    let failures = summary.failures.into_iter().map(|failure| LetterFailure {
        number: failure.number,
        code: failure.code,
        reason: failure.reason,
    });
    Ok(Settled {
        settled: summary.settled,
        events: summary.events,
        failed: summary.failed,
        failures: failures.collect(),
        position: summary.position,
        stopped_at: summary.stopped_at,
    })
}
