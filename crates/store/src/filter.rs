//! Which events to look for.

use deltafold_event::{EventId, Position, Timestamp};

/// Which events [`crate::EventStore::scan`] gives: those that satisfy every part that is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this aggregate type only.
    pub aggregate_type: Option<String>,
    /// Of this aggregate only.
    pub aggregate_id: Option<String>,
    /// Of this event type only.
    pub event_type: Option<String>,
    /// The event with this id only, each delivery of it.
    pub id: Option<EventId>,
    /// Of this transaction only.
    pub transaction_id: Option<String>,
    /// At this position or later.
    pub from: Option<Position>,
    /// Before this position.
    pub to: Option<Position>,
    /// Occurred at this moment or later.
    pub occurred_from: Option<Timestamp>,
    /// Occurred before this moment.
    pub occurred_to: Option<Timestamp>,
    /// Without the store's own events (aggregate types that start with `$`).
    pub without_control: bool,
}

/// The order of a scan, and which end its limit keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// By position, oldest first.
    #[default]
    Forward,
    /// By position, newest first.
    Backward,
}
