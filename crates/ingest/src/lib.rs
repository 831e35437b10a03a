//! The loop from source to store: records become events, and events, offsets and dead letters become durable.
//!
//! One pipeline per file, and one for all topics of a source, each stage in its own task and every channel between
//! them bounded:
//!
//! ```text
//! read     chunks of lines, or runs of records        (deltafold-source)
//! decode   events and dead letters, control events    (deltafold-cdc)
//! group    until 250 ms, 32,768 events or 64 MiB
//! prepare  encoded and synced, not visible yet        (deltafold-store)
//! commit   dead letters first, then the log entry     (deltafold-store)
//! ```
//!
//! Exactly once: a commit moves the offset of each file or partition from where reading it began to where its records
//! end. When another process moved one of them meanwhile, or claimed the same aggregate type, the commit is refused;
//! then everything is read again from the store, and reading begins anew where the store says it stands. Nothing is
//! retried blindly.
//!
//! What could not be decoded is a dead letter; [`retry_dead_letters`] decodes such records once more, after an upgrade or
//! a change of the configuration, and [`discard_dead_letters`] gives them up.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use deltafold_ingest::{Options, ingest_file};
//! use deltafold_store::EventStore;
//! use tokio_util::sync::CancellationToken;
//!
//! let store = EventStore::open("data".as_ref(), Default::default()).await?;
//! let summary = ingest_file(&store, "orders.jsonl".as_ref(), &Options::default(), CancellationToken::new()).await?;
//! println!("{} appended, {} were there already", summary.appended, summary.already_there);
//! # Ok(()) }
//! ```

mod clock;
mod commit;
mod commits;
mod dead_letters;
mod decode;
mod error;
mod file;
mod file_mark;
mod group;
mod offset;
mod options;
mod pace;
mod pipeline;
mod progress;
mod read;
mod registry;
mod summary;
mod topics;
mod transactions;
mod work;

pub use dead_letters::{
    LetterFailure, LetterSelection, SettleError, SettleSummary, discard_dead_letters, retry_dead_letters,
};
pub use error::IngestError;
pub use file::ingest_file;
pub use file_mark::FileMark;

pub use options::{GroupCommit, Options};
pub use progress::Progress;
pub use summary::Summary;
pub use topics::ingest_topics;
