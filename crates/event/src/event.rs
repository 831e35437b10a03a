//! Events, as the store keeps them.

use std::sync::Arc;

use crate::{EventId, Operation, Position, SchemaId, SourcePosition, Timestamp};

/// Where a record was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Coordinates {
    /// The source's name in the configuration; `file` for files.
    pub source: Arc<str>,
    /// The topic; for a line of a file that is not a `kcat -J` record, the file's app id.
    pub topic: Arc<str>,
    /// The partition; 0 for a line of a file.
    pub partition: i32,
    /// The offset; for a line of a file its number, from 1.
    pub offset: i64,
}

/// One change of one aggregate, immutable.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The identity of the change at its source.
    pub id: EventId,
    /// The aggregate's type.
    pub aggregate_type: Arc<str>,
    /// The aggregate's id: the text of its key column, or a JSON array of several. None of a truncate.
    pub aggregate_id: Option<String>,
    /// `created`, `updated`, `deleted`, `snapshot`, `truncated`, or a domain event's own type.
    pub event_type: Arc<str>,
    /// None for domain events, logical messages and control events.
    pub operation: Option<Operation>,
    /// The row before, JSON text exactly as the source gave it (inside the schema wrapper).
    pub before: Option<String>,
    /// The row after, likewise; a domain event's payload.
    pub after: Option<String>,
    /// JSON text of [`crate::Metadata`].
    pub metadata: String,
    /// None of snapshot rows and domain events.
    pub source_position: Option<SourcePosition>,
    /// `source.txId` or `source.gtid`.
    pub transaction_id: Option<Arc<str>>,
    /// When the source says the change was made.
    pub occurred_at: Timestamp,
    /// Where it was read.
    pub coordinates: Coordinates,
    /// The row's schema; what it says is a `$schema` event.
    pub schema_id: Option<SchemaId>,
}

impl Event {
    /// Whether it is about the store itself (an aggregate type that starts with `$`).
    pub fn is_control(&self) -> bool {
        self.aggregate_type.starts_with('$')
    }
}

/// An event with its place in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// Its position.
    pub position: Position,
    /// When the store took it in: the commit's time.
    pub recorded_at: Timestamp,
    /// What was appended.
    pub event: Event,
}

impl Event {
    /// An event of the store itself, of no source.
    pub fn of_control(
        aggregate_type: &str,
        aggregate_id: &str,
        event_type: &str,
        id: EventId,
        payload: String,
        occurred_at: Timestamp,
    ) -> Self {
        let none: Arc<str> = "".into();
        Self {
            id,
            aggregate_type: aggregate_type.into(),
            aggregate_id: Some(aggregate_id.to_owned()),
            event_type: event_type.into(),
            operation: None,
            before: None,
            after: Some(payload),
            metadata: "{}".to_owned(),
            source_position: None,
            transaction_id: None,
            occurred_at,
            coordinates: Coordinates { source: Arc::clone(&none), topic: none, partition: 0, offset: 0 },
            schema_id: None,
        }
    }
}

/// The aggregate types of control events.
pub mod control {
    /// A row schema; id = its [`crate::SchemaId`], `after` = [`crate::RowSchema::to_json`].
    pub const SCHEMA: &str = "$schema";
    /// How far a file was read; id = the file's app id, `after` = `{"bytes":N,"digest":"…","lines":N}`.
    pub const FILE: &str = "$file";
    /// Which source table an aggregate type belongs to; id = the type's name,
    /// `after` = `{"server":…,"database":…,"schema":…,"table":…}`.
    pub const TABLE: &str = "$table";
    /// What became of a dead letter, one event for each: `retried` or `discarded`; id = the letter's identity,
    /// `after` = `{"number":N,"code":"…","by":"…","events":["…"]}`, or `{…,"reason":"…"}`.
    pub const DEAD_LETTER: &str = "$dead_letter";
    /// What an operator says of an origin; id = connector and server name as `postgresql/shop`,
    /// `after` = `{"epoch":N,"reason":"…","by":"…"}`.
    pub const SOURCE: &str = "$source";
    /// What is ordered of a projection; id = its name, event type and `after` as `deltafold-projector` has them.
    pub const PROJECTION: &str = "$projection";
    /// Which transactions ended, as a commit's records of a transaction topic say; id = the source's name, of a file its
    /// app id, `after` = [`crate::TransactionEnd::to_json`].
    pub const TRANSACTION: &str = "$transaction";
}
