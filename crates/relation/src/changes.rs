//! What folding a batch changes.

use std::sync::Arc;

use deltafold_event::{EventId, OrderKey, Position, Row, Timestamp};

use crate::{KeeperState, Last, Record};

/// What a batch of events changes in a keeper's memory, to be written at once, and in its relation.
///
/// Beliefs are kept event by event: what was believed between two events of a batch is in `superseded`, though
/// `puts` has only what is believed after the batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Records to write, by (aggregate, valid from, order); one there is replaced.
    pub puts: Vec<(Arc<str>, Arc<Record>)>,
    /// Records to remove. None of them is also put.
    pub removals: Vec<(Arc<str>, Timestamp, OrderKey)>,
    /// Records that were believed from their `recorded_from` until before this position.
    pub superseded: Vec<(Arc<str>, Arc<Record>, Position)>,
    /// Where another record became the newest of its aggregate. There may be several at one position.
    pub moves: Vec<NewestMoved>,
    /// The newest record of each aggregate that was touched; none where it has no records any more.
    pub last: Vec<(Arc<str>, Option<Last>)>,
    /// Events without a source position that were taken back.
    pub unseen: Vec<EventId>,
    /// Events without a source position that were folded.
    pub seen: Vec<EventId>,
    /// What changed in the relation, for projections.
    pub rows: Vec<RowChange>,
    /// The keeper's own state, when it changed.
    pub state: Option<KeeperState>,
}

/// From a position on, the newest record of an aggregate is another one than was believed before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewestMoved {
    /// Whose records.
    pub aggregate: Arc<str>,
    /// The position.
    pub position: Position,
    /// The valid time of the record that was the newest until then.
    pub valid_from: Timestamp,
    /// Its order.
    pub order: OrderKey,
    /// Whether the newest record stands before it now, or there is none.
    pub is_back: bool,
}

/// One row that came (+1) or went (-1) at a moment of valid time.
///
/// The changes of one aggregate at one moment add up: a row that comes and goes at the same moment was never
/// there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowChange {
    /// Whose row.
    pub aggregate: Arc<str>,
    /// The record that shows it.
    pub record: Arc<Record>,
    /// From when on.
    pub valid_from: Timestamp,
    /// +1 or -1.
    pub weight: i8,
}

impl RowChange {
    /// The row.
    pub fn row(&self) -> &Row {
        self.record.shown().expect("a change is of a record that shows a row")
    }
}
