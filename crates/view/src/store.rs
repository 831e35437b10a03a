//! Opening a view store, and its mirrors by name.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use fjall::{Database, Keyspace, PersistMode, Slice};

use crate::{
    Batch, OpenError, Options, ReadError, Snapshot, WriteError,
    batch::Run,
    cache::{Cache, History},
    error::io_of,
    index::Indexes,
    key::{self, ViewId},
    keyspaces::Keyspaces,
    room::Room,
    snapshot::Moment,
    touched::{Followers, Touched},
};

/// In place of when there was one.
const NO_REQUEST: u64 = u64::MAX;

/// The format of the whole index. A change of it means a rebuild.
const FORMAT: u32 = 8;

/// All mirrors of a data directory, on disk. Cheap to clone; the last clone to go closes the files.
///
/// Reads go through [`Self::snapshot`], writes through [`Self::batch`]. A batch is atomic and survives the death of
/// the process, not that of the machine: it is not synced, since the event store is.
#[derive(Clone)]
pub struct ViewStore {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) db: Database,
    pub(crate) keyspaces: Keyspaces,
    pub(crate) room: Room,
    /// Newest entries.
    pub(crate) newest: Cache<Slice>,
    /// Of aggregates that were read as of the past.
    pub(crate) histories: Cache<History>,
    /// Held by the one commit that is under way.
    writing: Mutex<Writing>,
    /// What readers see. Replaced, never waited for: a commit holds no lock while it writes.
    pub(crate) published: RwLock<Arc<Moment>>,
    /// Whether commits go to sorted runs (`bulk`).
    pub(crate) bulk: AtomicBool,
    /// Whether readers are kept from what is committed.
    hidden: AtomicBool,
    /// Who is told what commits change.
    followers: Followers,
    opened: Instant,
    /// When somebody last began to read for an answer, in milliseconds since then; [`NO_REQUEST`]: nobody did.
    request_ms: AtomicU64,
    /// For files that need not outlive the process.
    scratch: PathBuf,
    /// Which indexes there are. Only changed under `writing`.
    pub(crate) indexes: RwLock<Arc<Indexes>>,
    /// Registered views by name; those of mirrors have no generation.
    views: Mutex<Registered>,
}

/// Views by name and, of derived ones, generation.
type Registered = BTreeMap<(Arc<str>, Option<u32>), ViewId>;

/// A handle to one view of a store: a mirror, or a generation of a derived view or of what one remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub(crate) view: ViewId,
    name: Arc<str>,
}

