//! What a keeper is told of an event beside the event.

use std::sync::Arc;

use deltafold_event::{EventId, Position, SourcePosition, StoredEvent, Timestamp};
use serde::{Deserialize, Serialize};

/// Where an event stands in its origin's life, and from when on it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The epoch of its origin.
    pub epoch: u32,
    /// The position from which it counts as recorded: its own, or that of the event which let it go on.
    pub recorded_from: Position,
    /// Whether it may be one of an older epoch that is delivered again: then the same event there is this one.
    pub may_be_older: bool,
    /// The snapshot that it is a row of, in an epoch after the first.
    pub snapshot: Option<Box<SnapshotRow>>,
}

impl Place {
    /// Of an event that counts as recorded where it stands, in the first epoch.
    pub fn at(position: Position) -> Self {
        Self { epoch: 0, recorded_from: position, may_be_older: false, snapshot: None }
    }
}

/// One snapshot of an origin's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SnapshotId(u64);

impl SnapshotId {
    /// Of an origin, by the numbers of both.
    pub(crate) fn new(origin: usize, number: usize) -> Self {
        Self((origin as u64) << 32 | number as u64)
    }

    /// Which of its origin.
    pub(crate) fn number(self) -> usize {
        (self.0 & u64::from(u32::MAX)) as usize
    }
}

/// The snapshot that a row is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Which.
    pub snapshot: SnapshotId,
    /// Log events from here on were made after it; empty where nobody says.
    pub log_from: SourcePosition,
    /// Whether all of it had been sent by then; [`Step::Complete`] has come before the row that says so.
    pub is_complete: bool,
}

/// A snapshot of all tables of an origin, in an epoch after the first, all of whose rows have been sent. A table of which
/// it has no row was empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// Which.
    pub snapshot: SnapshotId,
    /// Its epoch.
    pub epoch: u32,
    /// As in [`SnapshotRow::log_from`].
    pub log_from: SourcePosition,
    /// The row that was marked as the last.
    pub last: LastRow,
    /// The position from which it counts as recorded.
    pub recorded_from: Position,
}

/// The row of a snapshot that was sent after all others; maybe one of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRow {
    /// The event.
    pub id: EventId,
    /// Its first delivery.
    pub position: Position,
    /// When the snapshot was taken, as the source says.
    pub occurred_at: Timestamp,
}

/// Something for a keeper to fold.
#[derive(Debug, Clone)]
pub enum Step<'e> {
    /// An event.
    Event(&'e StoredEvent, Place),
    /// An event that was folded as one of its place's epoch is taken back, from that place's position on.
    TakeBack(&'e StoredEvent, Place),
    /// All rows of a snapshot have been sent: from there on, it replaces what was known of the type.
    Complete(Arc<Completed>),
    /// The same snapshot is found to be of a later epoch: from a position on, it replaces nothing.
    TakeBackSnapshot(SnapshotId, Position),
}

impl<'e> From<&'e StoredEvent> for Step<'e> {
    fn from(stored: &'e StoredEvent) -> Self {
        Self::Event(stored, Place::at(stored.position))
    }
}
