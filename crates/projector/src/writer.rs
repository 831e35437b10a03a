//! Writing behind the one who folds: a thread writes a batch while the next one is folded.

use std::{cell::RefCell, thread};

use deltafold_view::{Batch, Mirror, Pending, PendingReader, Snapshot, ViewStore, WriteError};

use crate::ProjectorError;

/// Commits batches of a view store, one after the other.
pub(crate) struct Writer {
    views: ViewStore,
    running: RefCell<Option<Running>>,
}

/// A commit that is under way.
struct Running {
    thread: thread::JoinHandle<Result<(), ProjectorError>>,
    /// What it changes of the mirrors, if that is known.
    pending: Option<Pending>,
}

impl Writer {
    /// With nothing under way.
    pub(crate) fn new(views: ViewStore) -> Self {
        Self { views, running: RefCell::new(None) }
    }

    /// Writes a batch.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), ProjectorError> {
        self.settle()?;
        Ok(batch.commit()?)
    }

    /// Begins to write a batch; whether that went well is known when something else is written or read.
    pub(crate) fn begin_commit(&self, batch: Batch) -> Result<(), ProjectorError> {
        self.begin(None, || Ok(batch.commit()?))
    }

    /// Begins what ends in the commit of a batch; `pending` is what that changes of the mirrors.
    pub(crate) fn begin(
        &self,
        pending: Option<Pending>,
        write: impl FnOnce() -> Result<(), ProjectorError> + Send + 'static,
    ) -> Result<(), ProjectorError> {
        self.settle()?;
        let thread = thread::Builder::new().name("write".into()).spawn(write).map_err(WriteError::Io)?;
        *self.running.borrow_mut() = Some(Running { thread, pending });
        Ok(())
    }

    /// The store with every batch in it.
    pub(crate) fn written(&self) -> Result<Snapshot, ProjectorError> {
        self.settle()?;
        Ok(self.views.written())
    }

    /// A mirror with every batch in it; waits for one that is under way if what it changes is not known.
    pub(crate) fn reader(&self, mirror: &Mirror) -> Result<PendingReader, ProjectorError> {
        let pending = self.running.borrow().as_ref().and_then(|running| running.pending.clone());
        if pending.is_none() {
            self.settle()?;
        }
        Ok(PendingReader::new(&self.views.written(), pending, mirror))
    }

    /// Waits for the commit that is under way.
    pub(crate) fn settle(&self) -> Result<(), ProjectorError> {
        match self.running.borrow_mut().take() {
            Some(running) => running.thread.join().map_err(|_| WriteError::Stopped)?,
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
