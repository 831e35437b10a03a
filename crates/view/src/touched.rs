//! Which aggregates of a view commits change, for those who follow it.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, Weak},
};

use fjall::Slice;

use crate::{Mirror, ReadError, Snapshot, batch::Run, key};

/// As many aggregates are noted of a view that is followed. Of what came before, everything counts as changed.
const MOST: usize = 100_000;

/// What is noted of one view since somebody began to follow it ([`crate::ViewStore::touched`]).
pub struct Touched {
    noted: Arc<Noted>,
    /// The last commit whose changes were told.
    told: Mutex<u64>,
}

/// The views that somebody follows.
#[derive(Default)]
pub(crate) struct Followers(Mutex<Followed>);

#[derive(Default)]
struct Followed {
    /// The last commit that was noted, which may not be published yet.
    last: u64,
    views: Vec<Weak<Noted>>,
}

/// What is noted of a view, for all who follow it.
struct Noted {
    view: Mirror,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    /// What commits up to this one have changed is not known.
    unknown: u64,
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
        let shown = snapshot.moment.commit.unwrap_or_default();
        let mut told = lock(&self.told);
        if shown <= *told {
            return Ok(Some(Vec::new()));
        }
        let from = std::mem::replace(&mut *told, shown);
        let changes = lock(&self.noted.changes);
        if from < changes.unknown {
            return Ok(None);
        }
        let known = changes.known.iter().filter(|(commit, _)| (from + 1..=shown).contains(commit));
        let keys: BTreeSet<Slice> = known.flat_map(|(_, keys)| keys).cloned().collect();
        drop(changes);
        keys.into_iter().map(|key| key::aggregate_id(&key)).collect::<Result<_, _>>().map(Some)
    }
}

impl fmt::Debug for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Touched").field("view", &self.noted.view).finish_non_exhaustive()
    }
}

impl Followers {
    /// Begins to follow a view from what is published now.
    pub(crate) fn add(&self, view: Mirror, published: u64) -> Touched {
        let mut followed = lock(&self.0);
        let known = followed.views.iter().filter_map(Weak::upgrade).find(|noted| noted.view == view);
        let noted = known.unwrap_or_else(|| {
            let changes = Changes { unknown: followed.last, ..Changes::default() };
            let noted = Arc::new(Noted { view, changes: Mutex::new(changes) });
            followed.views.push(Arc::downgrade(&noted));
            noted
        });
        Touched { noted, told: Mutex::new(published) }
    }

    /// Tells what a commit changes of newest entries, before anybody sees it.
    pub(crate) fn tell(&self, commit: u64, current: &[&Run]) {
        self.each(commit, |noted| {
            let prefix = noted.view.view.prefix();
            let changed = current.iter().flat_map(|run| run.iter()).map(|(key, _)| key);
            let keys: Vec<Slice> = changed.filter(|key| key.starts_with(&prefix)).cloned().collect();
            if keys.is_empty() {
                return;
            }
            let mut changes = lock(&noted.changes);
            changes.count += keys.len();
            changes.known.push_back((commit, keys));
            while changes.count > MOST {
                let Some((commit, keys)) = changes.known.pop_front() else { break };
                changes.count -= keys.len();
                changes.unknown = commit;
            }
        });
    }

    /// Tells that a commit may change anything.
    pub(crate) fn tell_unknown(&self, commit: u64) {
        self.each(commit, |noted| *lock(&noted.changes) = Changes { unknown: commit, ..Changes::default() });
    }

    fn each(&self, commit: u64, tell: impl Fn(&Noted)) {
        let mut followed = lock(&self.0);
        followed.last = commit;
        followed.views.retain(|view| view.upgrade().map(|noted| tell(&noted)).is_some());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder of this lock panics")
}
