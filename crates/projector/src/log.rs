//! Reading again what was folded, or held.

use deltafold_event::{Position, StoredEvent};
use deltafold_store::{Direction, EventFilter, EventStore};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::{ProjectorError, projector::shut_down};

/// The log of events, where a [`crate::Folder`] reads again what a reset concerns.
pub trait Log: Send {
    /// Whether it may hold events of databases that can be restored: any that do not come from files.
    fn has_origins(&self) -> bool;

    /// The events from a position until before another, by position: the first so many. Fewer mean that there are no
    /// more. Events of the store itself may be left out. Blocks.
    ///
    /// # Errors
    /// When it cannot be read, or when folding is to stop.
    fn read(&mut self, from: Position, until: Position, most: usize) -> Result<Vec<StoredEvent>, ProjectorError>;

    /// The same log, for another thread.
    fn share(&self) -> Box<dyn Log>;
}

/// The log of an event store, for a thread that may block.
pub(crate) struct StoreLog {
    pub(crate) store: EventStore,
    pub(crate) runtime: Handle,
    pub(crate) stopped: CancellationToken,
}

impl Log for StoreLog {
    fn has_origins(&self) -> bool {
        self.store.offsets().keys().any(|app_id| !app_id.starts_with("file/"))
    }

    fn read(&mut self, from: Position, until: Position, most: usize) -> Result<Vec<StoredEvent>, ProjectorError> {
        if self.stopped.is_cancelled() {
            return Err(shut_down());
        }
        let filter = EventFilter { from: Some(from), to: Some(until), without_control: true, ..EventFilter::default() };
        Ok(self.runtime.block_on(self.store.scan(&filter, Direction::Forward, most))?)
    }

    fn share(&self) -> Box<dyn Log> {
        let Self { store, runtime, stopped } = self;
        Box::new(Self { store: store.clone(), runtime: runtime.clone(), stopped: stopped.clone() })
    }
}
