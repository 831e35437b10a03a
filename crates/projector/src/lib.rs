//! The tasks that tail the event store, fold what they read into views, and keep checkpoints.
//!
//! One reader of the log feeds every relation keeper; what a run of commits changes in all views and their
//! checkpoint becomes durable in one batch of the view store. What a large store holds when there is no index yet is
//! folded aggregate by aggregate instead of commit by commit, with the same result (`load`). Where a database was
//! restored, what that concerns is read from the store again (`Log`). This crate holds no rule
//! about what a view means (`deltafold-relation`) and no layout on disk (`deltafold-view`).
//!
//! ```no_run
//! # async fn example(store: deltafold_store::EventStore) -> Result<(), Box<dyn std::error::Error>> {
//! use deltafold_projector::{Options, Projector};
//! use deltafold_view::ViewStore;
//!
//! let views = ViewStore::open("data/index".as_ref(), Default::default())?;
//! let projector = Projector::start(store, views, Options::default()).await?;
//! let catalog = projector.caught_up().await?;
//! println!("{} views at position {}", catalog.views.len(), catalog.checkpoint);
//! projector.stop().await;
//! # Ok(()) }
//! ```

mod catalog;
mod error;
mod folder;
mod going_on;
mod indexing;
mod load;
mod log;
mod mirror;
mod mirror_memory;
mod older_beliefs;
mod options;
mod projections;
mod projector;
mod publisher;
mod record_entry;
mod writer;

pub use catalog::{Building, Catalog, Failure, Progress, ProjectionInfo, ViewInfo, ViewKind};
pub use deltafold_relation::{Consistent, NewEpoch, OriginInfo, Record, RecordKind, Reset, Suspect};
pub use error::ProjectorError;
pub use folder::{CHECKPOINT, Folder, consistent};
pub use log::Log;
pub use older_beliefs::{Believed, OlderBeliefs, OlderBeliefsError};
pub use options::{Declared, Options, WantedIndexes};
pub use projections::{Ordered, Said, shown_earlier, was_whole_at, whole_until};
pub use projector::Projector;
pub use publisher::{Publication, PublishedView, Publisher, PublisherError, PublisherOptions, Tables};
pub use record_entry::to_record;
