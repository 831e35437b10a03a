//! Walking an index: the rows in the order of its values.
//!
//! Entries order by the values of the columns, each ascending with null last, and then by the aggregate. A walk that
//! wants another order of some column goes through the different values of that column in that order, and within each
//! through what is left: read and put in order where there is little, searched for where there is much.

use std::{cmp::Ordering, collections::VecDeque, ops::Range};

use deltafold_event::Timestamp;
use fjall::{Iter, Readable, Slice};

use super::{Index, Kind, values::Encoder};
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
const PASSED_AS_ONE: usize = 16;

type Entries = Box<dyn Iterator<Item = Result<Slice, ReadError>> + Send>;

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
struct Way {
    snapshot: Snapshot,
    index: Index,
    /// What null is in the columns that are not equal.
    nulls: Vec<Vec<u8>>,
    /// Their order.
    directions: Vec<Direction>,
    ids_descending: bool,
    /// How many columns are equal.
    equal: usize,
}

/// Where to begin.
#[derive(Clone)]
struct Place {
    /// The values of the columns from a level on.
    values: Vec<Vec<u8>>,
    id: String,
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
    fn walk(&self, prefix: Key, level: usize, mut window: Range<Key>, after: Option<Place>) -> Entries {
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
    fn sort(&self, keys: &mut [Slice], level: usize) -> Result<(), ReadError> {
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

    fn range(&self, window: &Range<Key>) -> Iter {
        let trees = &self.snapshot.shared.keyspaces;
        // An empty range, which the trees refuse, when it ends before it begins.
        let end = window.end.clone().max(window.start.clone());
        self.snapshot.moment.trees.range(&trees.indexes, window.start.clone()..end)
    }
}

/// The entries of one different value of a column after the other.
struct Groups {
    way: Way,
    prefix: Key,
    level: usize,
    /// What is left, in the order in which it is gone through.
    windows: Vec<Range<Key>>,
    after: Option<Place>,
    /// The last of the windows, while it is read entry by entry.
    pairs: Option<Iter>,
    /// What was read of the value after the one that comes.
    held: Option<Slice>,
    /// Entries that come next, of a value that has few.
    few: VecDeque<Slice>,
    /// Entries that come next, of a value that has many.
    many: Option<Entries>,
}

/// As many entries of one value are read and put in order, rather than searched for in order.
const FEW: usize = if cfg!(test) { 2 } else { 32 };

impl Groups {
    fn new(way: Way, prefix: Key, level: usize, window: Range<Key>, after: Option<Place>) -> Self {
        let direction = way.directions[level];
        let null = with(&prefix, &way.nulls[level]);
        let within = |part: Range<Key>| part.start.max(window.start.clone())..part.end.min(window.end.clone());
        let mut windows = vec![within(prefix.clone()..null.clone()), within(null.clone()..above(&prefix))];
        if direction.nulls_first {
            windows.reverse();
        }
        if let Some(place) = &after {
            let key = with(&prefix, &place.values[0]);
            // What the place's value does not stand in or before is behind it.
            let at = windows.iter().position(|window| window.start <= key && key < window.end).unwrap_or(0);
            windows.drain(..at);
            match direction.descending {
                false => windows[0].start = windows[0].start.clone().max(key),
                true => windows[0].end = windows[0].end.clone().min(above(&key)),
            }
        }
        windows.reverse();
        Self { way, prefix, level, windows, after, pairs: None, held: None, few: VecDeque::new(), many: None }
    }

    fn is_descending(&self) -> bool {
        self.way.directions[self.level].descending
    }

    /// The next entry in the order of this column.
    fn next_key(&mut self) -> Result<Option<Slice>, ReadError> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        let is_descending = self.is_descending();
        while let Some(window) = self.windows.last() {
            let pairs = match &mut self.pairs {
                Some(pairs) => pairs,
                none => none.insert(self.way.range(window)),
            };
            match if is_descending { pairs.next_back() } else { pairs.next() } {
                Some(pair) => return Ok(Some(pair.key()?)),
                None => {
                    self.pairs = None;
                    self.windows.pop();
                }
            }
        }
        Ok(None)
    }

    /// The beginning of the keys with the value that a key has.
    fn group_of(&self, key: &[u8]) -> Result<Key, ReadError> {
        Ok(with(&self.prefix, Entry::of(&self.way.index, key)?.values[self.way.equal + self.level]))
    }

    /// Reads the entries of the next value; false: there is none.
    fn read_group(&mut self) -> Result<bool, ReadError> {
        let Some(first) = self.next_key()? else { return Ok(false) };
        let group = self.group_of(&first)?;
        if let Some(place) = self.after.take() {
            let is_in = with(&self.prefix, &place.values[0]) == group;
            let after = is_in.then(|| Place { values: place.values[1..].to_vec(), id: place.id });
            self.search(group, after);
            return Ok(true);
        }
        let mut few = vec![first];
        while let Some(key) = self.next_key()? {
            if !key.starts_with(&group) {
                self.held = Some(key);
                break;
            }
            if few.len() == FEW {
                self.search(group, None);
                return Ok(true);
            }
            few.push(key);
        }
        if few.len() > 1 {
            self.way.sort(&mut few, self.level + 1)?;
        }
        self.few = few.into();
        Ok(true)
    }

    /// Has the entries of a value be searched for in their order, and what comes after it be read then.
    fn search(&mut self, group: Key, after: Option<Place>) {
        let within = group.clone()..above(&group);
        let is_descending = self.is_descending();
        if let Some(window) = self.windows.last_mut() {
            match is_descending {
                false => window.start = within.end.clone(),
                true => window.end = group.clone(),
            }
        }
        (self.pairs, self.held) = (None, None);
        self.many = Some(self.way.walk(group, self.level + 1, within, after));
    }
}

impl Iterator for Groups {
    type Item = Result<Slice, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(key) = self.few.pop_front() {
                return Some(Ok(key));
            }
            if let Some(found) = self.many.as_mut().and_then(Iterator::next) {
                return Some(found);
            }
            self.many = None;
            match self.read_group() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.windows.clear();
                    self.pairs = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

fn with(prefix: &Key, value: &[u8]) -> Key {
    prefix.iter().chain(value).copied().collect()
}

/// Above all keys that begin so.
fn above(prefix: &Key) -> Key {
    let mut end = prefix.clone();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    unreachable!("the number of a view begins with less than FF")
}

/// What is in a key.
struct Entry<'k> {
    values: Vec<&'k [u8]>,
    /// Escaped.
    id: &'k [u8],
    values_and_id: &'k [u8],
}

impl Index {
    /// Since when it was so, in a key of an entry for ever.
    fn since(&self, key: &[u8]) -> Option<Timestamp> {
        let is_ever = key.get(self.prefix(None).len()) == Some(&(Kind::Ever as u8));
        let (front, _) = key.split_at_checked(key.len().checked_sub(2 * self.columns.len())?)?;
        is_ever.then(|| front.last_chunk().map(|since| Timestamp::from_bytes(*since))).flatten()
    }
}

impl<'k> Entry<'k> {
    fn of(index: &Index, key: &'k [u8]) -> Result<Self, ReadError> {
        let read = || {
            let (front, lens) = key.split_at_checked(key.len().checked_sub(2 * index.columns.len())?)?;
            let (prefix, rest) = front.split_at_checked(index.prefix(Some(Kind::Now)).len())?;
            let is_ever = *prefix.last()? == Kind::Ever as u8;
            let values_and_id = if is_ever { rest.split_last_chunk::<8>()?.0 } else { rest };
            let mut rest = values_and_id;
            let mut values = Vec::with_capacity(index.columns.len());
            for len in lens.chunks_exact(2) {
                let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes(len.try_into().ok()?)))?;
                values.push(value);
                rest = after;
            }
            Some(Self { values, id: rest.get(..rest.len().checked_sub(2)?)?, values_and_id })
        };
        read().ok_or_else(|| damaged(key))
    }

    fn id(&self) -> Result<Box<str>, ReadError> {
        key::unescaped(self.id).ok_or_else(|| damaged(self.values_and_id))
    }
}

fn damaged(key: &[u8]) -> ReadError {
    ReadError::Corrupt(format!("a key of {} bytes is none of an index", key.len()))
}
