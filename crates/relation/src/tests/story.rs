//! Events told in short.

use std::{fmt, sync::Arc};

use deltafold_event::{
    Coordinates, Event, EventId, Identity, Metadata, Operation, Position, RowSchema, SourcePosition, StoredEvent,
    Timestamp,
};

use crate::{InMemory, NewEpoch, Origins, Record, Schemas};

pub(crate) use deltafold_event::Operation::{Create, Delete, Read, Update};

/// How an unchanged value looks.
pub(crate) const UNCHANGED: &str = r#""__debezium_unavailable_value""#;

/// The moment `seconds` after the beginning.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// A position as the stories number them.
pub(crate) fn position(number: usize) -> Position {
    Position::new(number as u64, 0).unwrap()
}

/// One event that is being told.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) event: Event,
    metadata: (Option<String>, Option<String>, bool),
    schema: Option<RowSchema>,
    /// Of an event from Kafka: its source block and headers.
    sent: Option<(serde_json::Value, serde_json::Value)>,
}

/// A change at a place of the log, which is also its offset; committed at that second, in its own transaction.
pub(crate) fn log(lsn: u64, id: &str, operation: Operation, after: &str) -> Told {
    let mut told = without_position(lsn as i64, id, operation, after);
    told.event.source_position = Some(SourcePosition::postgres(lsn));
    told.event.transaction_id = Some(format!("tx{lsn}").into());
    told
}

/// A snapshot row, or another change without a position, at that second and offset.
pub(crate) fn without_position(second: i64, id: &str, operation: Operation, after: &str) -> Told {
    let event = Event {
        id: EventId::from_bytes([0; 16]),
        aggregate_type: "things".into(),
        aggregate_id: Some(id.to_owned()),
        event_type: operation.event_type().into(),
        operation: Some(operation),
        before: None,
        after: (!after.is_empty()).then(|| after.to_owned()),
        metadata: String::new(),
        source_position: None,
        transaction_id: None,
        occurred_at: at(second),
        coordinates: Coordinates { source: "test".into(), topic: "things".into(), partition: 0, offset: second },
        schema_id: None,
    };
    Told { event, metadata: (None, None, false), schema: None, sent: None }
}

/// A snapshot row.
pub(crate) fn read(second: i64, id: &str, after: &str) -> Told {
    without_position(second, id, Read, after)
}

/// A domain event.
pub(crate) fn domain(second: i64, id: &str, payload: &str) -> Told {
    let mut told = without_position(second, id, Read, payload);
    told.event.operation = None;
    told.event.event_type = "noted".into();
    told
}

/// A truncate at a place of the log.
pub(crate) fn truncate(lsn: u64) -> Told {
    let mut told = log(lsn, "", Operation::Truncate, "");
    told.event.aggregate_id = None;
    told
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = &self.event;
        let kind = event.operation.map_or("-", Operation::letter);
        let place = event
            .source_position
            .as_ref()
            .map_or(0, |place| place.as_bytes().iter().fold(0_u64, |n, &b| (n << 8) | u64::from(b)) & 0xFF_FFFF);
        write!(f, "{kind} {:?} lsn {place} offset {}", event.aggregate_id, event.coordinates.offset)?;
        write!(
            f,
            " at {} tx {:?} after {:?}",
            event.occurred_at.as_micros() / 1_000_000,
            event.transaction_id,
            event.after
        )?;
        write!(f, " moved {:?} key {:?}", self.metadata, self.schema.as_ref().map(RowSchema::key))
    }
}

impl Told {
    pub(crate) fn at(mut self, second: i64) -> Self {
        self.event.occurred_at = at(second);
        self
    }

    pub(crate) fn offset(mut self, offset: i64) -> Self {
        self.event.coordinates.offset = offset;
        self
    }

    pub(crate) fn tx(mut self, transaction: &str) -> Self {
        self.event.transaction_id = Some(transaction.into());
        self
    }

