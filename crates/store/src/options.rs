//! Settings of a store.

use std::time::Duration;

/// Settings of a store. The defaults suit one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How often a reader at the tip looks for commits of other processes.
    pub poll_interval: Duration,
    /// How many bytes of recent batches are kept in memory for tails.
    pub recent_bytes: usize,
    /// How many events a compacted file holds at most.
    pub compact_events: usize,
    /// How many files are worth compacting together, when maintenance runs by itself.
    pub compact_files: usize,
    /// After how many commits maintenance writes a checkpoint.
    pub checkpoint_commits: u64,
    /// How long log entries are kept that are behind both a checkpoint and the compaction frontier.
    pub log_retention: Duration,
    /// How long data files are kept that no version of the table needs any more.
    pub file_retention: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(20),
            recent_bytes: 64 << 20,
            compact_events: 131_072,
            compact_files: 32,
            checkpoint_commits: 100,
            log_retention: Duration::from_secs(2 * 60 * 60),
            file_retention: Duration::from_secs(2 * 60 * 60),
        }
    }
}
