//! From the changes of a view's rows to the versions of its keys.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::Arc,
};

use arrow::array::RecordBatch;
use deltafold_event::{Position, Timestamp, aggregate_id, arrays::write_json};
use smallvec::SmallVec;

use super::{Writes, deltas::Deltas, error::Fault, held};
use crate::{
    definition::Column,
    memory::{Memory, Version},
};

/// What folding changes in what a view shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// Versions to write, by (key, valid from); one there is replaced.
    pub puts: Vec<(Arc<str>, Version)>,
    /// Versions to remove. None of them is also put.
    pub removals: Vec<(Arc<str>, Timestamp)>,
    /// Versions that were replaced or removed: they are not believed any more.
    pub superseded: Vec<(Arc<str>, Version)>,
    /// The newest version of each key that changed.
    pub newest: Vec<Newest>,
}

/// Which version of a key is the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newest {
    /// The key.
    pub key: Arc<str>,
    /// From when on the one was valid that was the newest before; none where there was none.
    pub before: Option<Timestamp>,
    /// The newest version now; none where there is none any more.
    pub now: Option<Version>,
}

impl Shown {
    fn lengths(&self) -> [usize; 4] {
        [self.puts.len(), self.removals.len(), self.superseded.len(), self.newest.len()]
    }

    /// What it was when it was so long.
    fn cut(&mut self, [puts, removals, superseded, newest]: [usize; 4]) {
        self.puts.truncate(puts);
        self.removals.truncate(removals);
        self.superseded.truncate(superseded);
        self.newest.truncate(newest);
    }
}

/// The view's columns, and which of them are its key.
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) key: Vec<usize>,
}

/// A row that came or went.
pub(super) struct Change {
    pub(super) key: Arc<str>,
    pub(super) at: i64,
    pub(super) row: Arc<str>,
    pub(super) weight: i64,
    pub(super) cause: u32,
}

/// The key of a row in which the only column of the key is null. (Of several, the JSON array has a null.)
const NULL_KEY: &str = "\0null";

impl Rows {
    /// The versions that follow from changes; what is new is believed from a position on.
    pub(crate) fn fold<M: Memory>(
        &self,
        deltas: &Deltas,
        recorded_from: Position,
        memory: &M,
    ) -> Result<Shown, Fault<M::Error>> {
        let mut changes = self.changes(deltas);
        changes.sort_by(|a, b| a.key.cmp(&b.key).then(a.at.cmp(&b.at)));
        let mut shown = Shown::default();
        for changes in changes.chunk_by(|a, b| a.key == b.key) {
            self.fold_key(changes, recorded_from, memory, &mut shown)?;
        }
        Ok(shown)
    }

