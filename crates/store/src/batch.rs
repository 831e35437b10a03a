//! One commit as readers see it.

use deltafold_event::{Position, StoredEvent, Timestamp};

/// The events of one commit. It may hold none: the care of the store makes commits too.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The commit's version.
    pub version: u64,
    /// When the store took it in; never before its predecessor's.
    pub committed_at: Timestamp,
    /// By position.
    pub events: Vec<StoredEvent>,
}

impl Batch {
    /// The position at which the next commit begins: where a [`crate::Tail`] goes on after this batch.
    pub fn end(&self) -> Position {
        Position::new(self.version + 1, 0).expect("versions stay below 2^40")
    }
}
