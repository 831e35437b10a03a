//! The event store: an append-only Delta table.
