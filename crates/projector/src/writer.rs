//! Writing behind the one who folds: what follows from a batch, and its commit, go on on a thread of their own.
//!
//! Three batches can be on their way, each in one of three stages: the mirrors take the newest; the derived views that
//! of before; the oldest is committed. What is not committed yet is laid over the store for those who fold.

use std::{
    cell::RefCell,
    sync::mpsc::{Receiver, sync_channel},
    thread::{self, JoinHandle},
};

use deltafold_view::{Batch, Mirror, Pending, PendingReader, Snapshot, ViewStore, WriteError};

use crate::ProjectorError;

/// Commits batches of a view store, one after the other.
pub(crate) struct Writer {
    views: ViewStore,
    running: RefCell<Option<Running>>,
}

/// What follows from a batch, and its commit, under way; those of batches before end first.
struct Running {
    thread: JoinHandle<Result<(), ProjectorError>>,
    /// None: what it changes is not known.
    ahead: Option<Ahead>,
}

/// What is not committed yet.
struct Ahead {
    /// What the batch changes of the mirrors, over what the one before changes.
    mirrors: Pending,
    /// Gives what the batch changes of everything, once that is known and batches before are committed.
    derived: Receiver<Pending>,
    /// That, when it was waited for.
    all: Option<Pending>,
}

/// A batch that is ready to be committed, and what is to be done after that.
pub(crate) type Derived = (Batch, Box<dyn FnOnce() -> Result<(), ProjectorError> + Send>);

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
        self.settle()?;
        self.run(None, || Ok(batch.commit()?))
    }

    /// Begins to add to a batch what follows from it, and to write it. `derive` is given what is pending of the batch
    /// before.
    pub(crate) fn begin(
        &self,
        mut batch: Batch,
        derive: impl FnOnce(Batch, &Pending) -> Result<Derived, ProjectorError> + Send + 'static,
    ) -> Result<(), ProjectorError> {
        self.derived()?;
        let before = self.running.borrow_mut().take();
        let (thread, ahead) = before.map(|running| (running.thread, running.ahead)).unzip();
        let pending = ahead.flatten().and_then(|ahead| ahead.all).unwrap_or_default();
        let mirrors = batch.pending();
        let (send, derived) = sync_channel(1);
        let ahead = Ahead { mirrors: mirrors.clone().after(pending.clone()), derived, all: None };
        self.run(Some(ahead), move || {
            let batch = derive(batch, &pending);
            drop(pending);
            thread.map_or(Ok(()), join)?;
            let (mut batch, then) = batch?;
            // Nobody is there to be told when this is the last.
            let _ = send.send(batch.pending().after(mirrors));
            batch.commit()?;
            then()
        })
    }

    fn run(
        &self,
        ahead: Option<Ahead>,
        write: impl FnOnce() -> Result<(), ProjectorError> + Send + 'static,
    ) -> Result<(), ProjectorError> {
        let thread = thread::Builder::new().name("write".into()).spawn(write).map_err(WriteError::Io)?;
        *self.running.borrow_mut() = Some(Running { thread, ahead });
        Ok(())
    }

    /// Waits until it is known what follows from the last batch, and what that changes.
    pub(crate) fn derived(&self) -> Result<(), ProjectorError> {
        if let Some(ahead) = self.running.borrow_mut().as_mut().and_then(|running| running.ahead.as_mut()) {
            if ahead.all.is_none() {
                ahead.all = ahead.derived.recv().ok();
            }
            if ahead.all.is_some() {
                return Ok(());
            }
        }
        // It has failed, and the thread says why; or what it changes is known once it is committed.
        self.settle()
    }

    /// The store with every batch in it.
    pub(crate) fn written(&self) -> Result<Snapshot, ProjectorError> {
        self.settle()?;
        Ok(self.views.written())
    }

    /// A mirror with every batch in it; waits for one that is under way if what it changes is not known.
    pub(crate) fn reader(&self, mirror: &Mirror) -> Result<PendingReader, ProjectorError> {
        let ahead = self.running.borrow().as_ref().and_then(|running| Some(running.ahead.as_ref()?.mirrors.clone()));
        if ahead.is_none() {
            self.settle()?;
        }
        Ok(PendingReader::new(&self.views.written(), ahead.unwrap_or_default(), mirror))
    }

    /// Waits for all commits that are under way.
    pub(crate) fn settle(&self) -> Result<(), ProjectorError> {
        match self.running.borrow_mut().take() {
            Some(running) => join(running.thread),
            None => Ok(()),
        }
    }
}

fn join(thread: JoinHandle<Result<(), ProjectorError>>) -> Result<(), ProjectorError> {
    thread.join().map_err(|_| WriteError::Stopped)?
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to tell: the store itself takes no more after a failure.
        let _ = self.settle();
    }
}
