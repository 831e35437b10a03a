//! Going through the different values of one column, in an order that is not the index's.

use std::{collections::VecDeque, ops::Range};

use fjall::{Iter, Slice};

use super::{
    entry::Entry,
    walk::{Entries, Place, Way, above, with},
};
use crate::{ReadError, key::Key};

/// The entries of one different value of a column after the other.
pub(super) struct Groups {
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
    pub(super) fn new(way: Way, prefix: Key, level: usize, window: Range<Key>, after: Option<Place>) -> Self {
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
