//! What a keeper remembers of one event.

mod bytes;

use std::sync::Arc;

use deltafold_event::{EventId, Operation, OrderKey, Position, Row, Timestamp};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

pub use bytes::{Beside, RecordError};

/// What made a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordKind {
    /// An event with a source position: a change from the database's log, or a logical message.
    Log,
    /// A snapshot row, or another change without a source position.
    Read,
    /// A domain event: it leaves the rows as they are.
    Domain,
    /// A truncate that ended this aggregate's row.
    Truncated,
    /// A change of the key's columns that took this aggregate's row to another id.
    RekeyedOut,
    /// A change of the key's columns that brought a row here from another id.
    RekeyedIn,
    /// A snapshot of a new epoch that ended this aggregate's row: what it names follows.
    Swept,
}

impl RecordKind {
    /// Whether the record is an event of the aggregate itself, rather than a type-wide event's effect on it.
    pub fn is_own(self) -> bool {
        matches!(self, Self::Log | Self::Read | Self::Domain)
    }

    /// Whether the event has no source position, so that it stands after the one before it.
    pub fn is_anchored(self) -> bool {
        matches!(self, Self::Read | Self::Domain)
    }
}

/// What an event said of its row, where that is not the whole of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// The members that came, canonical.
    pub json: String,
    /// The columns that the source left out as unchanged.
    pub unchanged: Vec<String>,
}

/// Where the version that is shown after an event began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// Its first moment.
    pub valid_from: Timestamp,
    /// The position from which that is believed.
    pub recorded_from: Position,
    /// The event that began it.
    pub id: EventId,
}

/// Rows under one another; mostly one.
pub type Stack = SmallVec<[Row; 1]>;

/// One event in the order of its aggregate, with what stands after it.
///
/// The records of an aggregate have distinct `order`s, and `valid_from` never falls along them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place among the records of its aggregate.
    pub order: OrderKey,
    /// From when on what it says holds.
    pub valid_from: Timestamp,
    /// The position from which this record is believed.
    pub recorded_from: Position,
    /// The position of the event's first delivery.
    pub position: Position,
    /// The event; of a type-wide event's effect, that event.
    pub id: EventId,
    /// The rank of the event among those of its aggregate, by position, from 1; 0 of a type-wide event's effect.
    pub revision: u64,
    /// What made it.
    pub kind: RecordKind,
    /// What the event did; none of domain events, logical messages and changed keys.
    pub operation: Option<Operation>,
    /// `created`, `updated`, …, or a domain event's own type.
    pub event_type: Arc<str>,
    /// When the source says it happened.
    pub occurred_at: Timestamp,
    /// The valid time of the last log event up to here; [`Timestamp::MIN`] before the first.
    pub log_valid_from: Timestamp,
    /// The transaction that the stack of rows belongs to: that of the last log event up to here.
    pub transaction: Option<Arc<str>>,
    /// What the event said of its row; none where that is the last of `rows`, or nothing.
    pub given: Option<Given>,
    /// The rows that stand after it, oldest first. More than one only inside a transaction; the last is the one
    /// shown; none is no row.
    pub rows: Stack,
    /// Of the second half of a move: the id the row had before.
    pub moved_from: Option<String>,
    /// Of the first half of a move: the id the row has after.
    pub moved_to: Option<String>,
    /// The row that moved: taken from here, or (with `moved_from`) brought here.
    pub took: Option<Row>,
    /// Where the version that is shown after it began.
    pub since: Since,
}

impl Record {
    /// The row after the event, if there is one.
    pub fn shown(&self) -> Option<&Row> {
        self.rows.last()
    }
}
