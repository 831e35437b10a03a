//! Where a change stands in the order in which its database committed.

use std::fmt;

use deltafold_event::Event;
use serde::{Deserialize, Serialize};

use super::said::Said;

/// Comparable within one origin, and one server, across all its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum CommitOrder {
    Postgres {
        /// Where the transaction that was committed last before ended.
        before: u64,
        lsn: u64,
    },
    Binlog {
        file: u64,
        pos: u64,
        row: u32,
    },
}

impl CommitOrder {
    /// Of a log event. None of one that is not judged:
    ///
    /// - a `sequence` that starts with null says too little;
    /// - PostgreSQL sends logical messages outside of transactions at once, though one that began before may commit later;
    /// - a record without a key may come to another partition when it is sent again, where its order tells nothing.
    pub(super) fn of(event: &Event, said: &Said<'_>) -> Option<Self> {
        if !said.has_key {
            return None;
        }
        if let Some(binlog) = event.source_position.as_ref()?.as_binlog() {
            return Some(Self::Binlog { file: binlog.file, pos: binlog.pos, row: binlog.row });
        }
        event.transaction_id.as_ref()?;
        said.sequence().map(|(before, lsn)| Self::Postgres { before, lsn })
    }
}

impl fmt::Display for CommitOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Postgres { before, lsn } => write!(f, "sequence [{before}, {lsn}]"),
            Self::Binlog { file, pos, row } => write!(f, "binlog file {file}, pos {pos}, row {row}"),
        }
    }
}