impl Mirror {
    /// The name it was registered by.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl ViewStore {
    /// Opens the index in `dir`, or makes one.
    ///
    /// A bulk load that a crash cut short leaves nothing worth keeping; the index is then emptied first.
    ///
    /// # Errors
    /// See [`OpenError`]; of a corrupt one, [`Self::reset`] makes an empty one.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        Self::clear_half_made(dir)?;
        let store = Self::open_once(dir, &options)?;
        if store.bulk_was_cut_short(dir)? {
            tracing::warn!(dir = %dir.display(), "the last bulk load did not end; starting again from nothing");
            drop(store);
            Self::reset(dir)?;
            return Self::open_once(dir, &options);
        }
        Ok(store)
    }

    /// Removes the index in `dir`, unless another process has it open.
    ///
    /// # Errors
    /// [`OpenError::Locked`], or what the file system says.
    pub fn reset(dir: &Path) -> Result<(), OpenError> {
        let io = |source| OpenError::Io { dir: dir.to_owned(), source };
        let lock = match fs::OpenOptions::new().read(true).write(true).open(dir.join("lock")) {
            Ok(file) => {
                file.try_lock().map_err(|error| match error {
                    fs::TryLockError::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
                    fs::TryLockError::Error(source) => io(source),
                })?;
                Some(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io(error)),
        };
        // The marker goes first: without it, whatever a crash leaves behind counts as half-made.
        for entry in [dir.join("version"), dir.to_owned()] {
            let removed = if entry == dir { fs::remove_dir_all(&entry) } else { fs::remove_file(&entry) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
                _ => {}
            }
        }
        drop(lock);
        Ok(())
    }

    /// A crash while the directory was made leaves files that fjall would stumble over, and nothing else.
    fn clear_half_made(dir: &Path) -> Result<(), OpenError> {
        let io = |source| OpenError::Io { dir: dir.to_owned(), source };
        if !dir.try_exists().map_err(io)? || dir.join("version").try_exists().map_err(io)? {
            return Ok(());
        }
        for entry in fs::read_dir(dir).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let ours = name == "lock"
                || name == "keyspaces"
                || name == "scratch"
                || Path::new(&name).extension().is_some_and(|e| e == "jnl");
            if !ours {
                let reason = format!("{} is not a file of an index", name.display());
                return Err(OpenError::Corrupt { dir: dir.to_owned(), reason });
            }
        }
        Self::reset(dir)
    }

    fn open_once(dir: &Path, options: &Options) -> Result<Self, OpenError> {
        let refused = |error| refused(dir, error);
        let db = Database::builder(dir)
            .cache_size(options.block_cache_bytes)
            .worker_threads(options.worker_threads.max(1))
            // All of it is read again when the store is opened.
            .max_journaling_size((2 * options.memtable_bytes).max(64 << 20))
            .open()
            .map_err(refused)?;
        let keyspaces = Keyspaces::open(&db, options).map_err(refused)?;
        check_format(dir, &keyspaces)?;
        let views = registered(dir, &keyspaces)?;
        let damaged = |what: &str| OpenError::Corrupt { dir: dir.to_owned(), reason: what.to_owned() };
        let indexes = Arc::new(Indexes::read(&keyspaces.meta, damaged)?);
        let moment = Moment { trees: db.snapshot(), commit: Some(0), indexes: indexes.clone() };
        // The index is ours now: nobody else has files there. The folder is made here, as two sorts that find it missing
        // would both make it, and the second fail.
        let scratch = dir.join("scratch");
        let io = |source| OpenError::Io { dir: dir.to_owned(), source };
        match fs::remove_dir_all(&scratch) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(io(source)),
            _ => fs::create_dir(&scratch).map_err(io)?,
        }
        let shared = Shared {
            scratch,
            opened: Instant::now(),
            request_ms: AtomicU64::new(NO_REQUEST),
            keyspaces,
            room: Room::new(options),
            newest: Cache::new(options.row_cache_bytes),
            histories: Cache::new(options.history_cache_bytes),
            writing: Mutex::new(Writing::Sound),
            published: RwLock::new(Arc::new(moment)),
            bulk: AtomicBool::new(false),
            hidden: AtomicBool::new(false),
            followers: Followers::default(),
            indexes: RwLock::new(indexes),
            views: Mutex::new(views),
            db,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    fn bulk_was_cut_short(&self, dir: &Path) -> Result<bool, OpenError> {
        self.shared.keyspaces.meta.contains_key(key::BULK).map_err(|error| refused(dir, error))
    }

    /// The mirror of this name, registered if it is new.
    ///
    /// # Errors
    /// When a new name cannot be written.
    pub fn mirror(&self, name: &str) -> Result<Mirror, WriteError> {
        self.registered(name, None)
    }

    /// A generation of the derived view of this name, registered if it is new.
    ///
    /// # Errors
    /// When a new one cannot be written.
    pub fn generation(&self, name: &str, generation: u32) -> Result<Mirror, WriteError> {
        self.registered(name, Some(generation))
    }

    fn registered(&self, name: &str, generation: Option<u32>) -> Result<Mirror, WriteError> {
        let mut views = self.shared.views.lock().expect("no holder of this lock panics");
        let named = (name.into(), generation);
        if let Some(((name, _), &view)) = views.get_key_value(&named) {
            return Ok(Mirror { view, name: name.clone() });
        }
        // The number of a view that was dropped is never given again: caches and readers may know it still.
        let meta = &self.shared.keyspaces.meta;
        let last = meta.get(key::LAST_VIEW)?.and_then(|last| last.first_chunk().copied()).map_or(0, u32::from_be_bytes);
        let view = ViewId(1 + views.values().map(|view| view.0).max().unwrap_or(0).max(last));
        let key = generation.map_or_else(|| key::view(name), |generation| key::generation(name, generation));
        let mut batch = self.shared.db.batch();
        batch.insert(meta, key, view.0.to_be_bytes());
        batch.insert(meta, key::LAST_VIEW, view.0.to_be_bytes());
        batch.commit()?;
        views.insert(named.clone(), view);
        Ok(Mirror { view, name: named.0 })
    }

    /// Removes a generation of a derived view with everything in it, in pieces. Nobody reads it any more.
    ///
    /// # Errors
    /// When it cannot be written. What is left is removed when this is done again.
    pub fn drop_generation(&self, name: &str, generation: u32) -> Result<(), WriteError> {
        let shared = &self.shared;
        let dropped = self.generation(name, generation)?;
        let trees = &shared.keyspaces;
        shared.forget_indexes(&dropped)?;
        let Keyspaces { versions, current, heads, superseded, seen, folds, indexes, meta: _ } = trees;
        for tree in [versions, current, heads, superseded, seen, folds, indexes] {
            while shared.remove_some(tree, &dropped.view.prefix())? == REMOVED_AT_ONCE {}
        }
        trees.meta.remove(key::generation(name, generation))?;
        let mut views = shared.views.lock().expect("no holder of this lock panics");
        views.remove(&(dropped.name, Some(generation)));
        Ok(())
    }

    /// All registered mirrors, by name.
    pub fn mirrors(&self) -> Vec<Mirror> {
        self.shared.mirrors()
    }

    /// All generations, by name and number.
    pub fn generations(&self) -> Vec<(Arc<str>, u32)> {
        let views = self.shared.views.lock().expect("no holder of this lock panics");
        views.keys().filter_map(|(name, generation)| Some((Arc::clone(name), (*generation)?))).collect()
    }

    /// The store as the last commit left it.
    pub fn snapshot(&self) -> Snapshot {
        let moment = self.shared.published.read().expect("no holder of this lock panics").clone();
        Snapshot { shared: self.shared.clone(), moment }
    }

    /// Likewise, for somebody who waits for an answer: what can wait lets them go first ([`Self::last_request`]).
    pub fn snapshot_for_request(&self) -> Snapshot {
        let since = self.shared.opened.elapsed().as_millis().try_into().unwrap_or(NO_REQUEST);
        self.shared.request_ms.store(since, Ordering::Relaxed);
        self.snapshot()
    }

    /// How long ago somebody last began to read for an answer; none: nobody did.
    pub fn last_request(&self) -> Option<Duration> {
        match self.shared.request_ms.load(Ordering::Relaxed) {
            NO_REQUEST => None,
            since => Some(self.shared.opened.elapsed().saturating_sub(Duration::from_millis(since))),
        }
    }

    /// Notes from here on which aggregates of a view change. A snapshot that is made afterwards may show some of that
    /// already.
    pub fn touched(&self, view: &Mirror) -> Touched {
        let published = self.snapshot().moment.commit.unwrap_or_default();
        self.shared.followers.add(view.clone(), published)
    }

    /// Keeps what is committed from here on from readers, until [`Self::show`]: they see the store as it is now. Only in
    /// this process: who opens it after a crash sees everything.
    pub fn hide(&self) {
        self.shared.hidden.store(true, Ordering::SeqCst);
    }

    /// Lets readers see all that was committed since [`Self::hide`], at once. Does nothing if that was not called.
    ///
    /// # Errors
    /// When a commit has failed.
    pub fn show(&self) -> Result<(), WriteError> {
        let shared = &self.shared;
        if shared.is_hidden() {
            let _writing = shared.begin_write()?;
            shared.hidden.store(false, Ordering::SeqCst);
            let commit = shared.next_commit();
            // Which values have changed was not noted.
            shared.newest.forget(commit);
            shared.histories.forget(commit);
            shared.followers.tell_unknown(commit);
            shared.replace(commit);
        }
        Ok(())
    }

    /// An empty batch.
    pub fn batch(&self) -> Batch {
        Batch::new(self.shared.clone())
    }

    /// Makes what was committed survive the death of the machine, too.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn sync(&self) -> Result<(), WriteError> {
        Ok(self.shared.db.persist(PersistMode::SyncAll)?)
    }

    /// Leaves the index open until the process ends, with what was committed made safe as [`Self::sync`] does. To close it
    /// takes longer: what is being compacted is waited for, and what is in memory given back piece by piece.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn leave_open(self) -> Result<(), WriteError> {
        let synced = self.sync();
        std::mem::forget(self);
        synced
    }

    /// A folder for what need not outlive the process: what is left in it goes when the index is opened again.
    pub fn scratch(&self) -> &Path {
        &self.shared.scratch
    }

    /// How many bytes the index takes on disk.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn disk_bytes(&self) -> Result<u64, ReadError> {
        Ok(self.shared.db.disk_space()?)
    }
}

