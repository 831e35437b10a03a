//! Which distinct events there are, and where each stands.

use std::collections::BTreeMap;

use deltafold_event::{Event, EventId, Operation};
use serde_json::Value;

use super::{
    Schemas,
    resets::{Counted, SnapshotKey},
};

/// Where an event stands: log events by source position, then offset; a change of the key just before the event
/// that shows it; an event without a position directly after what it was anchored to, by arrival; a snapshot of a later
/// epoch just before its first row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    pub(super) epoch: u32,
    source: Vec<u8>,
    offset: i64,
    /// How many changes of the key stand here before it, or are it.
    rekeys: u32,
    /// Of what has no place in a log: how many deliveries came before it.
    arrival: Option<usize>,
    /// After what else is there: a truncate after changes, a snapshot's rows after where it begins.
    is_after: bool,
}

impl Place {
    /// The change of the key just before a log event.
    fn before_log(&self) -> Self {
        Self { offset: self.offset - 1, rekeys: 1, ..self.clone() }
    }

    /// A change of the key directly after everything up to here.
    fn rekey_after(&self) -> Self {
        Self { rekeys: self.rekeys + 1, arrival: None, is_after: false, ..self.clone() }
    }
}

/// A distinct event.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) event: &'a Event,
    /// How many deliveries came before its first.
    pub(super) arrived: usize,
    pub(super) place: Place,
    /// The columns of the type's key, as its schema has them.
    pub(super) key: Option<&'a [String]>,
    /// Without a position, and the first to show these key columns.
    reveals_key: bool,
    /// Of a create: the key that the row had before.
    pub(super) moved_from: Option<String>,
    /// Of a delete: whether the row has another key since.
    pub(super) is_moved: bool,
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

/// A snapshot of a later epoch.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    key: SnapshotKey,
    /// The first of its rows.
    pub(super) first: &'a Event,
    pub(super) place: Place,
    /// Whether it ends the rows before it.
    pub(super) is_complete: bool,
}

/// The rows on record get new keys at this event.
#[derive(Debug, Clone)]
pub(super) struct Rekey {
    /// Which event of the list that was given shows it.
    pub(super) at: usize,
    pub(super) place: Place,
    pub(super) columns: Vec<String>,
}

/// Goes through the deliveries and keeps each event of an epoch once, at its first, with the lowest offset of all.
pub(super) fn distinct<'a>(
    deliveries: impl Iterator<Item = Counted<'a>>,
    schemas: &'a Schemas,
) -> (Vec<Known<'a>>, Vec<Sweep<'a>>) {
    let mut known: Vec<Known<'a>> = Vec::new();
    let mut sweeps: Vec<Sweep<'a>> = Vec::new();
    // What stands in which epoch, by id.
    let mut seen: BTreeMap<(EventId, u32), usize> = BTreeMap::new();
    for (arrived, Counted { event, is_own, epoch, is_unsaid, snapshot }) in deliveries.enumerate() {
        if !is_own {
            sweeps.extend(begun(&known, &sweeps, event, epoch, snapshot, arrived));
            continue;
        }
        let older = if is_unsaid { 0 } else { epoch };
        if let Some(at) = (older..=epoch).rev().find_map(|epoch| seen.get(&(event.id, epoch))) {
            let first = &mut known[*at];
            if first.is_log() {
                first.place.offset = first.place.offset.min(event.coordinates.offset);
            }
            continue;
        }
        seen.insert((event.id, epoch), known.len());
        let key = event.schema_id.as_ref().and_then(|id| schemas.get(id)).map(|schema| schema.key());
        let metadata: BTreeMap<String, Value> = serde_json::from_str(&event.metadata).unwrap_or_default();
        let mut next = Known {
            event,
            arrived,
            place: Place::default(),
            key: key.filter(|columns| !columns.is_empty()),
            reveals_key: false,
            moved_from: metadata.get("moved_from").and_then(Value::as_str).map(str::to_owned),
            is_moved: metadata.contains_key("moved_to"),
            whole_before: metadata.get("whole_before") == Some(&Value::Bool(true)),
        };
        match &event.source_position {
            Some(source) => {
                next.place.epoch = epoch;
                next.place.source = source.as_bytes().to_vec();
                next.place.offset = event.coordinates.offset;
                next.place.is_after = next.is_truncate();
            }
            None => {
                next.reveals_key = next.key.is_some()
                    && known.iter().any(|known| known.key.is_some())
                    && known.iter().all(|known| known.key != next.key);
                sweeps.extend(begun(&known, &sweeps, event, epoch, snapshot, arrived));
                // What a database has in a later epoch comes later. What applications append is of none.
                let latest = if event.operation == Some(Operation::Read) { epoch } else { u32::MAX };
                let begin = Place { epoch, ..Place::default() };
                let swept = sweeps.iter().map(|sweep| sweep.place.clone());
                let places = anchors(&known, &next).chain(swept).filter(|place| place.epoch <= latest);
                let anchor = places.fold(begin, Place::max);
                let anchor = if next.reveals_key { anchor.rekey_after() } else { anchor };
                next.place = Place { arrival: Some(arrived), is_after: true, ..anchor };
            }
        }
        known.push(next);
    }
    (known, sweeps)
}

/// The snapshot that begins with an event, if one does: its first row of the type, or its last of all.
fn begun<'a>(
    known: &[Known<'_>],
    sweeps: &[Sweep<'_>],
    first: &'a Event,
    epoch: u32,
    snapshot: Option<(SnapshotKey, bool, Vec<u8>)>,
    arrived: usize,
) -> Option<Sweep<'a>> {
    let (key, is_complete, later) = snapshot?;
    let is_new = sweeps.iter().all(|sweep| sweep.key != key);
    is_new.then(|| Sweep { key, first, place: before_snapshot(known, sweeps, epoch, later, arrived), is_complete })
}

/// Where a snapshot stands that begins now: after all that is known of the type, but for later epochs and for what its
/// own epoch's log has from a place on.
fn before_snapshot(known: &[Known<'_>], sweeps: &[Sweep<'_>], epoch: u32, later: Vec<u8>, arrived: usize) -> Place {
    let beyond = if later.is_empty() { epoch + 1 } else { epoch };
    let limit = Place { epoch: beyond, source: later, offset: i64::MIN, ..Place::default() };
    let places = known.iter().map(|known| &known.place).chain(sweeps.iter().map(|sweep| &sweep.place));
    match places.filter(|place| **place < limit).max().filter(|place| place.epoch == epoch) {
        None => Place { epoch, ..Place::default() },
        Some(place) => Place { arrival: Some(arrived), is_after: false, ..place.clone() },
    }
}

/// What an event without a position stands directly after: the last of these, events of its aggregate. Truncates and
/// changes of the key are events of every aggregate of the type.
fn anchors<'k>(known: &'k [Known<'_>], next: &'k Known<'_>) -> impl Iterator<Item = Place> + 'k {
    let own = known
        .iter()
        .filter(|other| next.reveals_key || other.is_truncate() || other.event.aggregate_id == next.event.aggregate_id);
    let own = own.map(|other| other.place.clone());
    own.chain(rekeys(known).into_iter().map(|rekey| rekey.place))
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
            let place = if known[at].is_log() {
                place.before_log()
            } else {
                Place { arrival: None, is_after: false, ..place.clone() }
            };
            found.push(Rekey { at, place, columns: columns.to_vec() });
            in_force = columns;
        }
    }
    found
}
