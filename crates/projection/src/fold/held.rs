//! Changes of keys that cannot be shown before all that follows from what changed is there.
//!
//! | key | value |
//! |---|---|
//! | `FF FF`, `H`, key | the changes |
//!
//! No operator has that number.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::EventId;
use serde::{Deserialize, Serialize};

use super::{
    Writes,
    error::Fault,
    keys::{begin, end},
    versions::Change,
};
use crate::memory::{Memory, Pair};

/// The changes of a key.
pub(super) type OfKey = (Arc<str>, Vec<Change>);

const HELD: u8 = b'H';
const NO_OPERATOR: u16 = 0x7FFF;

/// A row that came or went, as it is remembered.
#[derive(Serialize, Deserialize)]
struct Held {
    at: i64,
    row: Arc<str>,
    weight: i64,
    event: EventId,
}

fn all() -> Vec<u8> {
    begin(NO_OPERATOR, HELD, &[])
}

/// Whether changes of any key are held.
pub(super) fn are_any<M: Memory>(memory: &M) -> Result<bool, Fault<M::Error>> {
    let first = memory.range(&all(), &end(&all())).next().transpose().map_err(Fault::Memory)?;
    Ok(first.is_some())
}

/// Those of these keys; once nothing more follows, all of them.
pub(super) fn read<M: Memory, T>(
    keys: &BTreeMap<Arc<str>, T>,
    are_any: bool,
    memory: &M,
    writes: &mut Writes,
) -> Result<Vec<OfKey>, Fault<M::Error>> {
    let mut found: Vec<Pair> = Vec::new();
    match (are_any, writes.is_part) {
        (false, _) => {}
        (true, false) => {
            for pair in memory.range(&all(), &end(&all())) {
                found.push(pair.map_err(Fault::Memory)?);
            }
        }
        (true, true) => {
            for key in keys.keys() {
                let of_key = [&all()[..], key.as_bytes()].concat();
                let held = memory.get(&of_key).map_err(Fault::Memory)?;
                found.extend(held.map(|held| (of_key.into(), held)));
            }
        }
    }
    let changes = |(of_key, held): Pair| {
        let key: Arc<str> = str::from_utf8(&of_key[all().len()..]).map_err(|_| Fault::Damaged)?.into();
        let held: Vec<Held> = postcard::from_bytes(&held).map_err(|_| Fault::Damaged)?;
        let change = |Held { at, row, weight, event }| Change {
            key: Arc::clone(&key),
            at,
            row,
            weight,
            cause: writes.cause(event),
        };
        let changes = held.into_iter().map(change).collect();
        Ok((key, changes))
    };
    found.into_iter().map(changes).collect()
}

/// Holds changes of a key, or none of it any more.
pub(super) fn put(key: &str, changes: &[Change], writes: &mut Writes) {
    let held = |change: &Change| Held {
        at: change.at,
        row: Arc::clone(&change.row),
        weight: change.weight,
        event: writes.event(change.cause),
    };
    let held: Vec<Held> = changes.iter().map(held).collect();
    let value = (!held.is_empty()).then(|| postcard::to_allocvec(&held).expect("all of it can be written"));
    writes.put([&all()[..], key.as_bytes()].concat(), value);
}
