//! The log as a relation: each event once, from when on it is valid.
//!
//! Which events count, and from when on, the mirrors know; what is in them, the log. A late event moves the valid time
//! of those that follow it in its aggregate: so events come and go here as rows do. Events of the store itself
//! (`$…`) are none of it.

use std::collections::BTreeMap;

use deltafold_event::{EventId, Position, StoredEvent, Timestamp};
use deltafold_projection::Change;
use deltafold_view::{Reader, Snapshot, Stored};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Log, ProjectorError, mirror::truncates};

/// An event that came (+1) or went (-1) at a moment, by the position of its first delivery.
pub(crate) type Moved = (Position, Timestamp, i8);

/// The same, with what is in it.
#[derive(Debug, Clone)]
pub(crate) struct LogChange {
    pub(crate) row: String,
    pub(crate) valid_from: Timestamp,
    pub(crate) weight: i8,
    pub(crate) event: EventId,
}

impl LogChange {
    /// As it is folded.
    pub(crate) fn change(&self) -> Change<'_> {
        Change { row: &self.row, valid_from: self.valid_from, weight: self.weight, event: self.event }
    }
}

/// Those that do not cancel each other out, by position.
pub(crate) fn settled(moved: impl IntoIterator<Item = Moved>) -> Vec<Moved> {
    let mut sums: BTreeMap<(Position, Timestamp), i64> = BTreeMap::new();
    for (position, valid_from, weight) in moved {
        *sums.entry((position, valid_from)).or_default() += i64::from(weight);
    }
    let left = sums.into_iter().filter(|(_, weight)| *weight != 0);
    left.map(|((position, valid_from), weight)| (position, valid_from, weight.signum() as i8)).collect()
}

/// What is in events that moved; `there` are some that need not be read.
pub(crate) fn with_rows(
    moved: &[Moved],
    there: &BTreeMap<Position, &StoredEvent>,
    log: &mut dyn Log,
) -> Result<Vec<LogChange>, ProjectorError> {
    let mut changes = Vec::with_capacity(moved.len());
    for (position, valid_from, weight) in moved {
        let read;
        let stored = match there.get(position) {
            Some(stored) => *stored,
            None => {
                read = log.read(*position, position.next(), 1)?;
                let Some(stored) = read.first() else { continue };
                stored
            }
        };
        changes.push(LogChange { row: row(stored), valid_from: *valid_from, weight: *weight, event: stored.event.id });
    }
    Ok(changes)
}

/// Reads pages of the log for what moved, which is in the order of positions.
pub(crate) fn read_rows(moved: &[Moved], log: &mut dyn Log) -> Result<Vec<LogChange>, ProjectorError> {
    const AT_ONCE: usize = 8_192;
    let mut changes = Vec::with_capacity(moved.len());
    let mut rest = moved;
    while let (Some((first, ..)), Some((last, ..))) = (rest.first(), rest.last()) {
        let page = log.read(*first, last.next(), AT_ONCE)?;
        let Some(end) = page.last().map(|last| last.position.next()) else { break };
        let there: BTreeMap<Position, &StoredEvent> = page.iter().map(|stored| (stored.position, stored)).collect();
        let (of_page, after) = rest.split_at(rest.partition_point(|(position, ..)| *position < end));
        let found: Vec<Moved> = of_page.iter().filter(|(position, ..)| there.contains_key(position)).copied().collect();
        changes.extend(with_rows(&found, &there, log)?);
        rest = after;
    }
    Ok(changes)
}

/// What is different in the log between what was believed until one position and until another, of events above a
/// position: the first so many by position, and whether there may be more.
pub(crate) fn differences(
    written: &Snapshot,
    from: Option<Position>,
    until: Position,
    above: Option<Position>,
    most: usize,
) -> Result<(Vec<Moved>, bool), ProjectorError> {
    let mut found: Vec<Moved> = Vec::new();
    let mut is_cut = false;
    let mut add = |moved: Moved, found: &mut Vec<Moved>| {
        if above.is_none_or(|above| moved.0 > above) {
            found.push(moved);
            if found.len() >= 4 * most {
                is_cut |= cut(found, most);
            }
        }
    };
    for mirror in written.mirrors() {
        let reader = written.reader(&mirror);
        for (end, weight) in from.map(|from| (from, -1)).into_iter().chain([(until, 1)]) {
            for entry in reader.beliefs(super::last_before(end)) {
                if let Some((position, valid_from)) = event_of(&entry?) {
                    add((position, valid_from, weight), &mut found);
                }
            }
            for (position, occurred_at) in truncates(written, &mirror)? {
                if position < end {
                    add((position, occurred_at, weight), &mut found);
                }
            }
        }
    }
    is_cut |= cut(&mut found, most);
    Ok((found, is_cut))
}

/// Leaves those of the lowest positions, all of a position or none, so many or a few more; whether others went.
fn cut(found: &mut Vec<Moved>, most: usize) -> bool {
    *found = settled(found.drain(..));
    let Some((last, ..)) = found.get(most.saturating_sub(1)).copied() else { return false };
    let before = found.len();
    found.retain(|(position, ..)| *position <= last);
    found.len() < before
}

/// The event of an entry, and from when on it is valid; none of what happened to the whole type.
pub(crate) fn event_of(stored: &Stored) -> Option<(Position, Timestamp)> {
    let entry = stored.entry();
    (entry.revision > 0).then_some((entry.position, entry.valid_from))
}

/// The event that stands at a place of an aggregate, as it is written.
pub(crate) fn there(
    reader: &Reader,
    aggregate: &str,
    valid_from: Timestamp,
    order: &[u8],
) -> Result<Option<(Position, Timestamp)>, ProjectorError> {
    let Some(stored) = reader.entries_from(aggregate, valid_from, order).next().transpose()? else { return Ok(None) };
    let entry = stored.entry();
    Ok(if entry.valid_from == valid_from && entry.order == order { event_of(&stored) } else { None })
}

#[derive(Serialize)]
struct Row<'e> {
    position: i64,
    event_id: EventId,
    aggregate_type: &'e str,
    aggregate_id: Option<&'e str>,
    event_type: &'e str,
    operation: Option<&'static str>,
    before: Option<&'e RawValue>,
    payload: Option<&'e RawValue>,
    metadata: Option<&'e RawValue>,
    transaction_id: Option<&'e str>,
    occurred_at: String,
    source: &'e str,
}

fn raw(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// An event as a row of the log.
fn row(stored: &StoredEvent) -> String {
    let event = &stored.event;
    let row = Row {
        position: stored.position.as_i64(),
        event_id: event.id,
        aggregate_type: &event.aggregate_type,
        aggregate_id: event.aggregate_id.as_deref(),
        event_type: &event.event_type,
        operation: event.operation.map(deltafold_event::Operation::letter),
        before: event.before.as_deref().and_then(raw),
        payload: event.after.as_deref().and_then(raw),
        metadata: raw(&event.metadata),
        transaction_id: event.transaction_id.as_deref(),
        occurred_at: event.occurred_at.to_string(),
        source: &event.coordinates.source,
    };
    serde_json::to_string(&row).expect("all of it is JSON")
}
