//! Arrow columns to events.

use std::sync::Arc;

use arrow::{
    array::{
        Array, AsArray, BinaryViewArray, Int32Array, Int64Array, RecordBatch, StringViewArray,
        TimestampMicrosecondArray,
    },
    datatypes::{Int32Type, Int64Type, TimestampMicrosecondType},
};
use deltafold_event::{
    Coordinates, Event, EventId, Metadata, Operation, Position, SchemaId, SourcePosition, StoredEvent, Timestamp,
};
use uuid::Uuid;

use super::Interner;
use crate::{schema::column, table::file::DataFile};

/// The columns of a batch that holds all of the event table's.
#[derive(Debug)]
pub(crate) struct EventColumns {
    event_id: StringViewArray,
    aggregate_type: StringViewArray,
    aggregate_id: StringViewArray,
    event_type: StringViewArray,
    operation: StringViewArray,
    before: StringViewArray,
    after: StringViewArray,
    metadata: StringViewArray,
    source_position: BinaryViewArray,
    transaction_id: StringViewArray,
    occurred_at: TimestampMicrosecondArray,
    source: StringViewArray,
    topic: StringViewArray,
    partition: Int32Array,
    offset: Int64Array,
    schema_id: StringViewArray,
    committed_at: TimestampMicrosecondArray,
    /// Whether metadata is left out in which folding finds nothing.
    for_folding: bool,
}

/// The shared texts of the row before.
#[derive(Debug, Default)]
pub(crate) struct Last {
    pub(crate) aggregate_type: Option<Arc<str>>,
    event_type: Option<Arc<str>>,
    source: Option<Arc<str>>,
    topic: Option<Arc<str>>,
    transaction_id: Option<Arc<str>>,
}

impl EventColumns {
    /// What is missing or of another type is an error.
    pub(crate) fn of(batch: &RecordBatch) -> Result<Self, String> {
        let find = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("it has no column {name}"));
        let typed = |name: &str| format!("its column {name} has another type");
        let text = |name: &str| find(name)?.as_string_view_opt().cloned().ok_or_else(|| typed(name));
        let moment =
            |name: &str| find(name)?.as_primitive_opt::<TimestampMicrosecondType>().cloned().ok_or_else(|| typed(name));
        Ok(Self {
            event_id: text(column::EVENT_ID)?,
            aggregate_type: text(column::AGGREGATE_TYPE)?,
            aggregate_id: text(column::AGGREGATE_ID)?,
            event_type: text(column::EVENT_TYPE)?,
            operation: text("operation")?,
            before: text(column::BEFORE)?,
            after: text(column::AFTER)?,
            metadata: text(column::METADATA)?,
            source_position: find(column::SOURCE_POSITION)?
                .as_binary_view_opt()
                .cloned()
                .ok_or_else(|| typed(column::SOURCE_POSITION))?,
            transaction_id: text("transaction_id")?,
            occurred_at: moment(column::OCCURRED_AT)?,
            source: text("source")?,
            topic: text("topic")?,
            partition: find("partition")?.as_primitive_opt::<Int32Type>().cloned().ok_or_else(|| typed("partition"))?,
            offset: find(column::OFFSET)?
                .as_primitive_opt::<Int64Type>()
                .cloned()
                .ok_or_else(|| typed(column::OFFSET))?,
            schema_id: text("schema_id")?,
            committed_at: moment(column::COMMITTED_AT)?,
            for_folding: false,
        })
    }

    /// Leaves out of the events what folding does not look at: of most of them the metadata, half of an event.
    pub(crate) fn for_folding(self) -> Self {
        Self { for_folding: true, ..self }
    }

    /// Whose event is in a row: aggregate type and id.
    pub(crate) fn aggregate(&self, row: usize) -> (&str, Option<&str>) {
        let id = self.aggregate_id.is_valid(row).then(|| self.aggregate_id.value(row));
        (self.aggregate_type.value(row), id)
    }

    /// The event in a row. The texts of `spare`, an event that nobody needs, are written over.
    pub(crate) fn event(
        &self,
        row: usize,
        position: Position,
        file: &DataFile,
        interner: &mut Interner,
        last: &mut Last,
        spare: Option<StoredEvent>,
    ) -> Result<StoredEvent, String> {
        let spare = Spare::of(spare);
        let owned = |texts: &StringViewArray, spare: Option<String>| {
            texts.is_valid(row).then(|| written(texts.value(row), spare))
        };
        let id = Uuid::try_parse(self.event_id.value(row)).map_err(|error| format!("row {row}: {error}"))?;
        let operation = match self.operation.is_valid(row).then(|| self.operation.value(row)) {
            None => None,
            Some(letter) => {
                let known = Operation::from_letter(letter);
                Some(known.ok_or_else(|| format!("row {row} has the operation {letter:?}"))?)
            }
        };
        let mut shared = |texts: &StringViewArray, last: &mut Option<Arc<str>>, spare: Option<Arc<str>>| {
            let text = texts.value(row);
            spare.filter(|spare| **spare == *text).unwrap_or_else(|| interner.text(text, last))
        };
        let aggregate_type = shared(&self.aggregate_type, &mut last.aggregate_type, spare.aggregate_type);
        let event_type = shared(&self.event_type, &mut last.event_type, spare.event_type);
        let source = shared(&self.source, &mut last.source, spare.source);
        let topic = shared(&self.topic, &mut last.topic, spare.topic);
        let schema_id = self.schema_id.is_valid(row).then(|| self.schema_id.value(row));
        let schema_id = schema_id.and_then(|digits| match spare.schema_id.filter(|spare| spare.as_str() == digits) {
            Some(spare) => Some(spare),
            None => interner.schema(digits),
        });
        // Its other events mostly follow.
        let transaction_id = self.transaction_id.is_valid(row).then(|| self.transaction_id.value(row));
        let transaction_id = transaction_id.map(|text| match &last.transaction_id {
            Some(last) if **last == *text => last.clone(),
            _ => last.transaction_id.insert(text.into()).clone(),
        });
        let metadata = match self.metadata.value(row) {
            plain if self.for_folding && Metadata::is_plain(plain) => "{}",
            metadata => metadata,
        };
        let event = Event {
            id: EventId::from_bytes(*id.as_bytes()),
            aggregate_type,
            aggregate_id: owned(&self.aggregate_id, spare.aggregate_id),
            event_type,
            operation,
            before: owned(&self.before, spare.before),
            after: owned(&self.after, spare.after),
            metadata: written(metadata, spare.metadata),
            source_position: self
                .source_position
                .is_valid(row)
                .then(|| SourcePosition::from_bytes(self.source_position.value(row))),
            transaction_id,
            occurred_at: Timestamp::from_micros(self.occurred_at.value(row)),
            coordinates: Coordinates {
                source,
                topic,
                partition: self.partition.value(row),
                offset: self.offset.value(row),
            },
            schema_id,
        };
        Ok(StoredEvent { position, recorded_at: self.recorded_at(row, file), event })
    }

    fn recorded_at(&self, row: usize, file: &DataFile) -> Timestamp {
        if self.committed_at.is_valid(row) {
            Timestamp::from_micros(self.committed_at.value(row))
        } else {
            file.committed_at
        }
    }
}

