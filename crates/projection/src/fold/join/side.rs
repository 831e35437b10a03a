//! What a side of a join remembers: the rows of each key, and when they were there.
//!
//! Changes at the head look at the rows that there are now: where these are few, they are in one record. Those that were
//! there stand by the moment until which they were, so that a late change finds the ones that it meets, and no others.

use std::{borrow::Borrow, ops::Deref};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{by_row::ByRow, keys, rest::Part};
use crate::{
    fold::{
        Writes,
        error::Fault,
        keys::end,
        steps::{Steps, Stretch},
    },
    memory::{Memory, Pair},
};

/// A row, in the bytes of [`arrow::row`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Row(#[serde(with = "serde_bytes")] Box<[u8]>);

impl Deref for Row {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Row {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Row {
    fn from(row: &[u8]) -> Self {
        Self(row.into())
    }
}

/// What is remembered of the rows that there are now, and until when the last of the others was there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Now {
    open: Open,
    last_end: Option<i64>,
}

/// The rows that there are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Open {
    Few(Vec<(Row, Steps)>),
    /// Each stands by itself.
    Many(Size),
}

impl Default for Open {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

/// How much rows take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Size {
    rows: u64,
    bytes: u64,
}

impl Size {
    /// How much few rows take at most: they are written again with each change.
    const FEW: u64 = 1_024;
    /// What a row takes beside its bytes.
    const OF_STEPS: u64 = 16;

    fn of<'r>(rows: impl Iterator<Item = &'r [u8]>) -> Self {
        rows.fold(Self::default(), |size, row| size.with(row))
    }

    fn with(self, row: &[u8]) -> Self {
        Self { rows: self.rows + 1, bytes: self.bytes + row.len() as u64 + Self::OF_STEPS }
    }

    fn without(self, row: &[u8]) -> Self {
        let bytes = self.bytes.saturating_sub(row.len() as u64 + Self::OF_STEPS);
        Self { rows: self.rows.saturating_sub(1), bytes }
    }

    /// One is few, however long it is: it is read with each change of the other side.
    fn is_few(self) -> bool {
        self.rows <= 1 || self.bytes <= Self::FEW
    }
}

