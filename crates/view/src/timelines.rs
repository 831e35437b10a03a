//! Every version of every row, as believed at a position.

use std::{cmp::Ordering, iter::Peekable, ops::Range};

use deltafold_event::{Position, Timestamp};
use fjall::{Iter, Readable, Slice};

use crate::{
    At, ReadError, Reader, Stored,
    key::{self, Key, ViewId},
};

/// The versions of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    /// Whose they are.
    pub key: Box<str>,
    /// Where each begins, in order, with an entry that shows its row; an entry without one: absent from there on. No two
    /// that follow one another are of the same version, and nothing comes before the first row.
    pub versions: Vec<(Timestamp, Stored)>,
}

/// The timelines of a view, in the order of their keys' bytes.
pub struct Timelines {
    at: At,
    on_record: Peekable<Pairs>,
    superseded: Option<Peekable<Pairs>>,
    /// The first entry of the next aggregate, once it was seen.
    next: Option<Found>,
}

/// The timelines of a view as believed at two positions, side by side, in the order of their keys' bytes.
pub struct Compared {
    before: Peekable<Timelines>,
    now: Peekable<Timelines>,
}

/// A part of the aggregates, in the order of their keys' bytes; all of them by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part<'a> {
    /// Those after this one.
    pub after: Option<&'a str>,
    /// Those until this one, which is one of them.
    pub until: Option<&'a str>,
}

impl Part<'_> {
    /// From where until before where the keys of its aggregates are.
    pub(crate) fn range(&self, view: ViewId) -> Range<Key> {
        let end_of = |aggregate: &str| key::end_of(&key::aggregate(view, aggregate));
        let start = self.after.map_or_else(|| view.prefix(), end_of);
        // An empty range, which the trees refuse, where it ends before it begins.
        let end = self.until.map_or_else(|| view.end(), end_of).max(start.clone());
        start..end
    }
}

/// An entry, with its key and how long the aggregate's part of that is.
type Found = (Slice, usize, Stored);

impl Reader {
    /// The timelines as believed at a position, of a part of the aggregates.
    pub fn timelines(&self, at: Position, part: Part<'_>) -> Timelines {
        self.timelines_in(at, part.range(self.view()))
    }

    /// The timelines as believed at one position and at another, of a part of the aggregates.
    pub fn compared(&self, before: Position, now: Position, part: Part<'_>) -> Compared {
        let timelines = |at| self.timelines(at, part).peekable();
        Compared { before: timelines(before), now: timelines(now) }
    }

    /// The timeline of one aggregate as believed at a position; none where it never had a row.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn timeline(&self, aggregate: &str, at: Position) -> Result<Option<Timeline>, ReadError> {
        let start = key::aggregate(self.view(), aggregate);
        let end = key::end_of(&start);
        self.timelines_in(at, start..end).next().transpose()
    }

    /// All entries believed at a position, in the order of their keys' bytes.
    pub fn beliefs(&self, at: Position) -> Beliefs {
        Beliefs(self.timelines(at, Part::default()))
    }

    fn timelines_in(&self, at: Position, range: Range<Key>) -> Timelines {
        let trees = &self.snapshot.shared.keyspaces;
        let pairs = |tree| Pairs(self.snapshot.moment.trees.range(tree, range.clone())).peekable();
        let superseded = (at != Position::MAX).then(|| pairs(&trees.superseded));
        Timelines { at: At::position(at), on_record: pairs(&trees.versions), superseded, next: None }
    }
}

impl Timelines {
    /// The next entry that was believed.
    fn next_entry(&mut self) -> Option<Result<Found, ReadError>> {
        loop {
            let is_superseded = match (self.on_record.peek(), self.superseded.as_mut().and_then(Peekable::peek)) {
                (None, None) => return None,
                (Some(Ok((on_record, _))), Some(Ok((superseded, _)))) => {
                    superseded[..superseded.len().saturating_sub(16)] < **on_record
                }
                (Some(_), _) => false,
                (None, Some(_)) => true,
            };
            let pairs = if is_superseded { self.superseded.as_mut() } else { Some(&mut self.on_record) };
            let read = |(key, value): (Slice, Slice)| {
                let entry = Stored::decode(value)?;
                let (from, to) = match is_superseded {
                    true => key::split_superseded(&key).map(|(_, from, to)| (from, Some(to)))?,
                    false => (entry.recorded_from(), None),
                };
                let len = key::aggregate_len(&key).ok_or_else(|| damaged(&key))?;
                Ok(self.at.believes(from, to).then_some((key, len, entry)))
            };
            match pairs.and_then(Iterator::next)?.and_then(read) {
                Ok(Some(found)) => return Some(Ok(found)),
                Ok(None) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Iterator for Timelines {
    type Item = Result<Timeline, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (key, len, first) = match self.next.take() {
                Some(first) => first,
                None => match self.next_entry()? {
                    Ok(first) => first,
                    Err(error) => return Some(Err(error)),
                },
            };
            let mut entries = vec![first];
            loop {
                match self.next_entry() {
                    Some(Ok((other, _, entry))) if other.starts_with(&key[..len]) => entries.push(entry),
                    Some(Ok(of_next)) => {
                        self.next = Some(of_next);
                        break;
                    }
                    Some(Err(error)) => return Some(Err(error)),
                    None => break,
                }
            }
            let versions = versions(entries);
            if !versions.is_empty() {
                return Some(key::aggregate_id(&key).map(|key| Timeline { key, versions }));
            }
        }
    }
}

impl Iterator for Compared {
    /// Those of one key, at least one of the two.
    type Item = Result<(Option<Timeline>, Option<Timeline>), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.before.peek(), self.now.peek()) {
            (None, None) => return None,
            (Some(Err(_)), _) | (_, None) => Ordering::Less,
            (_, Some(Err(_))) | (None, _) => Ordering::Greater,
            (Some(Ok(before)), Some(Ok(now))) => before.key.as_bytes().cmp(now.key.as_bytes()),
        };
        let before = if order.is_le() { self.before.next().transpose() } else { Ok(None) };
        let now = if order.is_ge() { self.now.next().transpose() } else { Ok(None) };
        Some(before.and_then(|before| Ok((before, now?))))
    }
}

/// The entries that were believed at a position.
pub struct Beliefs(Timelines);

impl Iterator for Beliefs {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next_entry().map(|found| found.map(|(_, _, entry)| entry))
    }
}

/// Where each version begins, from all entries of an aggregate in order.
fn versions(entries: Vec<Stored>) -> Vec<(Timestamp, Stored)> {
    let mut versions: Vec<(Timestamp, Stored)> = Vec::new();
    let mut entries = entries.into_iter().peekable();
    while let Some(entry) = entries.next() {
        let (valid_from, _) = entry.coordinate();
        // Of several entries at one instant only the last one counts.
        if entries.peek().is_some_and(|next| next.coordinate().0 == valid_from) {
            continue;
        }
        let is_same = match versions.last() {
            None => entry.row().is_none(),
            Some((_, last)) => match (last.row(), entry.row()) {
                (Some(_), Some(_)) => last.since() == entry.since(),
                (last, row) => last.is_some() == row.is_some(),
            },
        };
        if !is_same {
            versions.push((valid_from, entry));
        }
    }
    versions
}

struct Pairs(Iter);

impl Iterator for Pairs {
    type Item = Result<(Slice, Slice), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|pair| Ok(pair.into_inner()?))
    }
}

fn damaged(key: &[u8]) -> ReadError {
    ReadError::Corrupt(format!("a key of {} bytes names no aggregate", key.len()))
}
