//! The newest entries of hot aggregates, in memory.
//!
//! A read at a snapshot may take a cached entry only if it is what the snapshot holds. Each cached entry bears the
//! number of the commit it is known to be true at. The writer replaces an entry before it publishes the commit that
//! changed it, and a reader puts one in only while its own snapshot is the newest and no commit has begun to
//! touch the cache; so an entry whose number is not above a snapshot's holds at that snapshot, too.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use fjall::Slice;
use quick_cache::{
    Weighter,
    sync::{Cache, GuardResult},
};

use crate::ReadError;

#[derive(Clone)]
struct Cached {
    commit: u64,
    entry: Slice,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Vec<u8>, Cached> for ByBytes {
    fn weight(&self, key: &Vec<u8>, cached: &Cached) -> u64 {
        // The constant stands for what the allocator and the cache itself need.
        (key.len() + cached.entry.len() + 128) as u64
    }
}

pub(crate) struct CurrentCache {
    entries: Cache<Vec<u8>, Cached, ByBytes>,
    /// The newest commit that has begun to change the entries.
    epoch: AtomicU64,
}

impl CurrentCache {
    pub(crate) fn new(bytes: u64) -> Self {
        const TYPICAL_BYTES: u64 = 512;
        let capacity = usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX);
        Self { entries: Cache::with_weighter(capacity, bytes, ByBytes), epoch: AtomicU64::new(0) }
    }

    /// What a snapshot of `commit` holds under `key` of the current keyspace; `read` asks that snapshot.
    pub(crate) fn get(
        &self,
        key: &[u8],
        commit: u64,
        read: impl FnOnce() -> Result<Option<Slice>, ReadError>,
    ) -> Result<Option<Slice>, ReadError> {
        match self.entries.get_value_or_guard(key, Some(Duration::ZERO)) {
            GuardResult::Value(cached) if cached.commit <= commit => Ok(Some(cached.entry)),
            GuardResult::Guard(guard) if self.epoch.load(Ordering::SeqCst) == commit => {
                let found = read()?;
                if let Some(entry) = &found {
                    // A copy of its own: what was read may be a part of a whole block. If the writer has put in a
                    // newer entry meanwhile, ours is refused, as it should be.
                    let _ = guard.insert(Cached { commit, entry: Slice::new(entry) });
                }
                Ok(found)
            }
            GuardResult::Value(_) | GuardResult::Guard(_) | GuardResult::Timeout => read(),
        }
    }

    /// Takes over what a commit wrote, before it is published. One writer at a time.
    pub(crate) fn apply<'a>(&self, commit: u64, changes: impl Iterator<Item = (&'a Slice, Option<&'a Slice>)>) {
        self.epoch.store(commit, Ordering::SeqCst);
        for (key, entry) in changes {
            match entry {
                Some(entry) => self.entries.insert(key.to_vec(), Cached { commit, entry: entry.clone() }),
                None => {
                    self.entries.remove(&**key);
                }
            }
        }
    }
}
