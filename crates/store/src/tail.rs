//! Reading the log as it grows.

use std::{sync::Arc, time::Duration};

use deltafold_event::Position;
use tokio::sync::watch;

use crate::{Batch, EventStore, ReadError, backlog::Backlog};

/// A reader of every commit from a position on, in order, without a gap. It takes batches from memory while it
/// keeps up, and from files, read ahead, while it is behind.
#[derive(Debug)]
pub struct Tail {
    store: EventStore,
    position: Position,
    tip: watch::Receiver<u64>,
    backlog: Option<Backlog>,
}

impl Tail {
    pub(crate) fn new(store: EventStore, position: Position) -> Self {
        let tip = store.events().tip();
        Self { store, position, tip, backlog: None }
    }

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
        let poll = self.store.options().poll_interval;
        loop {
            self.tip.mark_unchanged();
            if let Some(batch) = self.known().await? {
                return Ok(batch);
            }
            tokio::select! {
                // The store outlives the tail, and so the sender the receiver.
                _ = self.tip.changed() => {}
                () = tokio::time::sleep(poll) => self.store.events().look(poll).await?,
            }
        }
    }

    /// The next batch, or none at the tip (after looking for commits of other processes).
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn try_next(&mut self) -> Result<Option<Arc<Batch>>, ReadError> {
        if let Some(batch) = self.known().await? {
            return Ok(Some(batch));
        }
        self.store.events().look(Duration::ZERO).await?;
        self.known().await
    }

    /// The next of the batches that this process knows of.
    async fn known(&mut self) -> Result<Option<Arc<Batch>>, ReadError> {
        loop {
            if let Some(backlog) = &mut self.backlog {
                match backlog.next().await {
                    Some(Ok(batch)) => return Ok(Some(self.hand_out(batch))),
                    Some(Err(error)) => {
                        self.backlog = None;
                        return Err(error);
                    }
                    None => self.backlog = None,
                }
            }
            let at = self.position;
            let recent = self.store.recent().get(at.version());
            if let Some(batch) = recent {
                return Ok(Some(self.hand_out(from(batch, at))));
            }
            let (next, version, committed_at) = {
                let state = self.store.events().state();
                (state.files.reaching(at).cloned(), state.version, state.committed_at)
            };
            match next {
                Some(file) => {
                    // Commits without events lie between: the next may be in memory.
                    let recent = self.store.recent().get(file.first.version()).filter(|_| file.first > at);
                    if let Some(batch) = recent {
                        return Ok(Some(self.hand_out(batch)));
                    }
                    self.backlog = Some(Backlog::read(self.store.clone(), at));
                }
                None if version >= at.version() => {
                    return Ok(Some(self.hand_out(Arc::new(Batch { version, committed_at, events: Vec::new() }))));
                }
                None => return Ok(None),
            }
        }
    }

    fn hand_out(&mut self, batch: Arc<Batch>) -> Arc<Batch> {
        self.position = batch.end();
        batch
    }
}

/// The part of a batch from a position on.
fn from(batch: Arc<Batch>, position: Position) -> Arc<Batch> {
    if position.ordinal() == 0 {
        return batch;
    }
    let events = batch.events.iter().filter(|event| event.position >= position).cloned().collect();
    Arc::new(Batch { version: batch.version, committed_at: batch.committed_at, events })
}
