//! Reading ahead, for a tail that is behind.

use std::sync::Arc;

use deltafold_event::Position;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::{
    Batch, EventStore, ReadError, blocking,
    read::{Ordered, ParquetFile},
};

/// How many events may be read and not yet handed out.
const EVENTS_AHEAD: usize = 32_768;

/// How many events are made at once from a file that holds many commits.
const EVENTS_AT_ONCE: usize = 8_192;

type Sent = (Result<Arc<Batch>, ReadError>, Option<OwnedSemaphorePermit>);

/// The batches from a position up to what was the end of the log when the reader came there.
#[derive(Debug)]
pub(crate) struct Backlog {
    batches: mpsc::UnboundedReceiver<Sent>,
}

impl Backlog {
    /// Starts to read. It ends with the backlog, or when the backlog is dropped.
    pub(crate) fn read(store: EventStore, from: Position) -> Self {
        // Bounded by the permits that travel with the batches.
        let (sender, batches) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let room = Arc::new(Semaphore::new(EVENTS_AHEAD));
            let mut position = from;
            // A file that compaction has replaced may be gone before it is opened; its rows are in another then.
            let mut absent = None;
            loop {
                let file = store.events().state().files.reaching(position).cloned();
                let Some(file) = file else { return };
                let source = match ParquetFile::source(store.events().store.as_ref(), &file).await {
                    Err(_) if absent.as_ref() != Some(&file.path) => {
                        absent = Some(file.path.clone());
                        // An error here is met again by the file itself.
                        let _ = store.events().refresh().await;
                        continue;
                    }
                    source => source,
                };
                let read = match source {
                    Ok(source) => {
                        let opened = file.clone();
                        blocking(move || Ordered::read(ParquetFile::new(opened, source, false)?, position)).await
                    }
                    Err(error) => Err(error),
                };
                let mut ordered = match read {
                    Ok(ordered) => ordered,
                    Err(error) => {
                        let _ = sender.send((Err(error), None));
                        return;
                    }
                };
                loop {
                    let (rest, made) = blocking(move || {
                        let made = ordered.next(EVENTS_AT_ONCE);
                        (ordered, made)
                    })
                    .await;
                    ordered = rest;
                    match made {
                        Ok(batches) if batches.is_empty() => break,
                        Ok(batches) => {
                            for batch in batches {
                                let permits = batch.events.len().clamp(1, EVENTS_AHEAD) as u32;
                                let permit = room.clone().acquire_many_owned(permits).await.ok();
                                if sender.send((Ok(batch), permit)).is_err() {
                                    return;
                                }
                            }
                        }
                        Err(error) => {
                            let _ = sender.send((Err(error), None));
                            return;
                        }
                    }
                }
                position = file.last.next();
            }
        });
        Self { batches }
    }

    /// The next batch; none at the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Result<Arc<Batch>, ReadError>> {
        self.batches.recv().await.map(|(batch, _)| batch)
    }
}
