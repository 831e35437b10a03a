//! How far an ingestion is.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a running ingestion, for who watches it. They only grow, except the size of a file.
#[derive(Debug, Default)]
pub struct Progress {
    raw_read: AtomicU64,
    raw_size: AtomicU64,
    appended: AtomicU64,
    dead_letters: AtomicU64,
}

impl Progress {
    /// Bytes read of the current file as it lies on disk, and its size.
    pub fn bytes(&self) -> (u64, u64) {
        (self.raw_read.load(Ordering::Relaxed), self.raw_size.load(Ordering::Relaxed))
    }

    /// Events that are durable.
    pub fn appended(&self) -> u64 {
        self.appended.load(Ordering::Relaxed)
    }

    /// Dead letters that are durable.
    pub fn dead_letters(&self) -> u64 {
        self.dead_letters.load(Ordering::Relaxed)
    }

    pub(crate) fn set_bytes(&self, read: u64, size: u64) {
        self.raw_read.store(read, Ordering::Relaxed);
        self.raw_size.store(size, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, events: u64, dead_letters: u64) {
        self.appended.fetch_add(events, Ordering::Relaxed);
        self.dead_letters.fetch_add(dead_letters, Ordering::Relaxed);
    }
}
