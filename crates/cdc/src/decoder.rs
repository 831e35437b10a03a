//! From a record to its events.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use deltafold_event::{Coordinates, Event, RowSchema, SchemaId};

use crate::{
    DecodeError, DecoderConfig, Record, TableName,
    envelope::{Change, Envelope, Value},
    key::RecordKey,
    tables::Tables,
    wrapper::Wrappers,
};

/// An event with what must be on record beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The event.
    pub event: Event,
    /// The table it came from, which claims the event's aggregate type (`$table`).
    pub table: Arc<TableName>,
    /// The row's schema, when this decoder has not given it before (`$schema`).
    pub schema: Option<Arc<RowSchema>>,
}

/// A record that is understood and has no event in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ignored {
    /// No value: the mark of a deleted key for log compaction.
    Tombstone,
    /// A connector's sign of life.
    Heartbeat,
    /// BEGIN or END of a transaction.
    Transaction,
    /// DDL of a table.
    SchemaChange,
    /// A connector's signal or notification.
    Notification,
}

impl Ignored {
    /// Its name in counts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tombstone => "tombstone",
            Self::Heartbeat => "heartbeat",
            Self::Transaction => "transaction",
            Self::SchemaChange => "schema_change",
            Self::Notification => "notification",
        }
    }
}

/// Turns records into events. One per thread; what it gives depends on the record and the configuration alone, but
/// for [`Decoded::schema`].
#[derive(Debug)]
pub struct Decoder {
    pub(crate) config: DecoderConfig,
    pub(crate) tables: Tables,
    pub(crate) wrappers: Wrappers,
    /// The schemas given so far.
    pub(crate) given: HashSet<SchemaId>,
    /// What logical messages belong to.
    pub(crate) messages: Arc<TableName>,
    topics: HashMap<String, Arc<str>>,
}

impl Decoder {
    /// A decoder that knows nothing yet but its configuration.
    pub fn new(config: DecoderConfig) -> Self {
        Self {
            config,
            tables: Tables::default(),
            wrappers: Wrappers::default(),
            given: HashSet::new(),
            messages: Arc::default(),
            topics: HashMap::new(),
        }
    }

    /// Appends the record's events to `decoded`: one, or two where an update moved a row to another declared key
    /// (the delete of the old key, then the create of the new). Some(…): there are none and none are missing.
    ///
    /// # Errors
    /// When the record cannot become an event; nothing is appended then.
    pub fn decode(&mut self, record: &Record<'_>, decoded: &mut Vec<Decoded>) -> Result<Option<Ignored>, DecodeError> {
        let envelope = match Value::read(record, &self.config.limits)? {
            Value::Ignored(ignored) => return Ok(Some(ignored)),
            Value::Change(envelope) => envelope,
        };
        let headers = record.headers.to_json();
        let change = Incoming {
            record,
            envelope: &envelope,
            headers: headers.as_deref(),
            coordinates: self.coordinates(record),
        };
        match envelope.change {
            Change::Row(operation) => self.row_events(&change, operation, decoded)?,
            Change::Message => self.message_event(&change, decoded)?,
        }
        Ok(None)
    }

    fn coordinates(&mut self, record: &Record<'_>) -> Coordinates {
        let topic = match self.topics.get(record.topic) {
            Some(topic) => topic.clone(),
            None => {
                let topic: Arc<str> = record.topic.into();
                self.topics.insert(record.topic.to_owned(), topic.clone());
                topic
            }
        };
        Coordinates { source: self.config.source.clone(), topic, partition: record.partition, offset: record.offset }
    }

    /// The record's key. Where another one is declared, a broken key breaks nothing.
    pub(crate) fn record_key<'a>(
        &mut self,
        record: &Record<'a>,
        is_declared: bool,
    ) -> Result<RecordKey<'a>, DecodeError> {
        match RecordKey::read(record.key, &self.config.limits, &mut self.wrappers) {
            Err(_) if is_declared => Ok(record.key.map_or(RecordKey::Absent, RecordKey::Other)),
            key => key,
        }
    }
}

/// A change on its way to its events.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) record: &'a Record<'a>,
    pub(crate) envelope: &'a Envelope<'a>,
    pub(crate) headers: Option<&'a str>,
    pub(crate) coordinates: Coordinates,
}