/// How many keys of a view that goes are removed in one commit.
pub(crate) const REMOVED_AT_ONCE: usize = 10_000;

/// Whether what is on disk is what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// It is.
    Sound,
    /// A commit failed: some of it may be there, which opening the store again finds out.
    Failed,
}

impl Shared {
    /// All registered mirrors, by name.
    pub(crate) fn mirrors(&self) -> Vec<Mirror> {
        let views = self.views.lock().expect("no holder of this lock panics");
        let mirrors = views.iter().filter(|((_, generation), _)| generation.is_none());
        mirrors.map(|((name, _), &view)| Mirror { view, name: name.clone() }).collect()
    }

    /// The view of this name, if it is registered.
    pub(crate) fn find(&self, name: &str, generation: Option<u32>) -> Option<Mirror> {
        let views = self.views.lock().expect("no holder of this lock panics");
        views.get_key_value(&(name.into(), generation)).map(|((name, _), &view)| Mirror { view, name: name.clone() })
    }

    /// Begins to write, alone; refused after a write that failed.
    pub(crate) fn begin_write(&self) -> Result<MutexGuard<'_, Writing>, WriteError> {
        let writing = self.writing.lock().map_err(|_| WriteError::Stopped)?;
        if *writing == Writing::Failed { Err(WriteError::Stopped) } else { Ok(writing) }
    }

    /// Removes some keys that begin so, at most [`REMOVED_AT_ONCE`]; how many there were.
    pub(crate) fn remove_some(&self, tree: &Keyspace, prefix: &[u8]) -> Result<usize, WriteError> {
        let _writing = self.begin_write()?;
        let mut batch = self.db.batch();
        let mut removed = 0;
        for pair in tree.prefix(prefix).take(REMOVED_AT_ONCE) {
            batch.remove(tree, pair.key()?);
            removed += 1;
        }
        batch.commit()?;
        Ok(removed)
    }

    /// Everything that was committed, what readers are kept from included.
    pub(crate) fn written(&self) -> Moment {
        Moment { trees: self.db.snapshot(), commit: None, indexes: self.indexes() }
    }

    /// Lets readers see everything written so far, as the next commit; `current` is what it changed of the newest
    /// entries, none of them: that was not noted. Not while they are kept from it. Only under `writing`.
    pub(crate) fn publish(&self, current: &[&Run]) {
        if self.is_hidden() {
            return;
        }
        let commit = self.next_commit();
        match current {
            [] => self.followers.tell_unknown(commit),
            current => self.followers.tell(commit, current),
        }
        let changes = || current.iter().flat_map(|run| run.iter());
        self.newest.apply(commit, changes().map(|(key, entry)| (key, entry.cloned())));
        // Whatever changes of an aggregate, its newest entry is told again.
        self.histories.apply(commit, changes().map(|(key, _)| (key, None)));
        self.replace(commit);
    }

    fn next_commit(&self) -> u64 {
        self.published.read().expect("no holder of this lock panics").commit.map_or(0, |commit| commit + 1)
    }

    pub(crate) fn replace(&self, commit: u64) {
        let moment = Arc::new(Moment { trees: self.db.snapshot(), commit: Some(commit), indexes: self.indexes() });
        let before = std::mem::replace(&mut *self.published.write().expect("no holder of this lock panics"), moment);
        // Dropped outside the lock: the last one out cleans up.
        drop(before);
    }

    pub(crate) fn is_bulk(&self) -> bool {
        self.bulk.load(Ordering::SeqCst)
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden.load(Ordering::SeqCst)
    }
}

