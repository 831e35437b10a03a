//! What was believed at a position, of one aggregate.
//!
//! The record holds what is believed now, each entry with the position from which it is; `superseded` holds what was
//! believed before, each with both ends. Together they are what was believed at any position. No entry believed at
//! P stands above the head at P, so a read starts there, however much was recorded since.

use std::{cmp::Ordering, iter::Peekable, sync::Arc};

use deltafold_event::{Position, Timestamp};
use fjall::{Guard, Iter, Keyspace, Readable};

use crate::{
    At, ReadError, Reader, Snapshot, Stored, Version,
    cache::History,
    key::{self, Key},
    reader::stored,
};

/// An entry with the position from which it is believed no longer.
pub(crate) type Believed = (Stored, Option<Position>);

impl Reader {
    /// Where the version ends: the beginning of the next one that differs, by what was recorded at or before `at`'s
    /// position; none while there is no such.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn valid_to(&self, version: &Version, position: Position) -> Result<Option<Timestamp>, ReadError> {
        let aggregate = key::aggregate(self.view(), &version.key);
        let end = self.end_of_belief(&aggregate, position)?;
        let shown = version.entry();
        let same = (shown.since_valid_from, shown.since_recorded_from, shown.event);
        // Just above the entry: no order begins with another, so the entry's own key is the only one below.
        let mut start = key::coordinate(&aggregate, shown.valid_from, shown.order);
        start.push(0);
        if start >= end {
            return Ok(None);
        }
        let at = At::position(position);
        let mut entries = self.believed(start, end, at).peekable();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            // Of several entries at one instant only the last one counts.
            let is_last_of_its_instant = match entries.peek() {
                Some(Ok(next)) => next.coordinate().0 != entry.coordinate().0,
                _ => true,
            };
            if is_last_of_its_instant && entry.since() != same {
                return Ok(Some(entry.entry().since_valid_from));
            }
        }
        Ok(None)
    }

    /// The newest entry at or before a point in both times.
    pub(crate) fn newest_at(&self, aggregate: &str, at: At) -> Result<Option<Believed>, ReadError> {
        let aggregate = key::aggregate(self.view(), aggregate);
        if let Some(entries) = self.short_history(&aggregate)? {
            return Ok(History::newest_at(&entries, at).map(|entry| (entry.clone(), None)));
        }
        self.search(aggregate, at)
    }

    /// Likewise, of the aggregate with this key: a search of the trees, of use where entries are many.
    pub(crate) fn search(&self, aggregate: Key, at: At) -> Result<Option<Believed>, ReadError> {
        let end = self.end_of_belief(&aggregate, at.position)?.min(key::after_time(&aggregate, at.time));

        let mut on_record = None;
        for pair in self.below(&self.snapshot.shared.keyspaces.versions, &end) {
            let (key, value) = pair.into_inner()?;
            if !key.starts_with(&aggregate) {
                break;
            }
            let entry = Stored::decode(value)?;
            if entry.recorded_from() <= at.position {
                on_record = Some(entry);
                break;
            }
        }
        if at.position == Position::MAX {
            return Ok(on_record.map(|entry| (entry, None)));
        }
        // What is believed no longer counts where it stands above.
        let start = match &on_record {
            Some(entry) => {
                let (valid_from, order) = entry.coordinate();
                key::coordinate(&aggregate, valid_from, order)
            }
            None => aggregate,
        };
        for pair in self.superseded_between(start, end).rev() {
            let (key, value) = pair.into_inner()?;
            let (_, from, to) = key::split_superseded(&key)?;
            if at.believes(from, Some(to)) {
                return Ok(Some((Stored::decode(value)?, Some(to))));
            }
        }
        Ok(on_record.map(|entry| (entry, None)))
    }

    /// All entries of the aggregate, unless they are many or some are believed no longer.
    fn short_history(&self, aggregate: &[u8]) -> Result<Option<Arc<[Stored]>>, ReadError> {
        let Snapshot { shared, moment } = &self.snapshot;
        let read = || {
            let end = key::end_of(aggregate);
            if self.superseded_between(Key::from_slice(aggregate), end.clone()).next().is_some() {
                return Ok(Some(History(None)));
            }
            let entries = self.versions(Key::from_slice(aggregate), end).take(History::MOST + 1).map(stored);
            let entries: Vec<Stored> = entries.collect::<Result<_, _>>()?;
            Ok(Some(History((entries.len() <= History::MOST).then(|| entries.into()))))
        };
        Ok(shared.histories.get(aggregate, moment.commit, read)?.and_then(|history| history.0))
    }

    /// Above all that was believed of the aggregate at the position.
    fn end_of_belief(&self, aggregate: &[u8], position: Position) -> Result<Key, ReadError> {
        if position == Position::MAX {
            return Ok(key::end_of(aggregate));
        }
        let Snapshot { shared, moment } = &self.snapshot;
        // Without an upper bound no run is searched twice.
        let later = key::heads_from(aggregate, position.next()).to_vec()..;
        let head = moment.trees.range(&shared.keyspaces.heads, later).next().map(Guard::key).transpose()?;
        let Some(head) = head.filter(|head| head.starts_with(aggregate)) else {
            return Ok(key::end_of(aggregate));
        };
        let damaged = || ReadError::Corrupt(format!("a head of {} bytes is too short", head.len()));
        let (_, mut end) = key::split_head(&head).ok_or_else(damaged)?;
        // Above the head itself, and above all of `superseded` at its place.
        end.extend_from_slice(&[0xFF; 17]);
        Ok(end)
    }

    /// What stands below a key of a tree, whosever it is, nearest first. Without a lower bound no run is searched
    /// twice.
    fn below(&self, tree: &Keyspace, end: &[u8]) -> impl Iterator<Item = Guard> + use<> {
        self.snapshot.moment.trees.range(tree, ..end.to_vec()).rev()
    }

    fn superseded_between(&self, start: Key, end: Key) -> Iter {
        let trees = &self.snapshot.shared.keyspaces;
        // An empty range, which the trees refuse, when the head lies below.
        let end = end.max(start.clone());
        self.snapshot.moment.trees.range(&trees.superseded, start..end)
    }

    /// The entries believed at a position between two keys of an aggregate, oldest first.
    fn believed(&self, start: Key, end: Key, at: At) -> Merged {
        let superseded = (at.position != Position::MAX).then(|| self.superseded_between(start.clone(), end.clone()));
        Merged {
            on_record: OnRecord { pairs: self.versions(start, end), at }.peekable(),
            superseded: superseded.map(|pairs| NoLonger { pairs, at }.peekable()),
        }
    }
}

