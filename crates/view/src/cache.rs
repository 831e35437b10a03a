//! What is read again and again of hot aggregates, in memory: newest entries, and short histories.
//!
//! A read at a snapshot may take what is cached only if it is what the snapshot holds. Each cached value bears the
//! number of the commit it is known to be true at. The writer replaces or removes a value before it publishes the
//! commit that changed it, and a reader puts one in only while its own snapshot is the newest and no commit has begun
//! to touch the cache; so a value whose number is not above a snapshot's holds at that snapshot, too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deltafold_event::{Position, Timestamp};
use fjall::Slice;
use quick_cache::{
    Weighter,
    sync::{Cache as QuickCache, GuardResult},
};

use crate::{At, ReadError, Stored};

/// What a cache holds.
pub(crate) trait Cacheable: Clone {
    /// How much memory it takes.
    fn bytes(&self) -> usize;
    /// A copy that holds on to nothing else: what was read may be a part of a whole block.
    fn own(&self) -> Self;
}

/// A newest entry.
impl Cacheable for Slice {
    fn bytes(&self) -> usize {
        self.len()
    }

    fn own(&self) -> Self {
        Self::new(self)
    }
}

/// All entries of an aggregate, in order, if they are few and each was believed ever since it was recorded; else none,
/// to be told at once.
#[derive(Clone)]
pub(crate) struct History(pub(crate) Option<Arc<[Stored]>>);

impl History {
    /// How many entries are few.
    pub(crate) const MOST: usize = 32;

    /// The newest entry at or before a point in both times.
    pub(crate) fn newest_at(entries: &[Stored], at: At) -> Option<&Stored> {
        let is_there = |time: Timestamp, from: Position| time <= at.time && from <= at.position;
        entries.iter().rfind(|entry| is_there(entry.coordinate().0, entry.recorded_from()))
    }
}

impl Cacheable for History {
    fn bytes(&self) -> usize {
        let entries = self.0.iter().flat_map(|entries| entries.iter());
        entries.map(|entry| entry.bytes().len() + size_of::<Stored>()).sum()
    }

    fn own(&self) -> Self {
        Self(self.0.as_ref().map(|entries| entries.iter().map(Stored::own).collect()))
    }
}

#[derive(Clone)]
struct Cached<V> {
    commit: u64,
    value: V,
}

#[derive(Clone)]
struct ByBytes;

impl<V: Cacheable> Weighter<Slice, Cached<V>> for ByBytes {
    fn weight(&self, key: &Slice, cached: &Cached<V>) -> u64 {
        // The constant stands for what the allocator and the cache itself need.
        (key.len() + cached.value.bytes() + 128) as u64
    }
}

/// Values by the key of their aggregate.
pub(crate) struct Cache<V> {
    values: QuickCache<Slice, Cached<V>, ByBytes>,
    /// The newest commit that has begun to change the values.
    epoch: AtomicU64,
    /// The newest commit that may have changed any of them.
    forgotten: AtomicU64,
}

impl<V: Cacheable> Cache<V> {
    pub(crate) fn new(bytes: u64) -> Self {
        const TYPICAL_BYTES: u64 = 512;
        let capacity = usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self {
            values: QuickCache::with_weighter(capacity, bytes, ByBytes),
            epoch: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        }
    }

    /// What a snapshot of `commit` holds under the key of an aggregate; `read` asks that snapshot. Of no commit: nothing
    /// cached is of it.
    pub(crate) fn get(
        &self,
        key: &[u8],
        commit: Option<u64>,
        read: impl FnOnce() -> Result<Option<V>, ReadError>,
    ) -> Result<Option<V>, ReadError> {
        let Some(commit) = commit else { return read() };
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        // Mostly it is short enough for no allocation.
        let key = Slice::new(key);
        match self.values.get_value_or_guard(&key, Some(Duration::ZERO)) {
            GuardResult::Value(cached) if cached.commit < forgotten && forgotten <= commit => {
                // Another reader may have put a newer one in its place: that is read once more, too.
                self.values.remove(&key);
                read()
            }
            GuardResult::Value(cached) if cached.commit <= commit => Ok(Some(cached.value)),
            GuardResult::Guard(guard) if self.epoch.load(Ordering::SeqCst) == commit => {
                let found = read()?;
                if let Some(value) = &found {
                    // If the writer has put in a newer value or removed it meanwhile, ours is refused, as it should be.
                    let _ = guard.insert(Cached { commit, value: value.own() });
                }
                Ok(found)
            }
            GuardResult::Value(_) | GuardResult::Guard(_) | GuardResult::Timeout => read(),
        }
    }

    /// Before a commit is published that may have changed any value.
    pub(crate) fn forget(&self, commit: u64) {
        self.epoch.store(commit, Ordering::SeqCst);
        self.forgotten.store(commit, Ordering::SeqCst);
    }

    /// Takes over what a commit made of values, before it is published; none: removed, or to be read again. One writer
    /// at a time.
    pub(crate) fn apply<'a>(&self, commit: u64, changes: impl Iterator<Item = (&'a Slice, Option<V>)>) {
        self.epoch.store(commit, Ordering::SeqCst);
        for (key, value) in changes {
            match value {
                Some(value) => self.values.insert(key.clone(), Cached { commit, value }),
                None => {
                    self.values.remove(key);
                }
            }
        }
    }
}
