//! The LSM trees of a view store, shared by all views.

use fjall::{
    Database, Keyspace, KeyspaceCreateOptions,
    compaction::Leveled,
    config::{BlockSizePolicy, FilterPolicy, PartitioningPolicy, RestartIntervalPolicy},
};
use std::sync::Arc;

use crate::Options;

/// From how many tables on that were written from memory they are merged into those below: the more, the less often all
/// of a tree is written again, and the more a search looks at.
const MOST_YOUNG_TABLES: u8 = 8;

/// One tree per kind of record (`key`); a view's part of each begins with its number.
pub(crate) struct Keyspaces {
    pub(crate) versions: Keyspace,
    pub(crate) current: Keyspace,
    pub(crate) heads: Keyspace,
    pub(crate) superseded: Keyspace,
    pub(crate) seen: Keyspace,
    pub(crate) folds: Keyspace,
    pub(crate) indexes: Keyspace,
    pub(crate) meta: Keyspace,
}

impl Keyspaces {
    /// Opens them, creating those that are missing. How a tree is kept is on disk with it, from when it was made: what is
    /// changed here holds for new ones.
    pub(crate) fn open(db: &Database, options: &Options) -> fjall::Result<Self> {
        // What is only ever read by range needs no Bloom filters. A search ends somewhere in a block: without restart
        // points at every entry it would decode half of it.
        let ranges = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(options.memtable_bytes)
                .compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(MOST_YOUNG_TABLES)))
                .filter_policy(FilterPolicy::disabled())
                .data_block_restart_interval_policy(RestartIntervalPolicy::all(1))
                .index_block_partitioning_policy(PartitioningPolicy::all(true))
        };
        let points = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(options.memtable_bytes)
                .compaction_strategy(Arc::new(Leveled::default().with_l0_threshold(MOST_YOUNG_TABLES)))
        };
        Ok(Self {
            versions: db.keyspace("versions", || ranges().data_block_size_policy(BlockSizePolicy::all(8 << 10)))?,
            current: db.keyspace("current", points)?,
            heads: db.keyspace("heads", ranges)?,
            superseded: db.keyspace("superseded", ranges)?,
            seen: db.keyspace("seen", points)?,
            folds: db.keyspace("folds", points)?,
            indexes: db.keyspace("indexes", ranges)?,
            meta: db.keyspace("meta", KeyspaceCreateOptions::default)?,
        })
    }
}