/// What is on record and was believed at a position, in order.
struct OnRecord {
    pairs: Iter,
    at: At,
}

impl Iterator for OnRecord {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at;
        self.pairs
            .by_ref()
            .map(stored)
            .find(|entry| entry.as_ref().map_or(true, |entry| at.believes(entry.recorded_from(), None)))
    }
}

/// What was believed at a position and is no longer, in order.
struct NoLonger {
    pairs: Iter,
    at: At,
}

impl Iterator for NoLonger {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        for pair in self.pairs.by_ref() {
            let read = || {
                let (key, value) = pair.into_inner()?;
                let (_, from, to) = key::split_superseded(&key)?;
                if self.at.believes(from, Some(to)) { Stored::decode(value).map(Some) } else { Ok(None) }
            };
            if let Some(entry) = read().transpose() {
                return Some(entry);
            }
        }
        None
    }
}

/// Both, in order. At one place only one of them can have been believed at a position.
struct Merged {
    on_record: Peekable<OnRecord>,
    superseded: Option<Peekable<NoLonger>>,
}

impl Iterator for Merged {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some(superseded) = &mut self.superseded else { return self.on_record.next() };
        let order = match (self.on_record.peek(), superseded.peek()) {
            (Some(Ok(on_record)), Some(Ok(superseded))) => on_record.coordinate().cmp(&superseded.coordinate()),
            (_, None) | (Some(Err(_)), _) => Ordering::Less,
            (None, _) | (_, Some(Err(_))) => Ordering::Greater,
        };
        if order == Ordering::Greater { superseded.next() } else { self.on_record.next() }
    }
}
