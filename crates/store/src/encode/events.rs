//! A batch of events, sorted, as a file.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Int32Array, Int64Array, RecordBatch, StringBuilder, TimestampMicrosecondArray,
        new_null_array,
    },
    error::ArrowError,
};
use deltafold_event::Event;
use parquet::errors::ParquetError;
use uuid::Uuid;

use super::{
    Encoded,
    parquet_file::{PIECE_ROWS, write},
};
use crate::schema::EVENTS;

/// The file of a commit: the events in the order of the table (D4): aggregate type and id, then source position, then
/// arrival. The ordinals are those of `events`.
pub(crate) fn events(events: &[Event]) -> Result<Encoded, ParquetError> {
    let order = sorted(events);
    write(EVENTS.clone(), events.len(), order.chunks(PIECE_ROWS).map(|order| piece(events, order)))
}

/// Some of the events as Arrow columns.
fn piece(events: &[Event], order: &[u32]) -> Result<RecordBatch, ArrowError> {
    let rows = || order.iter().map(|&row| &events[row as usize]);
    let text = |of: fn(&Event) -> Option<&str>| {
        let bytes = rows().map(|event| of(event).map_or(0, str::len)).sum();
        let mut column = StringBuilder::with_capacity(order.len(), bytes);
        for event in rows() {
            column.append_option(of(event));
        }
        Arc::new(column.finish()) as ArrayRef
    };
    let mut positions = BinaryBuilder::with_capacity(order.len(), order.len() * 9);
    for event in rows() {
        positions.append_option(event.source_position.as_ref().map(|position| position.as_bytes()));
    }
    let nothing = |name: &str| {
        let field = EVENTS.field_with_name(name).expect("a column of the table");
        new_null_array(field.data_type(), order.len())
    };
    let occurred = TimestampMicrosecondArray::from_iter_values(rows().map(|event| event.occurred_at.as_micros()));
    let columns: Vec<ArrayRef> = vec![
        ids(rows(), order.len()),
        text(|event| Some(&event.aggregate_type)),
        text(|event| event.aggregate_id.as_deref()),
        text(|event| Some(&event.event_type)),
        text(|event| event.operation.map(|operation| operation.letter())),
        text(|event| event.before.as_deref()),
        text(|event| event.after.as_deref()),
        text(|event| Some(&event.metadata)),
        Arc::new(positions.finish()),
        text(|event| event.transaction_id.as_deref()),
        Arc::new(occurred.with_timezone("UTC")),
        text(|event| Some(&event.coordinates.source)),
        text(|event| Some(&event.coordinates.topic)),
        Arc::new(Int32Array::from_iter_values(rows().map(|event| event.coordinates.partition))),
        Arc::new(Int64Array::from_iter_values(rows().map(|event| event.coordinates.offset))),
        text(|event| event.schema_id.as_ref().map(|id| id.as_str())),
        Arc::new(Int32Array::from_iter_values(order.iter().map(|&row| row as i32))),
        nothing(crate::schema::column::POSITION),
        nothing(crate::schema::column::COMMITTED_AT),
    ];
    RecordBatch::try_new(EVENTS.clone(), columns)
}

fn ids<'a>(events: impl Iterator<Item = &'a Event>, count: usize) -> ArrayRef {
    let mut column = StringBuilder::with_capacity(count, count * 36);
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    for event in events {
        column.append_value(Uuid::from_bytes(*event.id.as_bytes()).hyphenated().encode_lower(&mut text));
    }
    Arc::new(column.finish())
}

/// What decides most comparisons without following a pointer.
struct SortKey {
    aggregate_type: u32,
    row: u32,
    /// The first eight bytes of the aggregate id.
    id_start: u64,
}

/// The rows' indices in the table's order.
fn sorted(events: &[Event]) -> Vec<u32> {
    let mut ranks: BTreeMap<&str, u32> = events.iter().map(|event| (&*event.aggregate_type, 0)).collect();
    for (rank, value) in ranks.values_mut().enumerate() {
        *value = rank as u32;
    }
    let mut keys: Vec<SortKey> = Vec::with_capacity(events.len());
    let mut last = ("", 0);
    for (row, event) in events.iter().enumerate() {
        if last.0 != &*event.aggregate_type || row == 0 {
            last = (&event.aggregate_type, ranks[&*event.aggregate_type]);
        }
        let id_start = event.aggregate_id.as_deref().map_or(0, start);
        keys.push(SortKey { aggregate_type: last.1, row: row as u32, id_start });
    }
    keys.sort_unstable_by(|one, other| {
        let (left, right) = (&events[one.row as usize], &events[other.row as usize]);
        (one.aggregate_type, one.id_start)
            .cmp(&(other.aggregate_type, other.id_start))
            .then_with(|| left.aggregate_id.cmp(&right.aggregate_id))
            .then_with(|| left.source_position.cmp(&right.source_position))
            .then_with(|| one.row.cmp(&other.row))
    });
    keys.into_iter().map(|key| key.row).collect()
}

fn start(id: &str) -> u64 {
    let mut bytes = [0; 8];
    let length = id.len().min(8);
    bytes[..length].copy_from_slice(&id.as_bytes()[..length]);
    u64::from_be_bytes(bytes)
}

/// About how many bytes the events take in memory.
pub(crate) fn raw_bytes(events: &[Event]) -> usize {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    let each = |event: &Event| {
        size_of::<Event>()
            + length(event.aggregate_id.as_deref())
            + length(event.before.as_deref())
            + length(event.after.as_deref())
            + event.metadata.len()
            + length(event.transaction_id.as_deref())
            + event.source_position.as_ref().map_or(0, |position| position.as_bytes().len())
    };
    events.iter().map(each).sum()
}
