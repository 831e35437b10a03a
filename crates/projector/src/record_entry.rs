//! A keeper's record as an entry of the view store, and back.
//!
//! The row that a record shows is the entry's row, so that reads find it without knowing what a record is; the
//! rest of the record is the entry's opaque memory.

use deltafold_relation::{Last, Record};
use deltafold_view::{Entry, Stored};

use crate::ProjectorError;

/// The entry of a record.
pub(crate) fn to_stored(record: &Record) -> Stored {
    entry(record, &record.to_bytes())
}

/// The current entry of an aggregate, from its newest record.
pub(crate) fn last_to_stored(last: &Last) -> Stored {
    entry(&last.record, &last.to_bytes())
}

fn entry(record: &Record, memory: &[u8]) -> Stored {
    Stored::new(&Entry {
        valid_from: record.valid_from,
        order: &record.order.to_bytes(),
        recorded_from: record.recorded_from,
        since_valid_from: record.since.valid_from,
        since_recorded_from: record.since.recorded_from,
        event: Some(record.since.id),
        revision: record.revision,
        position: record.position,
        incomplete: record.shown().is_some_and(|row| row.incomplete),
        row: record.shown().map(|row| row.json.as_str()),
        memory,
    })
}

/// The record of an entry on record; not of a current entry.
///
/// # Errors
/// When the entry was not written by a keeper.
pub fn to_record(view: &str, stored: &Stored) -> Result<Record, ProjectorError> {
    let entry = stored.entry();
    Record::from_bytes(entry.memory, entry.row)
        .map_err(|error| ProjectorError::Memory { view: view.to_owned(), what: error.to_string() })
}

/// The newest record of an aggregate, from its current entry.
pub(crate) fn to_last(view: &str, stored: &Stored) -> Result<Last, ProjectorError> {
    let entry = stored.entry();
    Last::from_bytes(entry.memory, entry.row)
        .map_err(|error| ProjectorError::Memory { view: view.to_owned(), what: error.to_string() })
}
