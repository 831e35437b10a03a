//! The store's handle.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use deltafold_event::Position;
use uuid::Uuid;

use crate::{
    OpenError, OpenReport, Options, ReadError, Tail, marker,
    recent::Recent,
    schema,
    table::{Opened, Table},
};

/// The event store and the dead letters of one data directory. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct EventStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: Uuid,
    events: Table,
    letters: Table,
    /// Batches of this process, for its tails.
    recent: Mutex<Recent>,
    options: Options,
    opened: OpenReport,
}

impl EventStore {
    /// Opens a data directory, making it if it is not there. The end of the log is checked: an entry that a crash
    /// left torn was never acknowledged and is moved aside ([`Self::opened`]).
    ///
    /// # Errors
    /// When another version made it, when it is damaged, when the file system refuses.
    pub async fn open(data_dir: &Path, options: Options) -> Result<Self, OpenError> {
        let id = marker::check(data_dir).await?;
        let events = data_dir.join("events");
        let Opened { table: events, mut torn } = Table::open(&events, "events", &schema::EVENTS, &options).await?;
        let letters = data_dir.join("dead_letters");
        let letters = Table::open(&letters, "dead_letters", &schema::DEAD_LETTERS, &options).await?;
        torn.extend(letters.torn);
        let recent = Mutex::new(Recent::new(options.recent_bytes));
        let opened = OpenReport { torn };
        Ok(Self { inner: Arc::new(Inner { id, events, letters: letters.table, recent, options, opened }) })
    }

    /// What opening found.
    pub fn opened(&self) -> &OpenReport {
        &self.inner.opened
    }

    /// What no other data directory has, and every process that has this one open sees alike.
    pub fn id(&self) -> Uuid {
        self.inner.id
    }

    /// How far a source partition is read: the next offset.
    pub fn offset(&self, app_id: &str) -> Option<i64> {
        self.events().state().txns.get(app_id).copied()
    }

    /// How far every source partition is read.
    pub fn offsets(&self) -> BTreeMap<String, i64> {
        self.events().state().txns.iter().map(|(app_id, next)| (app_id.clone(), *next)).collect()
    }

    /// The exclusive end of what is committed, as far as this process has seen: the start of the next commit.
    pub fn high_water_mark(&self) -> Position {
        self.events().end()
    }

    /// How many events there are, from statistics.
    pub fn event_count(&self) -> u64 {
        self.events().state().files.rows()
    }

    /// Looks for commits of other processes; afterwards offsets and the high-water mark include them.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn refresh(&self) -> Result<Position, ReadError> {
        self.letters().refresh().await?;
        self.events().refresh().await?;
        Ok(self.high_water_mark())
    }

    /// A reader of everything from a position on.
    pub fn tail(&self, from: Position) -> Tail {
        Tail::new(self.clone(), from)
    }

    pub(crate) fn events(&self) -> &Table {
        &self.inner.events
    }

    pub(crate) fn letters(&self) -> &Table {
        &self.inner.letters
    }

    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Hold it briefly.
    pub(crate) fn recent(&self) -> MutexGuard<'_, Recent> {
        self.inner.recent.lock().expect("nothing panics while it holds the recent batches")
    }
}
