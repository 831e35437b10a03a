//! A keeper's record as an entry of the view store, and back.
//!
//! What reads need is the entry's, so that they find it without knowing what a record is; the rest of the record is the
//! entry's opaque memory.

use deltafold_event::OrderKey;
use deltafold_relation::{Beside, Last, Record, RecordError, Since};
use deltafold_view::{Entry, Stored};

use crate::ProjectorError;

/// The entry of a record.
pub(crate) fn to_stored(record: &Record) -> Stored {
    laid_out(record, &record.to_bytes(), Stored::new)
}

/// The entry of an aggregate's newest record, and its current entry, which shares the bytes.
pub(crate) fn last_to_stored(last: &Last) -> (Stored, Stored) {
    laid_out(&last.record, &last.record.to_bytes(), |entry| Stored::with_more_memory(entry, &last.tail_bytes()))
}

fn laid_out<T>(record: &Record, memory: &[u8], lay_out: impl FnOnce(&Entry<'_>) -> T) -> T {
    let Beside { order, valid_from, recorded_from, position, revision, since, shown } = record.beside();
    lay_out(&Entry {
        valid_from,
        order: &order.to_bytes(),
        recorded_from,
        since_valid_from: since.valid_from,
        since_recorded_from: since.recorded_from,
        event: Some(since.id),
        revision,
        position,
        incomplete: record.shown().is_some_and(|row| row.incomplete),
        row: shown,
        memory,
    })
}

fn beside<'a>(entry: &Entry<'a>) -> Result<Beside<'a>, RecordError> {
    let damaged = |what: &str| RecordError::Damaged(what.to_owned());
    Ok(Beside {
        order: OrderKey::from_bytes(entry.order).ok_or_else(|| damaged("its order is none"))?,
        valid_from: entry.valid_from,
        recorded_from: entry.recorded_from,
        position: entry.position,
        revision: entry.revision,
        since: Since {
            valid_from: entry.since_valid_from,
            recorded_from: entry.since_recorded_from,
            id: entry.event.ok_or_else(|| damaged("no event began it"))?,
        },
        shown: entry.row,
    })
}

/// The record of an entry on record; not of a current entry.
///
/// # Errors
/// When the entry was not written by a keeper.
pub fn to_record(view: &str, stored: &Stored) -> Result<Record, ProjectorError> {
    read(view, stored, Record::from_bytes)
}

/// The newest record of an aggregate, from its current entry.
pub(crate) fn to_last(view: &str, stored: &Stored) -> Result<Last, ProjectorError> {
    read(view, stored, Last::from_bytes)
}

fn read<T>(
    view: &str,
    stored: &Stored,
    from_bytes: impl FnOnce(&[u8], Beside<'_>) -> Result<T, RecordError>,
) -> Result<T, ProjectorError> {
    let entry = stored.entry();
    beside(&entry)
        .and_then(|beside| from_bytes(entry.memory, beside))
        .map_err(|error| ProjectorError::Memory { view: view.to_owned(), what: error.to_string() })
}
