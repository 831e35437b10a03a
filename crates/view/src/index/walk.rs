//! Walking an index: the rows in the order of its values.
//!
//! Entries order by the values of the columns, each ascending with null last, and then by the aggregate. A walk that
//! wants another order of some column goes through the different values of that column in that order, and within each
//! through what is left: read and put in order where there is little, searched for where there is much.

use std::{cmp::Ordering, ops::Range};

use fjall::{Iter, Readable, Slice};

use super::{Index, Kind, entry::Entry, groups::Groups, values::Encoder};
use crate::{
    At, ReadError, Reader, Snapshot, Version,
    key::{self, Key},
};

/// The order of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Direction {
    /// Whether great values come first.
    pub descending: bool,
    /// Whether null comes first.
    pub nulls_first: bool,
}

/// Which part of an index is walked, in what order. Values are canonical JSON.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// What the first columns are.
    pub equal: Vec<String>,
    /// Between what the column after those is, if that is known. Null is between nothing.
    pub between: Option<Between>,
    /// The order of that column and those after it; ascending with null last where none is given.
    pub directions: Vec<Direction>,
    /// Whether, of rows with the same values, great aggregate ids come first.
    pub ids_descending: bool,
    /// Where to begin: after the row with these values of the columns that are not equal, and this aggregate id.
    pub after: Option<(Vec<String>, String)>,
}

/// Bounds of values; none: there is none.
#[derive(Debug, Clone, Default)]
pub struct Between {
    /// The smallest, and whether that is one of them.
    pub low: Option<(String, bool)>,
    /// The greatest, and whether that is one of them.
    pub high: Option<(String, bool)>,
}

/// A walk of an index that is under way.
pub struct ByIndex {
    reader: Reader,
    at: At,
    index: Index,
    encoder: Encoder,
    entries: Entries,
    /// The values and the aggregate of the last entry that was looked at.
    last: Vec<u8>,
}

/// As many entries that are passed over count as one that is looked at.
const PASSED_AS_ONE: usize = 32;

/// The keys of entries.
pub(super) type Entries = Box<dyn Iterator<Item = Result<Slice, ReadError>> + Send>;

impl Reader {
    /// The indexes that can be walked.
    pub fn indexes(&self) -> Vec<Index> {
        self.snapshot.moment.indexes.whole(self.view()).cloned().collect()
    }

    /// Walks an index of this view as of a point in both times; none where a value is not of its column's type.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn by_index(&self, index: &Index, at: At, walk: &Walk) -> Result<Option<ByIndex>, ReadError> {
        let encoder = Encoder::new(index.columns.to_vec())?;
        let way = Way::of(self, index, walk, &encoder);
        let entries = way.and_then(|way| way.begin(at, walk, &encoder));
        let reader = self.clone();
        Ok(entries.map(|entries| ByIndex { reader, at, index: index.clone(), encoder, entries, last: Vec::new() }))
    }
}

impl ByIndex {
    /// The aggregate ids of the next entries, whose rows may be others; and how many entries were looked at, at most so
    /// many; none: there are no more.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn ids(&mut self, most: usize) -> Result<(usize, Vec<Box<str>>), ReadError> {
        let (looked, keys) = self.keys(most)?;
        let ids = keys.iter().map(|key| Entry::of(&self.index, key)?.id());
        Ok((looked, ids.collect::<Result<_, _>>()?))
    }

    /// The rows of the next entries, and how many entries were looked at, at most so many; none: there are no more.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn rows(&mut self, most: usize) -> Result<(usize, Vec<Version>), ReadError> {
        let (looked, keys) = self.keys(most)?;
        let mut found = Vec::with_capacity(keys.len());
        for key in &keys {
            let entry = Entry::of(&self.index, key)?;
            if let Some(version) = self.reader.as_of(&entry.id()?, self.at)? {
                found.push((entry.values, version));
            }
        }
        let encoded = self.encoder.encode(found.iter().map(|(_, version)| version.row()))?;
        let rows = found.into_iter().enumerate().filter(|(row, (values, _))| {
            values.iter().enumerate().all(|(column, value)| encoded.value(column, *row) == *value)
        });
        Ok((looked, rows.map(|(_, (_, version))| version).collect()))
    }

    /// The keys of the next entries that are worth a look, and how many entries that took. Others are passed over: what
    /// was so only later, and what was so before, too.
    fn keys(&mut self, most: usize) -> Result<(usize, Vec<Slice>), ReadError> {
        let (mut keys, mut passed) = (Vec::new(), 0);
        while keys.len() + passed / PASSED_AS_ONE < most {
            let Some(key) = self.entries.next().transpose()? else { break };
            // Mostly it is what was so only later, of which nothing else is looked at.
            if self.index.since(&key).is_some_and(|since| since > self.at.time) {
                passed += 1;
                continue;
            }
            let entry = Entry::of(&self.index, &key)?;
            if *entry.values_and_id == *self.last {
                passed += 1;
                continue;
            }
            self.last.clear();
            self.last.extend_from_slice(entry.values_and_id);
            keys.push(key);
        }
        Ok((keys.len() + passed.div_ceil(PASSED_AS_ONE), keys))
    }
}

/// How an index is walked.
#[derive(Clone)]
pub(super) struct Way {
    snapshot: Snapshot,
    pub(super) index: Index,
    /// What null is in the columns that are not equal.
    pub(super) nulls: Vec<Vec<u8>>,
    /// Their order.
    pub(super) directions: Vec<Direction>,
    ids_descending: bool,
    /// How many columns are equal.
    pub(super) equal: usize,
}

