//! What is appended.

use deltafold_event::Event;

/// One commit to be made: events, and the source offsets they take the store to.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// In the order of arrival; at most [`deltafold_event::Position::COMMIT_CAPACITY`].
    pub events: Vec<Event>,
    /// At most one for each app id. They may move without events (everything read was ignored).
    pub offsets: Vec<Offset>,
}

/// How far a source partition is read: a `txn` action of the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// Source, topic and partition; or the digest of a file.
    pub app_id: String,
    /// What the store must say now ([`crate::EventStore::offset`]), else the append is a
    /// [`crate::Conflict::Moved`].
    pub expected: Option<i64>,
    /// What it says afterwards: the next offset to read.
    pub next: i64,
}

/// Events that are encoded and durable in a file that no log entry names yet: they become visible with
/// [`crate::EventStore::commit`], or never.
#[derive(Debug)]
pub struct Prepared {
    pub(crate) events: Vec<Event>,
}
