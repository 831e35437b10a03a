//! Writing a batch while the next one is folded.

use std::{cell::RefCell, thread};

use deltafold_view::{Batch, Snapshot, ViewStore, WriteError};

/// Commits batches of a view store, one after the other.
pub(crate) struct Writer {
    views: ViewStore,
    /// The commit that is under way.
    running: RefCell<Option<thread::JoinHandle<Result<(), WriteError>>>>,
}

impl Writer {
    /// With nothing under way.
    pub(crate) fn new(views: ViewStore) -> Self {
        Self { views, running: RefCell::new(None) }
    }

    /// Writes a batch.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), WriteError> {
        self.settle()?;
        batch.commit()
    }

    /// Begins to write a batch; whether that went well is known when something else is written or read.
    pub(crate) fn begin_commit(&self, batch: Batch) -> Result<(), WriteError> {
        self.settle()?;
        let running = thread::Builder::new().name("write".into()).spawn(|| batch.commit()).map_err(WriteError::Io)?;
        *self.running.borrow_mut() = Some(running);
        Ok(())
    }

    /// The store with every batch in it.
    pub(crate) fn written(&self) -> Result<Snapshot, WriteError> {
        self.settle()?;
        Ok(self.views.written())
    }

    /// Waits for the commit that is under way.
    pub(crate) fn settle(&self) -> Result<(), WriteError> {
        match self.running.borrow_mut().take() {
            Some(running) => running.join().map_err(|_| WriteError::Stopped)?,
            None => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to tell: the store itself takes no more after a failure.
        let _ = self.settle();
    }
}