/// Which rows are wanted.
pub(super) enum Wanted<'r> {
    Part(Part),
    /// These, in their order.
    These(SmallVec<[&'r Row; 2]>),
}

impl<'r> Wanted<'r> {
    pub(super) fn these<V>(rows: &'r ByRow<V>) -> Self {
        Self::These(rows.rows().collect())
    }

    fn has(&self, row: &[u8]) -> bool {
        match self {
            Self::Part(part) => part.has_row(row),
            Self::These(rows) => rows.binary_search_by(|there| (***there).cmp(row)).is_ok(),
        }
    }
}

impl Now {
    pub(super) fn read<M: Memory>(operator: u16, key: &[u8], memory: &M) -> Result<Self, Fault<M::Error>> {
        match memory.get(&keys::now(operator, key)).map_err(Fault::Memory)? {
            Some(now) => postcard::from_bytes(&now).map_err(|_| Fault::Damaged),
            None => Ok(Self::default()),
        }
    }

    /// How many rows are remembered of the key, as far as changes from a moment on need them.
    pub(super) fn count<M: Memory>(
        &self,
        operator: u16,
        key: &[u8],
        from: i64,
        memory: &M,
    ) -> Result<u64, Fault<M::Error>> {
        let open = match &self.open {
            Open::Few(few) => few.len() as u64,
            Open::Many(size) => size.rows,
        };
        if self.last_end < Some(from) {
            return Ok(open);
        }
        let closed = memory.range(&keys::closed_at(operator, key, from), &end(&keys::all_closed(operator, key)));
        closed.map(|pair| pair.map_err(Fault::Memory)).try_fold(open, |count, pair| pair.map(|_| count + 1))
    }
}

/// What a side remembers of a key, as far as changes from a moment on need it.
pub(super) struct Held {
    now: Now,
    /// When those rows that are wanted are there: all of each stretch that is not over before the moment.
    pub(super) rows: ByRow<Steps>,
    /// The last moment until which any other was there, from that moment on.
    last_of_others: Option<i64>,
    from: i64,
}

impl Held {
    pub(super) fn read<M: Memory>(
        now: Now,
        (operator, key): (u16, &[u8]),
        from: i64,
        wanted: &Wanted<'_>,
        memory: &M,
    ) -> Result<Self, Fault<M::Error>> {
        let mut held = Self { now, rows: ByRow::default(), last_of_others: None, from };
        let mut found: Vec<(Row, Steps)> = Vec::new();
        let Self { now, last_of_others, .. } = &mut held;
        if now.last_end >= Some(from) {
            let all = keys::all_closed(operator, key);
            for pair in memory.range(&keys::closed_at(operator, key, from), &end(&all)) {
                let pair = pair.map_err(Fault::Memory)?;
                let (row, steps): (Row, Steps) = decoded(&pair)?;
                match wanted.has(&row) {
                    true => found.push((row, steps)),
                    false => *last_of_others = Some(keys::end_of(all.len(), &pair.0).ok_or(Fault::Damaged)?),
                }
            }
        }
        match (&now.open, wanted) {
            (Open::Few(few), _) => {
                found.extend(few.iter().filter(|(row, _)| wanted.has(row)).cloned());
            }
            (Open::Many(_), Wanted::Part(part)) => {
                found.append(&mut open(operator, key, *part, memory)?);
            }
            (Open::Many(_), Wanted::These(these)) => {
                for row in these {
                    let of_row = keys::open(operator, key, row);
                    if let Some(value) = memory.get(&of_row).map_err(Fault::Memory)? {
                        found.push(decoded(&(of_row.into(), value))?);
                    }
                }
            }
        }
        held.rows = all_of_rows(found);
        Ok(held)
    }

    /// Writes what there is of rows after these changes.
    pub(super) fn write<M: Memory>(
        self,
        operator: u16,
        key: &[u8],
        changes: &ByRow<super::Change>,
        memory: &M,
        writes: &mut Writes,
    ) -> Result<(), Fault<M::Error>> {
        let Self { now: before, rows, last_of_others, from } = self;
        let is_changed = |row: &Row| changes.contains(row);
        let ends = |steps: &Steps| steps.stretches().filter_map(|stretch| stretch.end).max();
        let of_others = rows.iter().filter(|(row, _)| !is_changed(row)).filter_map(|(_, steps)| ends(steps)).max();
        let mut last_end = last_of_others.max(of_others);
        let mut open_rows: ByRow<Option<Steps>> = ByRow::default();
        let mut is_empty_from = before.last_end >= Some(from);
        let none = Steps::default();
        for (row, change) in changes.iter() {
            let old = rows.get(row).unwrap_or(&none);
            let new = old.clone().plus(&change.steps);
            let (was, is): (Vec<Stretch>, Vec<Stretch>) = (old.stretches().collect(), new.stretches().collect());
            let closed = |end: i64| keys::closed(operator, key, end, row);
            for Stretch { end, .. } in was.iter().filter(|was| !is.iter().any(|is| is.end == was.end)) {
                end.iter().for_each(|end| writes.put(closed(*end), None));
            }
            for Stretch { steps, end } in is.iter().filter(|is| !was.contains(is)) {
                end.iter().for_each(|end| writes.put(closed(*end), Some(encoded(&(row, steps)))));
            }
            last_end = last_end.max(ends(&new));
            let open = |stretches: &[Stretch]| stretches.last().filter(|last| last.end.is_none()).cloned();
            let (was, is) = (open(&was), open(&is));
            if was != is {
                open_rows.insert(row.clone(), is.map(|stretch| stretch.steps));
            }
        }
        is_empty_from &= last_end.is_none();
        if is_empty_from {
            // The last of them is not there any more: the one before it is.
            let all = keys::all_closed(operator, key);
            let last = memory.last_in(&all, &keys::closed_at(operator, key, from)).map_err(Fault::Memory)?;
            last_end = last.map(|(of_row, _)| keys::end_of(all.len(), &of_row).ok_or(Fault::Damaged)).transpose()?;
        } else if before.last_end < Some(from) {
            last_end = last_end.max(before.last_end);
        }
        let is_same = open_rows.is_empty() && last_end == before.last_end;
        let open = match open_rows.is_empty() {
            true => before.open,
            false => changed(operator, key, before.open, open_rows, memory, writes)?,
        };
        let now = Now { open, last_end };
        if !is_same {
            let is_left = now != Now::default();
            writes.put(keys::now(operator, key), is_left.then(|| encoded(&now)));
        }
        Ok(())
    }
}

/// Writes what has changed of the rows that there are now.
fn changed<M: Memory>(
    operator: u16,
    key: &[u8],
    before: Open,
    changes: ByRow<Option<Steps>>,
    memory: &M,
    writes: &mut Writes,
) -> Result<Open, Fault<M::Error>> {
    let of_row = |row: &[u8]| keys::open(operator, key, row);
    match before {
        Open::Few(few) => {
            let mut rows: ByRow<Steps> = few.into_iter().collect();
            apply(&mut rows, changes);
            let size = Size::of(rows.rows().map(|row| &**row));
            if size.is_few() {
                return Ok(Open::Few(rows.into_iter().collect()));
            }
            rows.iter().for_each(|(row, steps)| writes.put(of_row(row), Some(encoded(&(row, steps)))));
            Ok(Open::Many(size))
        }
        Open::Many(mut size) => {
            for (row, steps) in changes.iter() {
                let was = memory.get(&of_row(row)).map_err(Fault::Memory)?.is_some();
                size = match (was, steps) {
                    (false, Some(_)) => size.with(row),
                    (true, None) => size.without(row),
                    _ => size,
                };
            }
            if !size.is_few() {
                for (row, steps) in changes {
                    writes.put(of_row(&row), steps.map(|steps| encoded(&(&row, steps))));
                }
                return Ok(Open::Many(size));
            }
            let mut rows: ByRow<Steps> = open(operator, key, Part::ALL, memory)?.into_iter().collect();
            rows.rows().for_each(|row| writes.put(of_row(row), None));
            apply(&mut rows, changes);
            Ok(Open::Few(rows.into_iter().collect()))
        }
    }
}

fn apply(rows: &mut ByRow<Steps>, changes: ByRow<Option<Steps>>) {
    for (row, steps) in changes {
        match steps {
            Some(steps) => rows.insert(row, steps),
            None => rows.remove(&row),
        }
    }
}

/// What there is of each row, of what was found of it in several places.
fn all_of_rows(mut found: Vec<(Row, Steps)>) -> ByRow<Steps> {
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let mut rows = ByRow::default();
    for (row, steps) in found {
        let there = rows.of(&row, Steps::default);
        *there = std::mem::take(there).plus(&steps);
    }
    rows
}

/// A part of the rows that there are now, where each stands by itself.
fn open<M: Memory>(operator: u16, key: &[u8], part: Part, memory: &M) -> Result<Vec<(Row, Steps)>, Fault<M::Error>> {
    let (from, until) = part.bounds();
    let from = keys::open_from(operator, key, from);
    let until = match until {
        Some(until) => keys::open_from(operator, key, until),
        None => end(&keys::all_open(operator, key)),
    };
    memory.range(&from, &until).map(|pair| decoded(&pair.map_err(Fault::Memory)?)).collect()
}

fn decoded<E>((_, value): &Pair) -> Result<(Row, Steps), Fault<E>> {
    postcard::from_bytes(value).map_err(|_| Fault::Damaged)
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).expect("all of it can be written")
}
