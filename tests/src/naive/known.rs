//! Which distinct events there are, and where each stands.

use std::collections::BTreeMap;

use deltafold_event::{Event, Operation, Position, StoredEvent};
use serde_json::Value;

use super::Schemas;

/// Where an event stands: log events by source position, then offset; a change of the key just before the event
/// that shows it; an event without a position directly after what it was anchored to, by arrival.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    source: Vec<u8>,
    offset: i64,
    /// How many changes of the key stand here before it, or are it.
    rekeys: u32,
    arrival: Option<Position>,
}

impl Place {
    /// The change of the key just before a log event.
    fn before_log(&self) -> Self {
        Self { offset: self.offset - 1, rekeys: 1, ..self.clone() }
    }

    /// A change of the key directly after everything up to here.
    fn rekey_after(&self) -> Self {
        Self { rekeys: self.rekeys + 1, arrival: None, ..self.clone() }
    }
}

/// A distinct event.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) event: &'a Event,
    /// Of its first delivery.
    pub(super) position: Position,
    pub(super) place: Place,
    /// The columns of the type's key, as its schema has them.
    pub(super) key: Option<&'a [String]>,
    /// Without a position, and the first to show these key columns.
    reveals_key: bool,
    /// Of a create: the key that the row had before.
    pub(super) moved_from: Option<String>,
    pub(super) whole_before: bool,
}

impl Known<'_> {
    pub(super) fn is_log(&self) -> bool {
        self.event.source_position.is_some()
    }

    pub(super) fn is_truncate(&self) -> bool {
        self.event.operation == Some(Operation::Truncate)
    }
}

/// The rows on record get new keys at this event.
#[derive(Debug, Clone)]
pub(super) struct Rekey {
    /// Which event of the list that was given shows it.
    pub(super) at: usize,
    pub(super) place: Place,
    pub(super) columns: Vec<String>,
}

/// Goes through the deliveries and keeps each event once, at its first, with the lowest offset of all.
pub(super) fn distinct<'a>(deliveries: impl Iterator<Item = &'a StoredEvent>, schemas: &'a Schemas) -> Vec<Known<'a>> {
    let mut known: Vec<Known<'a>> = Vec::new();
    for StoredEvent { position, event, .. } in deliveries {
        if let Some(first) = known.iter_mut().find(|known| known.event.id == event.id) {
            if first.is_log() {
                first.place.offset = first.place.offset.min(event.coordinates.offset);
            }
            continue;
        }
        let key = event.schema_id.as_ref().and_then(|id| schemas.get(id)).map(|schema| schema.key());
        let metadata: BTreeMap<String, Value> = serde_json::from_str(&event.metadata).unwrap_or_default();
        let mut next = Known {
            event,
            position: *position,
            place: Place::default(),
            key: key.filter(|columns| !columns.is_empty()),
            reveals_key: false,
            moved_from: metadata.get("moved_from").and_then(Value::as_str).map(str::to_owned),
            whole_before: metadata.get("whole_before") == Some(&Value::Bool(true)),
        };
        match &event.source_position {
            Some(source) => {
                next.place.source = source.as_bytes().to_vec();
                next.place.offset = event.coordinates.offset;
            }
            None => {
                next.reveals_key = next.key.is_some()
                    && known.iter().any(|known| known.key.is_some())
                    && known.iter().all(|known| known.key != next.key);
                let anchor = anchor(&known, &next);
                let anchor = if next.reveals_key { anchor.rekey_after() } else { anchor };
                next.place = Place { arrival: Some(*position), ..anchor };
            }
        }
        known.push(next);
    }
    known
}

/// What an event without a position stands directly after: the last event of its aggregate. Truncates and
/// changes of the key are events of every aggregate of the type.
fn anchor(known: &[Known<'_>], next: &Known<'_>) -> Place {
    let own = known
        .iter()
        .filter(|other| next.reveals_key || other.is_truncate() || other.event.aggregate_id == next.event.aggregate_id);
    let own = own.map(|other| other.place.clone());
    own.chain(rekeys(known).into_iter().map(|rekey| rekey.place)).max().unwrap_or_default()
}

/// Where the columns of the key change, in order.
pub(super) fn rekeys(known: &[Known<'_>]) -> Vec<Rekey> {
    let mut telling: Vec<(&Place, usize, &[String])> =
        known.iter().enumerate().filter_map(|(at, event)| Some((&event.place, at, event.key?))).collect();
    // Both halves of a move stand at one source position, maybe at one offset of two partitions.
    telling.sort_by_key(|(place, at, _)| (*place, known[*at].event.id));
    let mut found = Vec::new();
    let Some(mut in_force) = telling.first().map(|(_, _, columns)| *columns) else { return found };
    for (place, at, columns) in telling {
        if columns != in_force && (known[at].is_log() || known[at].reveals_key) {
            let place = if known[at].is_log() { place.before_log() } else { Place { arrival: None, ..place.clone() } };
            found.push(Rekey { at, place, columns: columns.to_vec() });
            in_force = columns;
        }
    }
    found
}