/// What can be used again of an event: its texts' memory, and its hold on shared texts, the same as in the next event
/// most of the time. (Counting holds on one thread and off on another makes both wait.)
#[derive(Default)]
struct Spare {
    aggregate_type: Option<Arc<str>>,
    aggregate_id: Option<String>,
    event_type: Option<Arc<str>>,
    before: Option<String>,
    after: Option<String>,
    metadata: Option<String>,
    source: Option<Arc<str>>,
    topic: Option<Arc<str>>,
    schema_id: Option<SchemaId>,
}

impl Spare {
    fn of(stored: Option<StoredEvent>) -> Self {
        let Some(StoredEvent { event, .. }) = stored else { return Self::default() };
        Self {
            aggregate_type: Some(event.aggregate_type),
            aggregate_id: event.aggregate_id,
            event_type: Some(event.event_type),
            before: event.before,
            after: event.after,
            metadata: Some(event.metadata),
            source: Some(event.coordinates.source),
            topic: Some(event.coordinates.topic),
            schema_id: event.schema_id,
        }
    }
}

/// How much memory of a text is used again: with more, every event would come to hold on to as much as the largest.
const SPARE_BYTES: usize = 1_024;

/// A copy of `text`, over `spare` if there is one.
fn written(text: &str, spare: Option<String>) -> String {
    match spare.filter(|spare| spare.capacity() <= SPARE_BYTES) {
        Some(mut spare) => {
            text.clone_into(&mut spare);
            spare
        }
        None => text.to_owned(),
    }
}

/// The positions of a batch's rows: from the column where compaction filled it, else from the commit (D3).
pub(crate) fn positions(batch: &RecordBatch, file: &DataFile) -> Result<Vec<Position>, String> {
    if file.compacted {
        let column = batch.column_by_name(column::POSITION).and_then(|column| column.as_primitive_opt::<Int64Type>());
        let column = column.ok_or("it has no positions")?;
        let position = |number: Option<i64>| {
            let number = number.ok_or("a row has no position")?;
            Position::from_i64(number).map_err(|error| error.to_string())
        };
        column.iter().map(position).collect()
    } else {
        let column = batch.column_by_name(column::ORDINAL).and_then(|column| column.as_primitive_opt::<Int32Type>());
        let version = file.first.version();
        let position = |ordinal: &i32| {
            let ordinal = u32::try_from(*ordinal).map_err(|error| error.to_string())?;
            Position::new(version, ordinal).map_err(|error| error.to_string())
        };
        column.ok_or("it has no ordinals")?.values().iter().map(position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_text_s_memory_is_not_kept_for_small_ones() {
        let large = "x".repeat(1 << 20);
        let kept = written(&large, Some("small".to_owned()));
        assert_eq!(kept, large);
        let small = written("small", Some(kept));
        assert_eq!(small, "small");
        assert!(small.capacity() <= SPARE_BYTES, "{} bytes for a small text", small.capacity());
    }
}
