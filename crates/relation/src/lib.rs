//! Relation keepers: events to row changes.