/// Where to begin.
#[derive(Clone)]
pub(super) struct Place {
    /// The values of the columns from a level on.
    pub(super) values: Vec<Vec<u8>>,
    pub(super) id: String,
}

const NATURAL: Direction = Direction { descending: false, nulls_first: false };
const REVERSED: Direction = Direction { descending: true, nulls_first: true };

impl Way {
    fn of(reader: &Reader, index: &Index, walk: &Walk, encoder: &Encoder) -> Option<Self> {
        let equal = walk.equal.len();
        let columns = equal..index.columns.len();
        let nulls = columns.clone().map(|column| encoder.value(column, "null")).collect::<Option<_>>()?;
        let direction = |level: usize| walk.directions.get(level).copied().unwrap_or(NATURAL);
        let directions = (0..columns.len()).map(direction).collect();
        let (snapshot, index, ids_descending) = (reader.snapshot.clone(), index.clone(), walk.ids_descending);
        Some(Self { snapshot, index, nulls, directions, ids_descending, equal })
    }

    /// The entries, from where the walk is to begin.
    fn begin(&self, at: At, walk: &Walk, encoder: &Encoder) -> Option<Entries> {
        let mut prefix = self.index.prefix(Some(if at.is_now() { Kind::Now } else { Kind::Ever }));
        for (column, value) in walk.equal.iter().enumerate() {
            prefix.extend_from_slice(&encoder.value(column, value)?);
        }
        let column = self.equal;
        let mut window = prefix.clone()..above(&prefix);
        if let Some(between) = &walk.between {
            let of = |bound: &(String, bool)| {
                let value = encoder.value(column, &bound.0)?;
                Some((with(&prefix, &value), bound.1))
            };
            if let Some(low) = &between.low {
                let (key, is_in) = of(low)?;
                window.start = if is_in { key } else { above(&key) };
            }
            window.end = with(&prefix, self.nulls.first()?);
            if let Some(high) = &between.high {
                let (key, is_in) = of(high)?;
                window.end = if is_in { above(&key) } else { key };
            }
        }
        let place = match &walk.after {
            Some((values, id)) => {
                let values = values.iter().enumerate().map(|(at, value)| encoder.value(column + at, value));
                Some(Place { values: values.collect::<Option<_>>()?, id: id.clone() })
            }
            None => None,
        };
        Some(self.walk(prefix, 0, window, place))
    }

    /// The entries under a prefix that ends before a level, within a window, after a place.
    pub(super) fn walk(&self, prefix: Key, level: usize, mut window: Range<Key>, after: Option<Place>) -> Entries {
        let rest = &self.directions[level..];
        let natural = !self.ids_descending && rest.iter().all(|direction| *direction == NATURAL);
        let reversed = self.ids_descending && rest.iter().all(|direction| *direction == REVERSED);
        if !natural && !reversed && level < self.directions.len() {
            return Box::new(Groups::new(self.clone(), prefix, level, window, after));
        }
        if let Some(place) = after {
            let mut key = prefix;
            place.values.iter().for_each(|value| key.extend_from_slice(value));
            key::push_id(&mut key, &place.id);
            match self.ids_descending {
                false => window.start = window.start.max(key::end_of(&key)),
                true => window.end = window.end.min(key),
            }
        }
        let pairs = self.range(&window).map(|guard| guard.key().map_err(ReadError::from));
        if self.ids_descending { Box::new(pairs.rev()) } else { Box::new(pairs) }
    }

    /// Puts entries that are alike up to a level in order.
    pub(super) fn sort(&self, keys: &mut [Slice], level: usize) -> Result<(), ReadError> {
        let entries = keys.iter().map(|key| Ok((Entry::of(&self.index, key)?, key.clone())));
        let mut entries = entries.collect::<Result<Vec<_>, ReadError>>()?;
        entries.sort_by(|(one, _), (other, _)| {
            let by_column = (level..self.directions.len()).map(|level| {
                let (one, other) = (one.values[self.equal + level], other.values[self.equal + level]);
                let Direction { descending, nulls_first } = self.directions[level];
                let is_null = |value: &[u8]| value == self.nulls[level];
                match (is_null(one), is_null(other)) {
                    (false, false) if descending => other.cmp(one),
                    (false, false) => one.cmp(other),
                    // False is smaller.
                    (one, other) if nulls_first => other.cmp(&one),
                    (one, other) => one.cmp(&other),
                }
            });
            let by_column = by_column.fold(Ordering::Equal, Ordering::then);
            let by_id = one.id.cmp(other.id);
            by_column.then(if self.ids_descending { by_id.reverse() } else { by_id })
        });
        let sorted: Vec<Slice> = entries.into_iter().map(|(_, key)| key).collect();
        keys.clone_from_slice(&sorted);
        Ok(())
    }

    pub(super) fn range(&self, window: &Range<Key>) -> Iter {
        let trees = &self.snapshot.shared.keyspaces;
        // An empty range, which the trees refuse, when it ends before it begins.
        let end = window.end.clone().max(window.start.clone());
        self.snapshot.moment.trees.range(&trees.indexes, window.start.clone()..end)
    }
}

pub(super) fn with(prefix: &Key, value: &[u8]) -> Key {
    prefix.iter().chain(value).copied().collect()
}

/// Above all keys that begin so.
pub(super) fn above(prefix: &Key) -> Key {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    unreachable!("the number of a view begins with less than FF")
}