    /// Likewise, of changes of which more may follow. Until all have, two rows may have one key: what changes there is held
    /// until it fits.
    pub(crate) fn fold_parts<M: Memory>(
        &self,
        deltas: &Deltas,
        recorded_from: Position,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<Shown, Fault<M::Error>> {
        let are_held = held::are_any(memory)?;
        if !are_held && !writes.is_part {
            return self.fold(deltas, recorded_from, memory);
        }
        let mut by_key: BTreeMap<Arc<str>, Vec<Change>> = BTreeMap::new();
        for change in self.changes(deltas) {
            by_key.entry(Arc::clone(&change.key)).or_default().push(change);
        }
        let mut were_held = BTreeSet::new();
        for (key, changes) in held::read(&by_key, are_held, memory, writes)? {
            were_held.insert(Arc::clone(&key));
            by_key.entry(key).or_default().extend(changes);
        }
        let mut shown = Shown::default();
        for (key, mut changes) in by_key {
            changes.sort_by_key(|change| change.at);
            let before = shown.lengths();
            match self.fold_key(&changes, recorded_from, memory, &mut shown) {
                Ok(()) if were_held.contains(&key) => held::put(&key, &[], writes),
                Err(Fault::Change { .. }) if writes.is_part => {
                    shown.cut(before);
                    held::put(&key, &changes, writes);
                }
                other => other?,
            }
        }
        Ok(shown)
    }

    fn changes(&self, deltas: &Deltas) -> Vec<Change> {
        let names: Vec<String> =
            self.columns.iter().map(|column| serde_json::Value::from(column.name.as_str()).to_string()).collect();
        let mut changes: Vec<Change> = Vec::with_capacity(deltas.len());
        let mut json = String::new();
        let mut ends = Vec::with_capacity(names.len());
        // Of the last row that was written and of the one before: the values of its key.
        let (mut of_key, mut of_last) = (String::new(), String::new());
        for row in 0..deltas.len() {
            let (at, weight, cause) = (deltas.at[row], deltas.weight[row], deltas.cause[row]);
            let last = changes.last();
            if let (true, Some(last)) = (deltas.same.as_ref().is_some_and(|same| same[row]), last) {
                changes.push(Change { key: Arc::clone(&last.key), row: Arc::clone(&last.row), at, weight, cause });
                continue;
            }
            json.clear();
            ends.clear();
            json.push('{');
            for (at, (column, name)) in self.columns.iter().zip(&names).enumerate() {
                if at > 0 {
                    json.push(',');
                }
                json.push_str(name);
                json.push(':');
                let start = json.len();
                write_json(&mut json, deltas.rows.column(at), row, &column.column_type);
                ends.push(start..json.len());
            }
            json.push('}');
            let values: SmallVec<[&str; 4]> = self.key.iter().map(|&at| &json[ends[at].clone()]).collect();
            of_key.clear();
            values.iter().for_each(|value| of_key.extend([value, ","]));
            // Changes of a key mostly follow one another.
            let key = match last.filter(|_| of_key == of_last) {
                Some(last) => Arc::clone(&last.key),
                None => key_of(&values).into(),
            };
            mem::swap(&mut of_key, &mut of_last);
            changes.push(Change { key, row: json.as_str().into(), at, weight, cause });
        }
        changes
    }

    /// The key of each row.
    pub(crate) fn keys(&self, rows: &RecordBatch) -> impl ExactSizeIterator<Item = String> {
        (0..rows.num_rows()).map(|row| {
            let part = |&at: &usize| {
                let mut json = String::new();
                write_json(&mut json, rows.column(at), row, &self.columns[at].column_type);
                json
            };
            let parts: Vec<String> = self.key.iter().map(part).collect();
            key_of(&parts.iter().map(String::as_str).collect::<Vec<_>>())
        })
    }

    /// Of one key, by their moments.
    fn fold_key<M: Memory>(
        &self,
        changes: &[Change],
        recorded_from: Position,
        memory: &M,
        shown: &mut Shown,
    ) -> Result<(), Fault<M::Error>> {
        let key = &changes[0].key;
        let first = Timestamp::from_micros(changes[0].at);
        let newest = memory.newest(key).map_err(Fault::Memory)?;
        let is_later = newest.as_ref().is_none_or(|newest| newest.valid_from < first);
        let before = match is_later {
            true => newest.clone(),
            false => memory.version_before(key, first).map_err(Fault::Memory)?,
        };
        let mut tail = match is_later {
            true => Box::new(std::iter::empty()) as Box<dyn Iterator<Item = _>>,
            false => memory.versions_from(key, first),
        }
        .peekable();
        // How many more there are of a row now than were, from a moment on.
        let mut more: SmallVec<[(&Arc<str>, i64); 4]> = SmallVec::new();
        let mut old = before.as_ref().and_then(|version| version.row.clone());
        let mut new = old.clone();
        let mut last = before;
        let mut is_changed = false;
        let mut changes = changes.iter().peekable();
        loop {
            let there = match tail.peek() {
                Some(Ok(version)) => Some(version.valid_from.as_micros()),
                Some(Err(_)) => return Err(Fault::Memory(tail.next().and_then(Result::err).expect("just seen"))),
                None => None,
            };
            let change = changes.peek().map(|change| change.at);
            let Some(at) = there.into_iter().chain(change).min() else { break };
            if change.is_none() && more.is_empty() && old == new {
                // From here on all is as it was, and so is the newest version.
                last = newest.clone();
                break;
            }
            let there = match there == Some(at) {
                true => Some(tail.next().expect("just seen").map_err(Fault::Memory)?),
                false => None,
            };
            if let Some(version) = &there {
                old.clone_from(&version.row);
            }
            let before = new;
            let mut cause = 0;
            while let Some(change) = changes.next_if(|change| change.at == at) {
                cause = change.cause;
                match more.iter().position(|(row, _)| **row == change.row) {
                    Some(there) => {
                        more[there].1 += change.weight;
                        // What comes mostly goes next: there are never many at once.
                        if more[there].1 == 0 {
                            more.swap_remove(there);
                        }
                    }
                    None => more.push((&change.row, change.weight)),
                }
            }
            new = only_row(old.as_ref(), &more).map_err(|()| Fault::Change {
                cause,
                what: format!("two rows have the key {key}, which should be unique"),
            })?;
            let valid_from = Timestamp::from_micros(at);
            let version = (new != before).then(|| Version { valid_from, recorded_from, row: new.clone() });
            match (version, there) {
                (Some(version), Some(there)) if version.row == there.row => {
                    last = Some(there);
                }
                (Some(version), there) => {
                    is_changed = true;
                    shown.superseded.extend(there.map(|there| (key.clone(), there)));
                    shown.puts.push((key.clone(), version.clone()));
                    last = Some(version);
                }
                (None, Some(there)) => {
                    is_changed = true;
                    shown.removals.push((key.clone(), valid_from));
                    shown.superseded.push((key.clone(), there));
                }
                (None, None) => {}
            }
        }
        if is_changed {
            let before = newest.map(|newest| newest.valid_from);
            shown.newest.push(Newest { key: key.clone(), before, now: last });
        }
        Ok(())
    }
}

/// The key that is made of the values of its columns, in JSON.
fn key_of(values: &[&str]) -> String {
    match values {
        ["null"] => NULL_KEY.to_owned(),
        several if several.contains(&"null") => format!("[{}]", several.join(",")),
        _ => aggregate_id(values).expect("it has columns, none of which is null"),
    }
}

/// The row that is left of one and what there is more of; fails if there are two.
fn only_row(row: Option<&Arc<str>>, more: &[(&Arc<str>, i64)]) -> Result<Option<Arc<str>>, ()> {
    let is_left = |row: &&Arc<str>| !more.iter().any(|(other, _)| other == row);
    let mut rows = row.filter(is_left).cloned();
    for (other, more) in more {
        let count = more + i64::from(row == Some(other));
        match (count, &rows) {
            (0, _) => {}
            (1, None) => rows = Some(Arc::clone(other)),
            _ => return Err(()),
        }
    }
    Ok(rows)
}
