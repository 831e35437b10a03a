//! What a group remembers of its moments.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Given, Values, keys, ordered::Element, partial::Partial};
use crate::{
    fold::{Writes, error::Fault},
    memory::Memory,
};

/// What everything in a group adds up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Content {
    /// How many rows there are.
    pub(super) rows: i64,
    /// By call; a count of nothing where a call keeps values.
    pub(super) partials: Vec<Partial>,
    /// By call: what is shown of the values it keeps.
    pub(super) cells: Vec<Option<Element>>,
}

impl Content {
    /// Of no rows.
    pub(super) fn zero(given: &[Given]) -> Self {
        let zero = |given: &Given| match &given.values {
            Values::Summands(summands) => summands.zero(),
            Values::Elements(_) => Partial::Count(0),
        };
        Self { rows: 0, partials: given.iter().map(zero).collect(), cells: vec![None; given.len()] }
    }

    /// What it adds up to with something more; shows these cells.
    pub(super) fn plus(&self, more: &Self, cells: Vec<Option<Element>>) -> Self {
        let mut partials = self.partials.clone();
        partials.iter_mut().zip(&more.partials).for_each(|(sum, more)| sum.add(more));
        Self { rows: self.rows + more.rows, partials, cells }
    }

    pub(super) fn is_zero(&self) -> bool {
        self.rows == 0
            && self.partials.iter().all(|partial| match partial {
                Partial::Count(count) => *count == 0,
                Partial::Whole { count, sum } => (*count, *sum) == (0, 0),
                Partial::Decimal { count, sum } => *count == 0 && *sum == arrow::datatypes::i256::ZERO,
                Partial::Float { count, sum } => *count == 0 && *sum == Default::default(),
                Partial::Truth { trues, falses } => (*trues, *falses) == (0, 0),
            })
    }

    /// Whether what is seen is the same, though it may be of other rows.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        self.partials == other.partials && self.cells == other.cells
    }

    pub(super) fn partial(&mut self, call: usize) -> &mut Partial {
        &mut self.partials[call]
    }

    pub(super) fn partial_of(&self, call: usize) -> &Partial {
        &self.partials[call]
    }

    pub(super) fn cell(&mut self, call: usize) -> &mut Option<Element> {
        &mut self.cells[call]
    }

    pub(super) fn cell_of(&self, call: usize) -> Option<&[u8]> {
        self.cells[call].as_deref()
    }
}

/// A moment of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// What everything until then adds up to.
    pub(super) content: Arc<Content>,
    /// Which values came and went then, by call.
    pub(super) elements: Vec<((u8, Element), i64)>,
}

impl Entry {
    fn to_bytes(&self) -> Box<[u8]> {
        self.to_bytes_behind(&[])
    }

    /// Behind something short. Mostly there is room for it without an allocation that grows.
    fn to_bytes_behind(&self, before: &[u8]) -> Box<[u8]> {
        let mut room = [0; 256];
        let (begin, rest) = room.split_at_mut(before.len());
        begin.copy_from_slice(before);
        match postcard::to_slice(self, rest).map(|entry| before.len() + entry.len()) {
            Ok(len) => room[..len].into(),
            Err(_) => [before, &postcard::to_allocvec(self).expect("all of it can be written")].concat().into(),
        }
    }

    fn from_bytes<E>(bytes: &[u8]) -> Result<Self, Fault<E>> {
        postcard::from_bytes(bytes).map_err(|_| Fault::Damaged)
    }
}

/// What a group remembers, as far as changes from a moment on need it.
pub(super) struct Stand {
    /// The moment of the newest entry, which has a place of its own.
    pub(super) newest: Option<i64>,
    /// The entry before the moment.
    pub(super) base: Option<(i64, Entry)>,
    /// Those from the moment on.
    pub(super) tail: Vec<(i64, Entry)>,
}

