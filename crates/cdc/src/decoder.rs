//! From a record to its events.

use std::{ops::ControlFlow, sync::Arc};

use deltafold_event::{Coordinates, Event, RowSchema, SchemaId};
use foldhash::{HashMap, HashSet};

use crate::{
    DecodeError, DecoderConfig, Record, TableName,
    envelope::{Change, Envelope, read_value},
    event_types::EventTypes,
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
    /// A row of an outbox that is changed or removed: it told its event when it was inserted.
    OutboxRow,
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
            Self::OutboxRow => "outbox_row",
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
    /// The names of events, shared by all that have them.
    pub(crate) event_types: EventTypes,
    topics: HashMap<String, Arc<str>>,
    /// The topic of the record before.
    topic: Arc<str>,
}

impl Decoder {
    /// A decoder that knows nothing yet but its configuration.
    pub fn new(config: DecoderConfig) -> Self {
        Self {
            config,
            tables: Tables::default(),
            wrappers: Wrappers::default(),
            given: HashSet::default(),
            messages: Arc::default(),
            event_types: EventTypes::default(),
            topics: HashMap::default(),
            topic: "".into(),
        }
    }

    /// Appends the record's events to `decoded`: one, or two where an update moved a row to another declared key
    /// (the delete of the old key, then the create of the new). Some(…): there are none and none are missing.
    ///
    /// # Errors
    /// When the record cannot become an event; nothing is appended then.
    pub fn decode(&mut self, record: &Record<'_>, decoded: &mut Vec<Decoded>) -> Result<Option<Ignored>, DecodeError> {
        let envelope = match read_value(record, &self.config.limits)? {
            ControlFlow::Break(ignored) => return Ok(Some(ignored)),
            ControlFlow::Continue(envelope) => envelope,
        };
        let headers = record.headers.to_json();
        let change = Incoming {
            record,
            envelope: &envelope,
            headers: headers.as_deref(),
            coordinates: &self.coordinates(record),
        };
        match envelope.change {
            Change::Row(operation) => self.row_events(&change, operation, decoded),
            Change::Message => self.message_event(&change, decoded).map(|()| None),
        }
    }

    fn coordinates(&mut self, record: &Record<'_>) -> Coordinates {
        if *self.topic != *record.topic {
            self.topic = match self.topics.get(record.topic) {
                Some(topic) => topic.clone(),
                None => {
                    let topic: Arc<str> = record.topic.into();
                    self.topics.insert(record.topic.to_owned(), topic.clone());
                    topic
                }
            };
        }
        Coordinates {
            source: self.config.source.clone(),
            topic: self.topic.clone(),
            partition: record.partition,
            offset: record.offset,
        }
    }
}

/// A change on its way to its events.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) record: &'a Record<'a>,
    pub(crate) envelope: &'a Envelope<'a>,
    pub(crate) headers: Option<&'a str>,
    pub(crate) coordinates: &'a Coordinates,
}
