//! A keeper's record as an entry of the view store, and back.
//!
//! The row that a record shows is the entry's row, so that reads find it without knowing what a record is. The
//! entry's opaque memory is the aggregate's number of events (u64 big-endian, 0 but for its newest record) and the
//! rest of the record.

use std::sync::Arc;

use deltafold_relation::{Last, Record};
use deltafold_view::{Entry, Stored};

use crate::ProjectorError;

/// The entry of a record.
pub(crate) fn to_stored(record: &Record) -> Stored {
    encode(record, 0)
}

/// The entry of an aggregate's newest record.
pub(crate) fn last_to_stored(last: &Last) -> Stored {
    encode(&last.record, last.revisions)
}

fn encode(record: &Record, revisions: u64) -> Stored {
    let mut memory = revisions.to_be_bytes().to_vec();
    memory.extend_from_slice(&record.to_bytes());
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
        memory: &memory,
    })
}

/// The record of an entry.
///
/// # Errors
/// When the entry was not written by a keeper.
pub fn to_record(view: &str, stored: &Stored) -> Result<Record, ProjectorError> {
    Ok(Record::clone(&to_last(view, stored)?.record))
}

/// The newest record of an aggregate, from its current entry.
pub(crate) fn to_last(view: &str, stored: &Stored) -> Result<Last, ProjectorError> {
    let entry = stored.entry();
    let damaged = |what: String| ProjectorError::Memory { view: view.to_owned(), what };
    let (revisions, record) =
        entry.memory.split_first_chunk::<8>().ok_or_else(|| damaged("an entry has no record".to_owned()))?;
    let record = Record::from_bytes(record, entry.row).map_err(|error| damaged(error.to_string()))?;
    Ok(Last { record: Arc::new(record), revisions: u64::from_be_bytes(*revisions) })
}
