//! Which aggregates of a view commits change, for those who follow it.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use fjall::Slice;

use crate::{Mirror, ReadError, Snapshot, batch::Run, key};

/// As many aggregates are noted that nobody has asked about yet. Beyond, everything counts as changed.
const MOST: usize = 100_000;

/// What was noted of one view since somebody began to follow it ([`crate::ViewStore::touched`]).
pub struct Touched(Arc<Noted>);

/// Everybody who follows a view.
#[derive(Default)]
pub(crate) struct Followers(Mutex<Vec<Weak<Noted>>>);

struct Noted {
    view: Mirror,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    /// The newest commit of which is not known what it changed.
    unknown: Option<u64>,
    /// Keys by commit, oldest first.
    known: VecDeque<(u64, Vec<Slice>)>,
    count: usize,
}

impl Touched {
    /// Whose newest entries commits have changed since this was asked last, up to what a snapshot shows: in order, each
    /// once. None: that is not known, it may be any.
    ///
    /// # Errors
    /// When a key on disk is damaged.
    pub fn until(&self, snapshot: &Snapshot) -> Result<Option<Vec<Box<str>>>, ReadError> {
        let Some(shown) = snapshot.moment.commit else { return Ok(Some(Vec::new())) };
        let mut changes = self.0.changes();
        let mut keys = BTreeSet::new();
        while let Some((_, of_commit)) = changes.known.pop_front_if(|(commit, _)| *commit <= shown) {
            changes.count -= of_commit.len();
            keys.extend(of_commit);
        }
        if changes.unknown.is_some_and(|unknown| unknown <= shown) {
            changes.unknown = None;
            return Ok(None);
        }
        drop(changes);
        keys.into_iter().map(|key| key::aggregate_id(&key)).collect::<Result<_, _>>().map(Some)
    }
}

impl fmt::Debug for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Touched").field("view", &self.0.view).finish_non_exhaustive()
    }
}

impl Noted {
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().expect("no holder of this lock panics")
    }
}

impl Followers {
    /// Begins to note what changes of a view.
    pub(crate) fn add(&self, view: Mirror) -> Touched {
        let noted = Arc::new(Noted { view, changes: Mutex::default() });
        self.all().push(Arc::downgrade(&noted));
        Touched(noted)
    }

    /// Tells what a commit changes of newest entries, before anybody sees it.
    pub(crate) fn tell(&self, commit: u64, current: &[&Run]) {
        self.each(|noted| {
            let prefix = noted.view.view.prefix();
            let changed = current.iter().flat_map(|run| run.iter()).map(|(key, _)| key);
            let keys: Vec<Slice> = changed.filter(|key| key.starts_with(&prefix)).cloned().collect();
            let mut changes = noted.changes();
            if changes.count + keys.len() > MOST {
                *changes = Changes { unknown: Some(commit), ..Changes::default() };
            } else if !keys.is_empty() {
                changes.count += keys.len();
                changes.known.push_back((commit, keys));
            }
        });
    }

    /// Tells that a commit may change anything.
    pub(crate) fn tell_unknown(&self, commit: u64) {
        self.each(|noted| *noted.changes() = Changes { unknown: Some(commit), ..Changes::default() });
    }

    fn each(&self, tell: impl Fn(&Noted)) {
        self.all().retain(|follower| follower.upgrade().map(|noted| tell(&noted)).is_some());
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Noted>>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