impl Stand {
    pub(super) fn read<M: Memory>(operator: u16, group: &[u8], from: i64, memory: &M) -> Result<Self, Fault<M::Error>> {
        let Some(bytes) = memory.get(&keys::newest(operator, group)).map_err(Fault::Memory)? else {
            return Ok(Self { newest: None, base: None, tail: vec![] });
        };
        let (at, bytes) = bytes.split_first_chunk::<8>().ok_or(Fault::Damaged)?;
        let newest = (keys::at(at).ok_or(Fault::Damaged)?, Entry::from_bytes(bytes)?);
        if newest.0 < from {
            return Ok(Self { newest: Some(newest.0), base: Some(newest), tail: vec![] });
        }
        let read = |(key, value): (Box<[u8]>, Box<[u8]>)| {
            Ok((keys::at(&key).ok_or(Fault::Damaged)?, Entry::from_bytes(&value)?))
        };
        let moments = keys::moments(operator, group);
        let start = keys::moment(operator, group, from);
        let base = memory.last_in(&moments, &start).map_err(Fault::Memory)?.map(read).transpose()?;
        let mut tail = Vec::new();
        for pair in memory.range(&start, &keys::end(&moments)) {
            tail.push(read(pair.map_err(Fault::Memory)?)?);
        }
        let at = newest.0;
        tail.push(newest);
        Ok(Self { newest: Some(at), base, tail })
    }
}

/// What becomes of the moments from the first change on.
#[derive(Default)]
pub(super) struct Changed {
    /// Those that stay or come, and whether they are not as they are remembered.
    kept: Vec<(i64, Entry, bool)>,
    gone: Vec<i64>,
}

impl Changed {
    /// What becomes of a moment; `there` is what is remembered of it.
    pub(super) fn moment(&mut self, at: i64, entry: Option<Entry>, there: Option<&Entry>) {
        match entry {
            Some(entry) => {
                let is_new = there != Some(&entry);
                self.kept.push((at, entry, is_new));
            }
            None if there.is_some() => self.gone.push(at),
            None => {}
        }
    }

    /// Writes it; the last `as_before` moments of the tail were not looked at.
    pub(super) fn write<E>(
        self,
        operator: u16,
        group: &[u8],
        stand: &Stand,
        as_before: usize,
        writes: &mut Writes,
    ) -> Result<(), Fault<E>> {
        let moment = |at: i64| keys::moment(operator, group, at);
        let newest =
            |at: i64, entry: &Entry| (keys::newest(operator, group), Some(entry.to_bytes_behind(&keys::at_bytes(at))));
        let Self { mut kept, gone } = self;
        // The newest entry of the tail has no key of its own among the moments.
        let had_key = |at: i64| stand.newest != Some(at);
        for at in gone.into_iter().filter(|at| had_key(*at)) {
            writes.put(moment(at), None);
        }
        let last = if as_before > 0 { None } else { kept.pop() };
        for (at, entry, is_new) in &kept {
            if *is_new || !had_key(*at) {
                writes.put(moment(*at), Some(entry.to_bytes()));
            }
        }
        if as_before > 0 {
            return Ok(());
        }
        match (last, &stand.base) {
            (Some((at, entry, is_new)), base) => {
                if let (true, Some((before, base))) = (stand.tail.is_empty(), base) {
                    writes.put(moment(*before), Some(base.to_bytes()));
                }
                if is_new || had_key(at) {
                    let (key, value) = newest(at, &entry);
                    writes.put(key, value);
                }
                if had_key(at) && stand.tail.iter().any(|(there, _)| *there == at) {
                    writes.put(moment(at), None);
                }
            }
            // Nothing changed after all.
            (None, _) if stand.tail.is_empty() => {}
            (None, Some((at, base))) => {
                let (key, value) = newest(*at, base);
                writes.put(key, value);
                writes.put(moment(*at), None);
            }
            (None, None) => writes.put(keys::newest(operator, group), None),
        }
        Ok(())
    }
}