fn check_format(dir: &Path, keyspaces: &Keyspaces) -> Result<(), OpenError> {
    let refused = |error| refused(dir, error);
    match keyspaces.meta.get(key::FORMAT).map_err(refused)? {
        Some(found) if *found == FORMAT.to_be_bytes()[..] => Ok(()),
        Some(found) => {
            let found =
                <[u8; 4]>::try_from(&*found).map_or("unknown".to_owned(), |b| u32::from_be_bytes(b).to_string());
            Err(OpenError::Version { dir: dir.to_owned(), found, expected: FORMAT })
        }
        None => keyspaces.meta.insert(key::FORMAT, FORMAT.to_be_bytes()).map_err(refused),
    }
}

fn registered(dir: &Path, keyspaces: &Keyspaces) -> Result<Registered, OpenError> {
    let damaged = |what: &str| OpenError::Corrupt { dir: dir.to_owned(), reason: what.to_owned() };
    let mut views = BTreeMap::new();
    for pair in keyspaces.meta.prefix(key::VIEWS) {
        let (name, view) = pair.into_inner().map_err(|error| refused(dir, error))?;
        let name = std::str::from_utf8(&name[key::VIEWS.len()..]).map_err(|_| damaged("a view's name is not text"))?;
        let view = <[u8; 4]>::try_from(&*view).map_err(|_| damaged("a view's number is not a u32"))?;
        views.insert((name.into(), None), ViewId(u32::from_be_bytes(view)));
    }
    for pair in keyspaces.meta.prefix(key::GENERATIONS) {
        let (key, view) = pair.into_inner().map_err(|error| refused(dir, error))?;
        let named = key[key::GENERATIONS.len()..].split_first_chunk::<4>();
        let named =
            named.and_then(|(number, name)| Some((u32::from_be_bytes(*number), std::str::from_utf8(name).ok()?)));
        let (generation, name) = named.ok_or_else(|| damaged("a generation has no number or name"))?;
        let view = <[u8; 4]>::try_from(&*view).map_err(|_| damaged("a view's number is not a u32"))?;
        views.insert((name.into(), Some(generation)), ViewId(u32::from_be_bytes(view)));
    }
    Ok(views)
}

fn refused(dir: &Path, error: fjall::Error) -> OpenError {
    let dir = dir.to_owned();
    match error {
        fjall::Error::Locked => OpenError::Locked { dir },
        fjall::Error::InvalidVersion(found) => {
            let found = found.map_or("unknown".to_owned(), |version| format!("fjall {version}"));
            OpenError::Version { dir, found, expected: FORMAT }
        }
        other => match io_of(other) {
            Ok(source) => OpenError::Io { dir, source },
            Err(reason) => OpenError::Corrupt { dir, reason },
        },
    }
}
