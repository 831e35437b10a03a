//! How a view store is set up.

/// Sizes of a [`crate::ViewStore`]. The defaults suit a server with a few GiB of memory; tests may go far lower.
#[derive(Debug, Clone)]
pub struct Options {
    /// Newest entries held in memory, by bytes.
    pub row_cache_bytes: u64,
    /// Histories of few entries held in memory for reads of the past, by bytes.
    pub history_cache_bytes: u64,
    /// Blocks of the LSM trees held in memory, by bytes.
    pub block_cache_bytes: u64,
    /// How much is gathered in memory, per kind of record, before it is written as a sorted table.
    pub memtable_bytes: u64,
    /// With how much in memory, of all kinds together, commits wait while tables are being written or merged.
    pub unwritten_bytes: u64,
    /// Threads that flush and compact.
    pub worker_threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            row_cache_bytes: 256 << 20,
            history_cache_bytes: 64 << 20,
            block_cache_bytes: 128 << 20,
            memtable_bytes: 128 << 20,
            unwritten_bytes: 320 << 20,
            worker_threads: 1,
        }
    }
}
