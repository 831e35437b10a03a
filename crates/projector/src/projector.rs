//! The task that keeps all views folded.

use std::{sync::Arc, thread};

use deltafold_event::{Position, control};
use deltafold_relation::Schemas;
use deltafold_store::{Batch, EventStore};
use deltafold_view::ViewStore;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Catalog, Failure, Options, ProjectorError,
    folder::{Folder, learn},
};

/// Commits that wait to be folded: enough to keep the folder busy while the next is read, few enough to bound memory.
const QUEUED_COMMITS: usize = 4;

/// From how many events on catching up from nothing is worth a bulk load.
const BULK_EVENTS: u64 = 200_000;

/// Follows the event store and folds it into the views, until it is stopped.
///
/// A reader task hands commits to one folding thread over a bounded channel. What was folded is published as a
/// [`Catalog`], after it is in the index. Dropping the projector stops it as well, without waiting.
#[derive(Debug)]
pub struct Projector {
    store: EventStore,
    catalog: watch::Receiver<Arc<Catalog>>,
    cancel: CancellationToken,
    reader: JoinHandle<()>,
    folder: Option<thread::JoinHandle<()>>,
}

impl Projector {
    /// Reads what the index remembers and begins to fold from there.
    ///
    /// # Errors
    /// When the store's schemas or the index cannot be read.
    pub async fn start(store: EventStore, views: ViewStore, options: Options) -> Result<Self, ProjectorError> {
        let mut schemas = Schemas::default();
        for stored in store.control(control::SCHEMA).await? {
            learn(&mut schemas, &stored);
        }
        let most = options.batch_events;
        let mut folder = Folder::open(views, schemas, options)?;
        let (publish, catalog) = watch::channel(Arc::new(folder.catalog()));
        let cancel = CancellationToken::new();
        let (send, receive) = mpsc::channel(QUEUED_COMMITS);

        let goal = store.high_water_mark();
        if folder.checkpoint() == Position::ZERO && store.event_count() >= BULK_EVENTS {
            folder.begin_bulk(goal)?;
        }
        let reader = tokio::spawn(read(store.clone(), folder.checkpoint(), send, cancel.clone(), publish.clone()));
        let folder = thread::Builder::new()
            .name("fold".into())
            .spawn(move || fold(&mut folder, receive, most, &publish))
            .expect("the system can start a thread");
        Ok(Self { store, catalog, cancel, reader, folder: Some(folder) })
    }

    /// What there is to read now.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.borrow().clone()
    }

    /// What there is to read, as it changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Catalog>> {
        self.catalog.clone()
    }

    /// Waits until everything below a position has been folded.
    ///
    /// # Errors
    /// When folding has stopped before.
    pub async fn wait_for(&self, position: Position) -> Result<Arc<Catalog>, ProjectorError> {
        let mut catalog = self.catalog.clone();
        let reached = |catalog: &Arc<Catalog>| catalog.checkpoint >= position || catalog.failure.is_some();
        let found = match catalog.wait_for(reached).await {
            Ok(found) => found.clone(),
            Err(_) => {
                let what = "the projector was shut down".into();
                return Err(ProjectorError::Stopped(Failure { what, is_disk: false }));
            }
        };
        match &found.failure {
            Some(failure) if found.checkpoint < position => Err(ProjectorError::Stopped(failure.clone())),
            _ => Ok(found),
        }
    }

    /// Waits until everything that is in the store now has been folded, commits of other processes included.
    ///
    /// # Errors
    /// When the log cannot be read, or folding has stopped.
    pub async fn caught_up(&self) -> Result<Arc<Catalog>, ProjectorError> {
        let position = self.store.refresh().await?;
        self.wait_for(position).await
    }

    /// Stops reading, folds what was handed over, and closes the index.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        // The reader ends at its next await; a panic in it has been logged where it happened.
        let _ = (&mut self.reader).await;
        if let Some(folder) = self.folder.take() {
            let _ = tokio::task::spawn_blocking(move || folder.join()).await;
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// Hands commits on in order; ends with the folder or when cancelled.
async fn read(
    store: EventStore,
    from: Position,
    send: mpsc::Sender<Arc<Batch>>,
    cancel: CancellationToken,
    publish: watch::Sender<Arc<Catalog>>,
) {
    let mut tail = store.tail(from);
    loop {
        let next = tokio::select! {
            next = tail.next() => next,
            () = cancel.cancelled() => return,
            () = send.closed() => return,
        };
        match next {
            Ok(batch) => {
                if send.send(batch).await.is_err() {
                    return;
                }
            }
            Err(error) => return fail(&publish, error.into()),
        }
    }
}

/// Folds until there is nothing more to come; takes as many commits at once as have arrived, up to `most` events.
fn fold(
    folder: &mut Folder,
    mut receive: mpsc::Receiver<Arc<Batch>>,
    most: usize,
    publish: &watch::Sender<Arc<Catalog>>,
) {
    while let Some(first) = receive.blocking_recv() {
        let mut events = first.events.len();
        let mut batches = vec![first];
        while events < most {
            let Ok(next) = receive.try_recv() else { break };
            events += next.events.len();
            batches.push(next);
        }
        match folder.fold(&batches) {
            Ok(()) if folder.is_bulk() => tracing::debug!(checkpoint = %folder.checkpoint(), "catching up"),
            Ok(()) => {
                publish.send_replace(Arc::new(folder.catalog()));
            }
            Err(error) => return fail(publish, error),
        }
    }
    if folder.is_bulk() {
        match folder.end_bulk() {
            Ok(()) => {
                publish.send_replace(Arc::new(folder.catalog()));
            }
            Err(error) => fail(publish, error),
        }
    }
}

fn fail(publish: &watch::Sender<Arc<Catalog>>, error: ProjectorError) {
    tracing::error!(%error, "folding has stopped");
    let failure = Failure::from(error);
    publish.send_modify(|catalog| Arc::make_mut(catalog).failure = Some(failure));
}
