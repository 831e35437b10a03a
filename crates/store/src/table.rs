//! A Delta table, followed entry by entry: what the event store and the dead letters have in common.
//!
//! A process folds the log into a [`state::State`] and keeps it: an entry costs what it holds. Whoever takes the log
//! further, by a commit of its own or by reading others', holds the turn; readers only look at the state.

pub(crate) mod commit;
pub(crate) mod entry;
pub(crate) mod file;
pub(crate) mod files;
mod follow;
mod open;
pub(crate) mod snapshot;
pub(crate) mod state;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use deltafold_event::Position;
use deltalake::logstore::{LogStore, LogStoreRef, StorageConfig, logstore_with};
use object_store::ObjectStore;
use tokio::sync::{Mutex, watch};
use url::Url;

use crate::{
    DiskError,
    disk::{self, Disk},
};
use state::State;

pub(crate) use open::Opened;

/// See the module.
pub(crate) struct Table {
    /// `events` or `dead_letters`.
    pub(crate) name: &'static str,
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// The synced disk below, seen from the root of the file system.
    pub(crate) disk: Arc<dyn ObjectStore>,
    /// Where the directory is.
    pub(crate) url: Url,
    log: LogStoreRef,
    /// The same disk, seen from the directory.
    pub(crate) store: Arc<dyn ObjectStore>,
    state: RwLock<State>,
    turn: Mutex<Turn>,
    tip: watch::Sender<u64>,
}

/// What only the one who takes the log further needs.
#[derive(Debug)]
struct Turn {
    /// When the end of the log was last seen.
    looked: Instant,
    /// When `_last_checkpoint` was last compared with what we know.
    compared: Instant,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("dir", &self.dir).field("version", &*self.tip.borrow()).finish()
    }
}

impl Table {
    fn at(dir: &Path, name: &'static str) -> Result<Self, DiskError> {
        let failed = |reason| DiskError::Failed { path: dir.display().to_string(), reason };
        let dir = disk::resolved(dir).map_err(failed)?;
        let url = Url::from_directory_path(&dir).expect("an absolute path is a URL");
        let disk: Arc<dyn ObjectStore> = Arc::new(Disk::new());
        let log = logstore_with(Arc::clone(&disk), &url, StorageConfig::default())
            .expect("every local directory can be a table");
        let store = log.object_store(None);
        let now = Instant::now();
        Ok(Self {
            name,
            dir,
            disk,
            url,
            log,
            store,
            state: RwLock::default(),
            turn: Mutex::new(Turn { looked: now, compared: now }),
            tip: watch::Sender::new(0),
        })
    }

    /// What is known of the table now. Hold it briefly.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().expect("nothing panics while it changes the state")
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.write().expect("nothing panics while it changes the state"))
    }

    /// Tells those who wait that the log has grown.
    fn publish(&self) {
        let version = self.state().version;
        self.tip.send_if_modified(|tip| std::mem::replace(tip, version) != version);
    }

    /// Changes whenever the log has grown; says the last version.
    pub(crate) fn tip(&self) -> watch::Receiver<u64> {
        self.tip.subscribe()
    }

    /// The exclusive end of what is committed.
    pub(crate) fn end(&self) -> Position {
        self.state().end()
    }

    /// Where its log is.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.dir.join("_delta_log")
    }

    /// How long after its last look a process no longer trusts that what follows is still to be read entry by
    /// entry: it may have been cleaned, and a late writer may have won a version that nobody reads.
    const TRUST: Duration = Duration::from_secs(60);
}
