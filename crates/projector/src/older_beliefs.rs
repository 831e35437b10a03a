//! What derived views were believed to be at positions that are not kept: computed when asked, from the mirrors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use deltafold_event::Position;
use deltafold_store::EventStore;
use deltafold_view::{Mirror, Reader, Snapshot, ViewStore, WriteError};
use quick_cache::{Weighter, sync::Cache};
use tempfile::TempDir;
use tokio::{runtime::Handle, sync::Semaphore, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::{
    Catalog, Log, ProjectorError, ViewKind,
    log::StoreLog,
    projections::{AsBelieved, Generation, Means, Plan, plan_relations, shown_generation},
};

/// How much is kept of what was computed, for the next page or the next field, in bytes on disk.
const KEPT_BYTES: u64 = 1 << 30;

/// How much is expected of one.
const TYPICAL_BYTES: u64 = 4 << 20;

/// Computes them, and keeps some.
pub struct OlderBeliefs {
    views: ViewStore,
    means: Arc<Means>,
    /// Each takes all processors and the memory of a sort: one is computed at a time.
    turn: Arc<Semaphore>,
    kept: Cache<Asked, Arc<Believed>, ByBytes>,
}

/// Of which view, of which of its generations, at what position.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    view: Arc<str>,
    generation: u32,
    position: Position,
}

/// All versions of a derived view as they were believed to be at one position, in an index of their own, which goes with
/// the last of its readers.
pub struct Believed {
    index: ViewStore,
    view: Mirror,
    bytes: u64,
    // Removed after the index is closed.
    _folder: TempDir,
}

impl Believed {
    /// The reads of it, as of that position.
    pub fn reader(&self) -> Reader {
        self.index.snapshot().reader(&self.view)
    }
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum OlderBeliefsError {
    /// The definition cannot be folded over what was believed then.
    #[error("{0}")]
    Failed(String),
    /// Something cannot be read or written.
    #[error(transparent)]
    Broken(#[from] ProjectorError),
}

impl OlderBeliefs {
    /// Over the mirrors of an index. `built_changes`: how many changes are folded at once ([`crate::Options`]).
    pub fn new(views: ViewStore, built_changes: usize) -> Self {
        // Who asks waits for it.
        let means = Arc::new(Means::unpaced(views.clone(), built_changes));
        let count = usize::try_from(KEPT_BYTES / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self { views, means, turn: Arc::new(Semaphore::new(1)), kept: Cache::with_weighter(count, KEPT_BYTES, ByBytes) }
    }

    /// What a view that a snapshot shows was believed to be at a position, which the snapshot holds. Whoever asks for the
    /// same meanwhile waits for the same; where nobody waits any more, it is given up.
    ///
    /// # Errors
    /// When it cannot be computed.
    pub async fn at(
        self: &Arc<Self>,
        store: &EventStore,
        catalog: &Arc<Catalog>,
        snapshot: &Snapshot,
        view: &str,
        position: Position,
    ) -> Result<Arc<Believed>, OlderBeliefsError> {
        let asked = Asked { view: view.into(), generation: shown(snapshot, view)?.number, position };
        let compute = async {
            let turn = Arc::clone(&self.turn).acquire_owned().await.expect("it is never closed");
            let stopped = CancellationToken::new();
            let log = StoreLog { store: store.clone(), runtime: Handle::current(), stopped: stopped.clone() };
            let unwanted = Unwanted { is_cancelled: Arc::default(), log: stopped };
            let is_cancelled = Arc::clone(&unwanted.is_cancelled);
            let (this, catalog, snapshot, view) =
                (Arc::clone(self), Arc::clone(catalog), snapshot.clone(), asked.view.clone());
            let compute = move || {
                // Until it has ended, also where nobody waits any more.
                let _turn = turn;
                this.compute(&log, &catalog, &snapshot, &view, position, is_cancelled)
            };
            let computed = spawn_blocking(compute).await.map_err(|_| ProjectorError::from(WriteError::Stopped))?;
            drop(unwanted);
            Ok(Arc::new(computed?))
        };
        self.kept.get_or_insert_async(&asked, compute).await
    }

    /// Computes it. Blocks; ends early, with an error, when it is cancelled.
    ///
    /// # Errors
    /// When it cannot be computed.
    pub fn compute(
        &self,
        log: &dyn Log,
        catalog: &Catalog,
        snapshot: &Snapshot,
        view: &str,
        position: Position,
        is_cancelled: Arc<AtomicBool>,
    ) -> Result<Believed, OlderBeliefsError> {
        let began = Instant::now();
        let shown = shown(snapshot, view)?;
        let mirrors: Vec<_> = catalog.views.iter().filter(|view| view.kind == ViewKind::Mirror).cloned().collect();
        let plan = Plan::new(view, &shown.sql, &plan_relations(&mirrors)).map_err(OlderBeliefsError::Failed)?;
        let folder = TempDir::new_in(self.views.scratch()).map_err(broken)?;
        let sizes = deltafold_view::Options {
            row_cache_bytes: 4 << 20,
            history_cache_bytes: 4 << 20,
            block_cache_bytes: 16 << 20,
            ..deltafold_view::Options::default()
        };
        let index = ViewStore::open(folder.path(), sizes)
            .map_err(|error| OlderBeliefsError::Failed(format!("there is no place for it: {error}")))?;
        let rows = index.generation(view, shown.number).map_err(ProjectorError::from)?;
        let build = AsBelieved {
            name: &view.into(),
            plan: Arc::new(plan),
            shown: &shown,
            view: &rows,
            index: &index,
            means: Arc::clone(&self.means),
            is_cancelled,
        };
        build.build(position.next(), log)?.map_err(OlderBeliefsError::Failed)?;
        let bytes = index.disk_bytes().map_err(ProjectorError::from)?;
        tracing::debug!(view, %position, bytes, took = ?began.elapsed(), "an older belief is computed");
        Ok(Believed { index, view: rows, bytes, _folder: folder })
    }
}

/// The generation of a view that a snapshot shows.
fn shown(snapshot: &Snapshot, view: &str) -> Result<Generation, OlderBeliefsError> {
    let shown = shown_generation(snapshot, view)?;
    shown.map(|(shown, _)| shown).ok_or_else(|| OlderBeliefsError::Failed("nothing is shown of it any more".to_owned()))
}

fn broken(error: std::io::Error) -> OlderBeliefsError {
    ProjectorError::from(WriteError::Io(error)).into()
}

/// Stops what is computed when it is dropped.
struct Unwanted {
    is_cancelled: Arc<AtomicBool>,
    log: CancellationToken,
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        self.log.cancel();
    }
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Asked, Arc<Believed>> for ByBytes {
    fn weight(&self, _: &Asked, believed: &Arc<Believed>) -> u64 {
        believed.bytes.max(1)
    }
}
