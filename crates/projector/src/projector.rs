//! The task that keeps all views folded.

use std::{collections::BTreeSet, sync::Arc, thread};

use deltafold_event::{Position, control};
use deltafold_relation::Schemas;
use deltafold_store::{Batch, ByAggregate, EventStore};
use deltafold_view::ViewStore;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    Catalog, Failure, Options, ProjectorError,
    folder::{CHECKPOINT, Folder, learn},
    going_on::GoingOn,
    indexing::Indexing,
    log::StoreLog,
};

/// Commits that wait to be folded: enough to keep the folder busy while the next is read, few enough to bound memory.
const QUEUED_COMMITS: usize = 2;

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
    indexing: JoinHandle<()>,
    indexed: watch::Receiver<Position>,
}

impl Projector {
    /// Reads what the index remembers and begins to fold from there.
    ///
    /// # Errors
    /// When the store's schemas or the index cannot be read.
    pub async fn start(store: EventStore, views: ViewStore, options: Options) -> Result<Self, ProjectorError> {
        let goal = store.high_water_mark();
        let is_new = views.snapshot().checkpoint(CHECKPOINT)?.is_none();
        let beginning = match is_new && store.event_count() >= BULK_EVENTS {
            true => Some(store.by_aggregate().await?),
            false => None,
        };
        let mut schemas = Schemas::default();
        for stored in store.control(control::SCHEMA).await? {
            learn(&mut schemas, &stored);
        }
        let most = options.batch_events;
        let (cancel, runtime) = (CancellationToken::new(), Handle::current());
        let mut going_on = GoingOn {
            store: store.clone(),
            runtime: runtime.clone(),
            sources: options.continue_on_reset.clone(),
            done: BTreeSet::new(),
        };
        let indexing = Indexing::new(views.clone(), options.indexes.clone(), cancel.clone());
        let log = StoreLog { store: store.clone(), runtime, stopped: cancel.clone() };
        let mut folder = Folder::open(views, schemas, log, options)?;
        // Half of a reset is nothing to show.
        let catalog = if folder.is_half_way() { Catalog::default() } else { folder.catalog() };
        let (publish, catalog) = watch::channel(Arc::new(catalog));
        let (send, receive) = mpsc::channel(QUEUED_COMMITS);
        let waiting = send.downgrade();
        folder.on_built(move || {
            // Where commits wait, the folder looks after them anyway.
            let _ = waiting.upgrade().map(|send| send.try_send(Message::Built));
        });
        let (indexed, indexing) = (indexing.kept(), tokio::spawn(indexing.run(catalog.clone())));
        let (start, started) = oneshot::channel();

        if let Some(beginning) = &beginning {
            folder.begin_bulk(goal)?;
            folder.obey(&store.control(control::PROJECTION).await?)?;
            let mut ended = store.control(control::TRANSACTION).await?;
            ended.retain(|stored| stored.position < beginning.end());
            folder.expect_transactions(&ended);
        }
        let reader = tokio::spawn(read(store.clone(), started, send, cancel.clone(), publish.clone()));
        let stopped = cancel.clone();
        let folder = thread::Builder::new()
            .name("fold".into())
            .spawn(move || {
                if let Some(beginning) = beginning
                    && !load(&mut folder, beginning, &stopped, &publish)
                {
                    return;
                }
                if folder.is_half_way() {
                    match folder.go_on() {
                        Ok(()) => drop(publish.send_replace(Arc::new(folder.catalog()))),
                        Err(_) if stopped.is_cancelled() => return,
                        Err(error) => return fail(&publish, error),
                    }
                }
                if let Err(error) = folder.go_on_building() {
                    return fail(&publish, error);
                }
                publish.send_replace(Arc::new(folder.catalog()));
                // The reader may have been stopped already.
                let _ = start.send(folder.checkpoint());
                fold(&mut folder, receive, most, &publish, &stopped, &mut going_on);
            })
            .expect("the system can start a thread");
        Ok(Self { store, catalog, cancel, reader, folder: Some(folder), indexing, indexed })
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
            Err(_) => return Err(shut_down()),
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

    /// Waits until no view is being built any more: each is shown, or it is known why not.
    ///
    /// # Errors
    /// When folding has stopped before.
    pub async fn built(&self) -> Result<Arc<Catalog>, ProjectorError> {
        let mut catalog = self.catalog.clone();
        let is_built = |catalog: &Arc<Catalog>| {
            catalog.failure.is_some() || catalog.projections.iter().all(|projection| projection.building.is_none())
        };
        let found = catalog.wait_for(is_built).await.map_err(|_| shut_down())?.clone();
        match &found.failure {
            Some(failure) => Err(ProjectorError::Stopped(failure.clone())),
            None => Ok(found),
        }
    }

    /// Waits until the views that there are now have their indexes.
    ///
    /// # Errors
    /// When the projector has stopped before.
    pub async fn indexed(&self) -> Result<(), ProjectorError> {
        let checkpoint = self.catalog().checkpoint;
        let mut indexed = self.indexed.clone();
        indexed.wait_for(|kept| *kept >= checkpoint).await.map(drop).map_err(|_| shut_down())
    }

    /// Stops reading, folds what was handed over, and closes the index.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        // They end at their next await; a panic in one has been logged where it happened.
        let _ = (&mut self.reader).await;
        let _ = (&mut self.indexing).await;
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

/// What the folding thread is told.
enum Message {
    /// The next commit.
    Commit(Arc<Batch>),
    /// A view that was being built has come so far that it can be shown.
    Built,
}

/// Hands commits on in order; ends with the folder or when cancelled.
async fn read(
    store: EventStore,
    from: oneshot::Receiver<Position>,
    send: mpsc::Sender<Message>,
    cancel: CancellationToken,
    publish: watch::Sender<Arc<Catalog>>,
) {
    // It comes once what there was at the start is loaded.
    let Ok(from) = from.await else { return };
    let mut tail = store.tail(from);
    loop {
        let next = tokio::select! {
            next = tail.next() => next,
            () = cancel.cancelled() => return,
            () = send.closed() => return,
        };
        match next {
            Ok(batch) => {
                if send.send(Message::Commit(batch)).await.is_err() {
                    return;
                }
            }
            Err(error) => return fail(&publish, error.into()),
        }
    }
}

/// Folds the beginning of the log; false when it failed, or was stopped: half of it is of no use.
fn load(
    folder: &mut Folder,
    mut beginning: ByAggregate,
    stopped: &CancellationToken,
    publish: &watch::Sender<Arc<Catalog>>,
) -> bool {
    let (end, recorded_at) = (beginning.end(), beginning.committed_at());
    let next = |most: usize, events: &mut Vec<_>, spare: &mut Vec<_>| match stopped.is_cancelled() {
        true => Err(shut_down()),
        false => Ok(beginning.next(most, events, spare)?),
    };
    match folder.load(next, end, recorded_at) {
        Ok(()) if !folder.is_bulk() => {
            publish.send_replace(Arc::new(folder.catalog()));
        }
        Ok(()) => {}
        Err(_) if stopped.is_cancelled() => return false,
        Err(error) => {
            fail(publish, error);
            return false;
        }
    }
    true
}

/// Folds until there is nothing more to come; takes as many commits at once as have arrived, up to `most` events.
fn fold(
    folder: &mut Folder,
    mut receive: mpsc::Receiver<Message>,
    most: usize,
    publish: &watch::Sender<Arc<Catalog>>,
    stopped: &CancellationToken,
    going_on: &mut GoingOn,
) {
    going_on.let_go(&folder.origins());
    while let Some(first) = receive.blocking_recv() {
        let mut batches = Vec::new();
        let mut events = 0;
        let mut next = Some(first);
        while let Some(message) = next {
            if let Message::Commit(batch) = message {
                events += batch.events.len();
                batches.push(batch);
            }
            next = if events < most { receive.try_recv().ok() } else { None };
        }
        let shown = publish.clone();
        let show = move |catalog| drop(shown.send_replace(Arc::new(catalog)));
        let folded = match batches.is_empty() {
            true => folder.go_on_building().map(|()| show(folder.catalog())),
            false => folder.fold_ahead(batches, show),
        };
        // While more waits, it is folded beside what is left of this.
        let folded = folded.and_then(|()| if receive.is_empty() { folder.settle() } else { Ok(false) });
        if let Ok(true) = folded {
            publish.send_replace(Arc::new(folder.catalog()));
        }
        if folded.is_ok() {
            going_on.let_go(&folder.origins());
        }
        match folded {
            Ok(_) if folder.is_bulk() => tracing::debug!(checkpoint = %folder.checkpoint(), "catching up"),
            Ok(_) => {}
            // Stopped in the middle of a reset: it goes on from there next time.
            Err(_) if stopped.is_cancelled() => return,
            Err(error) => return fail(publish, error),
        }
    }
    if folder.is_bulk() {
        match folder.end_bulk() {
            Ok(()) if folder.is_bulk() => tracing::info!("stopped while catching up: it begins again from nothing"),
            Ok(()) => {
                publish.send_replace(Arc::new(folder.catalog()));
            }
            Err(error) => fail(publish, error),
        }
    }
}

pub(crate) fn shut_down() -> ProjectorError {
    ProjectorError::Stopped(Failure { what: "the projector was shut down".into(), is_disk: false })
}

fn fail(publish: &watch::Sender<Arc<Catalog>>, error: ProjectorError) {
    tracing::error!(%error, "folding has stopped");
    let failure = Failure::from(error);
    publish.send_modify(|catalog| Arc::make_mut(catalog).failure = Some(failure));
}
