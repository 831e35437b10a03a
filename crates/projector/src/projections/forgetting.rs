//! Forgetting old beliefs, on a thread of its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use deltafold_event::Position;
use deltafold_view::{Mirror, ViewStore, WriteError};

use crate::ProjectorError;

/// A walk over all derived views; dropping it ends it.
pub(super) struct Forgetting {
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Forgetting {
    /// Begins to forget what was believed before a position, and where batches ended before `end`.
    pub(super) fn begin(
        store: ViewStore,
        views: Vec<Mirror>,
        before: Position,
        end: Position,
    ) -> Result<Self, ProjectorError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let walk = move || {
            // First of all nobody is to begin to read as of then.
            let forgotten = store.forget_ends(end).and_then(|()| {
                let stop = || stop.load(Ordering::SeqCst);
                views.iter().try_for_each(|view| store.forget(view, before, &stop))
            });
            if let Err(error) = forgotten {
                // What is left goes next time.
                tracing::warn!(%error, "old beliefs of derived views cannot be removed");
            }
        };
        let thread = thread::Builder::new().name("forget".into()).spawn(walk).map_err(WriteError::Io)?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Forgetting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // What a panic there left is removed next time.
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}
