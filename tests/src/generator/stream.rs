//! What the connectors send, decoded.

use std::collections::{BTreeMap, BTreeSet};

use deltafold_cdc::{AggregateConfig, Decoder, DecoderConfig, Headers, Record as Raw};
use deltafold_event::{Event, Position, RowSchema, StoredEvent, Timestamp};

use super::{
    case::Counts,
    database::Database,
    delivery::Delivery,
    record::{Arrival, Item},
    step::Script,
    table::Row,
};
use crate::naive::Schemas;

/// A history as it was sent.
#[derive(Debug)]
pub struct Stream {
    /// What was sent, in the order in which it was.
    pub items: Vec<Item>,
    /// The events of each item.
    pub events: Vec<Vec<Event>>,
    /// The schemas that they refer to.
    pub schemas: Schemas,
    /// What the database's own SELECT gives at the end, by table.
    pub rows: BTreeMap<&'static str, Vec<Row>>,
    /// Whether the stream tells of every row.
    pub complete: bool,
    /// How often the databases were restored.
    pub restores: u32,
    /// Whether it is a history in which they may be.
    pub is_restored: bool,
    /// Cases that are not one item's.
    pub counts: Counts,
}

impl Stream {
    /// Plays a script.
    pub fn of(script: &Script) -> Self {
        let database = Database::play(script);
        let source = if script.restored.is_some() { "kafka" } else { "file" };
        let mut decoder = Decoder::new(config(source));
        let mut schemas = Schemas::new();
        let decode = |item: &Item| match &item.arrival {
            Arrival::Domain(event) => vec![event.clone()],
            Arrival::Record(record) => {
                let raw = Raw {
                    topic: &record.topic,
                    partition: record.partition,
                    offset: record.offset,
                    timestamp_ms: Some(record.timestamp_ms),
                    key: record.key.as_ref().map(String::as_bytes),
                    value: record.value.as_ref().map(String::as_bytes),
                    headers: Headers::Json(&record.headers),
                };
                let mut decoded = Vec::new();
                let ignored = decoder.decode(&raw, &mut decoded).expect("what connectors write can be decoded");
                assert_eq!(ignored.is_some(), record.value.is_none(), "only tombstones have no events: {record:?}");
                let new = decoded.iter().filter_map(|decoded| decoded.schema.as_ref());
                schemas.extend(new.map(|schema| (schema.id(), schema.as_ref().clone())));
                decoded.into_iter().map(|decoded| decoded.event).collect()
            }
        };
        let events = database.connectors.items.iter().map(decode).collect();
        let tables = database.tables.into_iter();
        Self {
            events,
            schemas,
            rows: tables.map(|table| (table.definition.name, table.rows.into_values().collect())).collect(),
            complete: script.snapshot || script.rows_before == 0,
            restores: database.connectors.restores(),
            is_restored: script.restored.is_some(),
            counts: database.connectors.counts,
            items: database.connectors.items,
        }
    }

    /// The aggregate types it has events of.
    pub fn types(&self) -> BTreeSet<&str> {
        let types = self.events.iter().flatten().map(|event| &*event.aggregate_type);
        types.filter(|name| !name.starts_with('$')).collect()
    }

    /// The types whose key's columns change: that concerns every row, like a truncate.
    pub(super) fn types_with_changed_keys(&self) -> BTreeSet<&str> {
        let mut keys: BTreeMap<&str, BTreeSet<&[String]>> = BTreeMap::new();
        for event in self.events.iter().flatten() {
            let schema = event.schema_id.as_ref().and_then(|id| self.schemas.get(id));
            if let Some(schema) = schema {
                keys.entry(&event.aggregate_type).or_default().insert(schema.key());
            }
        }
        keys.into_iter().filter(|(_, keys)| keys.len() > 1).map(|(name, _)| name).collect()
    }

    /// The items that must arrive in the order in which they were sent. Where a table's key changes, a snapshot row
    /// that overtakes the table's log events, or is overtaken by them, shows a key at another time than its own: rows
    /// are then kept under both until the log shows it too, and what they are in between is nobody's to say.
    pub(super) fn in_order(&self) -> BTreeSet<usize> {
        let key = |event: &Event| event.schema_id.as_ref().and_then(|id| self.schemas.get(id)).map(RowSchema::key);
        let mut shown: BTreeMap<&str, (BTreeSet<&[String]>, bool)> = BTreeMap::new();
        for event in self.events.iter().flatten() {
            let Some(key) = key(event) else { continue };
            let (keys, has_snapshot_rows) = shown.entry(&event.aggregate_type).or_default();
            keys.insert(key);
            *has_snapshot_rows |= event.source_position.is_none();
        }
        let of_such = |event: &Event| {
            let shown = shown.get(&*event.aggregate_type);
            shown.is_some_and(|(keys, has_snapshot_rows)| keys.len() > 1 && *has_snapshot_rows)
        };
        let items = self.events.iter().enumerate();
        items.filter(|(_, events)| events.iter().any(of_such)).map(|(item, _)| item).collect()
    }

    /// The events as the store holds them after a delivery in batches of these sizes, over and over.
    pub fn stored(&self, delivery: &Delivery, batches: &[usize]) -> Vec<StoredEvent> {
        let mut sizes = batches.iter().copied().cycle();
        let mut stored = Vec::new();
        let (mut version, mut left, mut ordinal) = (1, sizes.next().unwrap_or(1), 0);
        for delivered in &delivery.0 {
            for event in &self.events[delivered.item] {
                let mut event = event.clone();
                if let Some((partition, offset)) = delivered.again_at {
                    event.coordinates.partition = partition;
                    event.coordinates.offset = offset;
                }
                let position = Position::new(version, ordinal).expect("few events");
                let recorded_at = Timestamp::from_millis(1_800_000_000_000 + version as i64);
                stored.push(StoredEvent { position, recorded_at, event });
                ordinal += 1;
            }
            left -= 1;
            if left == 0 {
                (version, left, ordinal) = (version + 1, sizes.next().unwrap_or(1), 0);
            }
        }
        stored
    }
}

/// The configuration under which the generated stream is read.
fn config(source: &str) -> DecoderConfig {
    let loose = AggregateConfig { key: Some(vec!["id".to_owned()]), ..AggregateConfig::default() };
    DecoderConfig {
        source: source.into(),
        aggregates: BTreeMap::from([("loose".to_owned(), loose)]),
        ..DecoderConfig::default()
    }
}
