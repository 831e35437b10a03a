//! What a keeper is told of an event beside the event.

use deltafold_event::{Position, SourcePosition, StoredEvent};
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
pub struct SnapshotId(pub(crate) u64);

/// The snapshot that a row is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRow {
    /// Which.
    pub snapshot: SnapshotId,
    /// Log events from here on were made after it; empty where nobody says.
    pub log_from: SourcePosition,
    /// Whether all of it had been sent by then. Else [`Step::Complete`] comes when it has.
    pub is_complete: bool,
}

/// Something for a keeper to fold.
#[derive(Debug, Clone)]
pub enum Step<'e> {
    /// An event.
    Event(&'e StoredEvent, Place),
    /// An event that was folded as one of an older epoch than that of its place is taken back, from that place's
    /// position on.
    TakeBack(&'e StoredEvent, Place),
    /// All rows of a snapshot have been sent: from this position on, it replaces what was known of the type.
    Complete(SnapshotId, Position),
}

impl<'e> From<&'e StoredEvent> for Step<'e> {
    fn from(stored: &'e StoredEvent) -> Self {
        Self::Event(stored, Place::at(stored.position))
    }
}