    pub(crate) fn before(mut self, before: &str) -> Self {
        self.event.before = Some(before.to_owned());
        self
    }

    pub(crate) fn whole_before(mut self, before: &str) -> Self {
        self.metadata.2 = true;
        self.before(before)
    }

    pub(crate) fn from(mut self, id: &str) -> Self {
        self.metadata.0 = Some(id.to_owned());
        self
    }

    pub(crate) fn to(mut self, id: &str) -> Self {
        self.metadata.1 = Some(id.to_owned());
        self
    }

    pub(crate) fn key(mut self, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        self.schema = Some(RowSchema::new(columns, None, None));
        self
    }

    /// Sent to a partition by a run of a PostgreSQL connector; run 0 says nothing of itself.
    pub(crate) fn sent(mut self, run: u8, partition: i32) -> Self {
        let lsn = self.event.source_position.as_ref().map(|place| place.as_bytes()[1..].to_vec());
        let lsn = lsn.map(|bytes| bytes.iter().fold(0_u64, |lsn, byte| lsn << 8 | u64::from(*byte)));
        let sequence = lsn.map(|lsn| serde_json::json!([lsn.to_string(), lsn.to_string()]).to_string());
        let source = serde_json::json!({
            "connector": "postgresql", "name": "shop", "snapshot": "false", "sequence": sequence, "lsn": lsn,
        });
        self.event.coordinates.source = "kafka".into();
        self.event.coordinates.partition = partition;
        self.sent = Some((source, serde_json::Value::Null));
        self.run(run)
    }

    /// By another run.
    pub(crate) fn run(mut self, run: u8) -> Self {
        let id = format!("01a1fe0d-b0b2-7651-b07f-1f9d7b7c86{run:02x}");
        let headers = (run > 0).then(|| serde_json::json!(["__debezium.context.runId", id]));
        self.sent.as_mut().expect("it was sent").1 = headers.unwrap_or_else(|| serde_json::json!([]));
        self
    }

    /// Whether Kafka had it.
    pub(crate) fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    /// Changes a member of the source block.
    pub(crate) fn source(mut self, member: &str, value: impl Into<serde_json::Value>) -> Self {
        self.sent.as_mut().expect("it was sent").0[member] = value.into();
        self
    }

    /// A row of a whole snapshot, with its marker, at a place of the log.
    pub(crate) fn snapshot(self, marker: &str, lsn: u64) -> Self {
        self.source("snapshot", marker).source("lsn", lsn)
    }

    fn stored(&self, number: usize) -> (StoredEvent, Option<Arc<RowSchema>>) {
        let mut event = self.event.clone();
        let (moved_from, moved_to, whole_before) = self.metadata.clone();
        let metadata = Metadata { moved_from, moved_to, whole_before, ..Metadata::default() };
        event.metadata = serde_json::to_string(&metadata).unwrap();
        if let Some((source, headers)) = &self.sent {
            let mut json: serde_json::Value = serde_json::from_str(&event.metadata).unwrap();
            json["source"] = source.clone();
            json["headers"] = headers.clone();
            if event.aggregate_id.is_some() {
                json["key"] = serde_json::json!({ "id": event.aggregate_id });
            }
            event.metadata = json.to_string();
        }
        let digest = [event.before.as_deref(), event.after.as_deref()].map(|row| row.map(str::as_bytes));
        let letter = event.operation.map_or("-", Operation::letter);
        let place = event.source_position.as_ref().map(|place| format!("{place:?}"));
        let offset = event.source_position.is_none().then(|| event.coordinates.offset.to_string());
        if event.is_control() {
            let recorded_at = at(1_000_000 + number as i64);
            return (StoredEvent { position: position(number), recorded_at, event }, None);
        }
        event.id = Identity::log()
            .text(place.as_deref())
            .text(offset.as_deref())
            .text(event.transaction_id.as_deref())
            .text(event.aggregate_id.as_deref())
            .text(Some(letter))
            .digest(digest[0])
            .digest(digest[1])
            .id();
        event.schema_id = self.schema.as_ref().map(RowSchema::id);
        let recorded_at = at(1_000_000 + number as i64);
        (StoredEvent { position: position(number), recorded_at, event }, self.schema.clone().map(Arc::new))
    }
}

