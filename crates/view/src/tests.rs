//! Behaviour of the store as a whole.

mod indexes;
mod model;
mod opening;
mod pending;
mod reading;
mod snapshots;
mod tables;
mod touched;

use deltafold_event::{Position, Timestamp};
use tempfile::TempDir;

use crate::{Entry, Mirror, Options, Stored, ViewStore};

fn small() -> Options {
    Options {
        row_cache_bytes: 64 << 10,
        history_cache_bytes: 64 << 10,
        block_cache_bytes: 1 << 20,
        memtable_bytes: 1 << 20,
        unwritten_bytes: 4 << 20,
        worker_threads: 1,
    }
}

fn open() -> (TempDir, ViewStore) {
    let dir = tempfile::tempdir().unwrap();
    let views = ViewStore::open(dir.path(), small()).unwrap();
    (dir, views)
}

fn position(number: i64) -> Position {
    Position::from_i64(number).unwrap()
}

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// An order: eight bytes, so that none begins with another.
fn order(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// An entry at `(valid_from, at)`, recorded at `at`, that begins a version of its own.
fn entry(valid_from: i64, at: i64, row: Option<&str>) -> Stored {
    let order = order(at as u64);
    Stored::new(&Entry { row, ..Entry::absent(moment(valid_from), &order, position(at)) })
}

/// Appends an entry as the aggregate's newest.
fn append(views: &ViewStore, mirror: &Mirror, aggregate: &str, stored: &Stored) {
    let mut batch = views.batch();
    let recorded_from = stored.entry().recorded_from;
    if let Some(before) = views.written().reader(mirror).last(aggregate).unwrap() {
        batch.put_head(mirror, aggregate, recorded_from, before.coordinate(), false).unwrap();
    }
    batch.put_entry(mirror, aggregate, stored).unwrap();
    batch.put_current(mirror, aggregate, stored).unwrap();
    batch.put_checkpoint(mirror.name(), recorded_from.next());
    batch.commit().unwrap();
}
