//! The event store: an append-only Delta table of events, a second one of dead letters, and their care.
//!
//! [`EventStore`] appends events and source offsets in one durable commit, hands batches on to any number of
//! [`Tail`]s in order, finds events by position, id and [`EventFilter`], and keeps itself small and whole:
//! checkpoints, compaction, log clean-up, verification. Several processes may have a data directory open and
//! append to it; the Delta log is the only lock.
//!
//! It does not decode (`deltafold-cdc`), fold (`deltafold-relation`) or know what an event means, but for the
//! aggregate types of [`deltafold_event::control`], which it finds without scanning. Nothing else uses deltalake.
//!
//! ```no_run
//! # async fn example(events: Vec<deltafold_event::Event>) -> Result<(), Box<dyn std::error::Error>> {
//! use deltafold_event::Position;
//! use deltafold_store::{Append, EventStore, Offset, Options};
//!
//! let store = EventStore::open("data".as_ref(), Options::default()).await?;
//! let mut tail = store.tail(Position::ZERO);
//! let offsets = vec![Offset { app_id: "orders/0".into(), expected: store.offset("orders/0"), next: 100 }];
//! store.append(Append { events, offsets }).await?;
//! let batch = tail.next().await?;
//! println!("{} events in commit {}", batch.events.len(), batch.version);
//! # Ok(()) }
//! ```

mod append;
mod backlog;
mod batch;
mod by_aggregate;
mod dead_letter;
mod disk;
mod encode;
mod error;
mod expected;
mod fault;
mod filter;
mod letters;
mod lookup;
mod maintenance;
mod marker;
mod options;
mod published;
mod read;
mod recent;
mod report;
mod schema;
mod settlement;
mod source;
mod store;
mod table;
mod tail;

pub use append::{Append, Offset, Prepared};
pub use batch::Batch;
pub use by_aggregate::ByAggregate;
pub use dead_letter::{DeadLetter, LetterId};
pub use error::{AppendError, Conflict, DiskError, MaintenanceError, OpenError, ReadError};
pub use expected::{AppendedTo, ExpectedRevision, KnownAggregate};
pub use filter::{Direction, EventFilter};
pub use letters::{DeadLetterFilter, RecordedLetter};
pub use options::Options;
pub use published::{PublishError, PublishedTable, REMOVED};
pub use report::{
    CheckpointReport, CleanReport, CompactReport, MaintenanceReport, OpenReport, Problem, TornEntry, VacuumReport,
    VerifyReport,
};
pub use settlement::{LetterState, Outcome, Settlement};
pub use store::EventStore;
pub use tail::Tail;

/// Runs what may block where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