/// The events in the store, the first at position 1, and the schemas they refer to.
pub(crate) fn store(told: &[Told]) -> (Vec<StoredEvent>, Schemas) {
    let mut schemas = Schemas::default();
    let events = told
        .iter()
        .enumerate()
        .map(|(index, told)| {
            let (event, schema) = told.stored(index + 1);
            schema.into_iter().for_each(|schema| schemas.insert(schema));
            event
        })
        .collect();
    (events, schemas)
}

/// Folds a story, in one batch and event by event, which must be the same.
pub(crate) fn fold(told: &[Told]) -> InMemory {
    let (events, schemas) = store(told);
    let mut at_once = InMemory::default();
    at_once.fold(&events, &schemas);
    let mut one_by_one = InMemory::default();
    for event in &events {
        one_by_one.fold(std::slice::from_ref(event), &schemas);
    }
    assert_eq!(at_once, one_by_one);
    at_once
}

/// An operator lets an origin go on, up to an epoch.
pub(crate) fn new_epoch(epoch: u32) -> Told {
    let said = NewEpoch { epoch, reason: "restored".into(), by: "me".into() };
    let event = said.event("postgresql/shop", at(0));
    Told { event, metadata: (None, None, false), schema: None, sent: None }
}

/// Folds a story as its origins say: in one batch and event by event, what is read again at once and one by one, all of
/// which must be the same.
pub(crate) fn fold_with_origins(told: &[Told]) -> (InMemory, Origins) {
    let (events, schemas) = store(told);
    let (mut at_once, mut origins) = (InMemory::default(), Origins::default());
    at_once.fold_log(&mut origins, &events, 0..events.len(), usize::MAX, &schemas);
    let (mut one_by_one, mut again) = (InMemory::default(), Origins::default());
    for index in 0..events.len() {
        one_by_one.fold_log(&mut again, &events, index..index + 1, 1, &schemas);
        again = Origins::from_bytes(&again.to_bytes()).expect("it was just written");
    }
    assert_eq!(at_once, one_by_one);
    origins.take_changed();
    assert_eq!(origins, again);
    (at_once, origins)
}

/// The event of a story with this number, as its id.
pub(crate) fn id_of(told: &[Told], number: usize) -> EventId {
    told[number - 1].stored(number).0.event.id
}

impl InMemory {
    /// The row at a moment, as everything recorded says.
    pub(crate) fn row(&self, id: &str, second: i64) -> Option<&str> {
        self.shown_at(id, second, Position::MAX)
    }

    /// The row at a moment, as what was recorded by the event with this number said.
    pub(crate) fn shown_at(&self, id: &str, second: i64, by: Position) -> Option<&str> {
        self.as_of(id, at(second), by)?.shown().map(|row| row.json.as_str())
    }

    /// The records of an aggregate in order.
    pub(crate) fn told(&self, id: &str) -> Vec<&Record> {
        self.records.get(id).into_iter().flat_map(|records| records.values()).collect()
    }

    /// The versions of a row now: from which second, and what.
    pub(crate) fn versions(&self, id: &str) -> Vec<(i64, Option<&str>)> {
        let mut versions: Vec<(i64, Option<&str>)> = Vec::new();
        let mut since = None;
        let records = self.told(id);
        for (index, record) in records.iter().enumerate() {
            let is_last_of_instant = records.get(index + 1).is_none_or(|next| next.valid_from > record.valid_from);
            if is_last_of_instant && since != Some(record.since) {
                since = Some(record.since);
                let from = record.since.valid_from.as_micros() / 1_000_000;
                versions.push((from, record.shown().map(|row| row.json.as_str())));
            }
        }
        versions
    }
}
