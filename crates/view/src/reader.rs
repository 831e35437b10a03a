//! Reading one mirror at one moment.

use std::fmt;

use deltafold_event::{EventId, Position, Timestamp};
use fjall::{Guard, Iter, Readable};

use crate::{
    At, Mirror, Part, ReadError, Snapshot, Stored, Version, Versions,
    key::{self, Key, ViewId},
    scan,
};

/// The reads of one mirror on a [`Snapshot`]. Cheap to clone; its iterators own what they need.
#[derive(Clone)]
pub struct Reader {
    pub(crate) snapshot: Snapshot,
    mirror: Mirror,
}

impl Reader {
    pub(crate) fn new(snapshot: Snapshot, mirror: Mirror) -> Self {
        Self { snapshot, mirror }
    }

    /// The mirror that is read.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// The moment it is read at.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The row now; none when it is absent.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn current(&self, aggregate: &str) -> Result<Option<Version>, ReadError> {
        Ok(self.last(aggregate)?.and_then(|entry| Version::new(aggregate, entry, None)))
    }

    /// The newest entry of the aggregate, also when the row is absent.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn last(&self, aggregate: &str) -> Result<Option<Stored>, ReadError> {
        let Snapshot { shared, moment } = &self.snapshot;
        let key = key::aggregate(self.view(), aggregate);
        let found =
            shared.newest.get(&key, moment.commit, || Ok(moment.trees.get(&shared.keyspaces.current, &key)?))?;
        found.map(Stored::decode).transpose()
    }

    /// The row as of a point in both times; none when it was absent, or nothing was known of it.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn as_of(&self, aggregate: &str, at: At) -> Result<Option<Version>, ReadError> {
        if at.is_now() {
            return self.current(aggregate);
        }
        let found = self.newest_at(aggregate, at)?;
        Ok(found.and_then(|(entry, recorded_to)| Version::new(aggregate, entry, recorded_to)))
    }

    /// The entries that stand before `(valid_from, order)`, newest first.
    pub fn entries_before(&self, aggregate: &str, valid_from: Timestamp, order: &[u8]) -> Entries {
        let start = key::aggregate(self.view(), aggregate);
        let end = key::coordinate(&start, valid_from, order);
        Entries { pairs: self.versions(start, end), newest_first: true }
    }

    /// The entries from `(valid_from, order)` on, that one included, oldest first.
    pub fn entries_from(&self, aggregate: &str, valid_from: Timestamp, order: &[u8]) -> Entries {
        let prefix = key::aggregate(self.view(), aggregate);
        let start = key::coordinate(&prefix, valid_from, order);
        Entries { pairs: self.versions(start, key::end_of(&prefix)), newest_first: false }
    }

    /// All entries of an aggregate, oldest first.
    pub fn entries(&self, aggregate: &str) -> Entries {
        let start = key::aggregate(self.view(), aggregate);
        let end = key::end_of(&start);
        Entries { pairs: self.versions(start, end), newest_first: false }
    }

    /// All entries of an aggregate, newest first.
    pub fn entries_newest_first(&self, aggregate: &str) -> Entries {
        Entries { newest_first: true, ..self.entries(aggregate) }
    }

    /// The entries of an aggregate that are believed no longer, in order, with the position at which that ended.
    pub fn superseded(&self, aggregate: &str) -> Superseded {
        let trees = &self.snapshot.shared.keyspaces;
        let prefix = key::aggregate(self.view(), aggregate);
        Superseded(self.snapshot.moment.trees.prefix(&trees.superseded, prefix))
    }

    /// Whether the id was put by [`crate::Batch::put_seen`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn seen(&self, event: EventId) -> Result<bool, ReadError> {
        let trees = &self.snapshot.shared.keyspaces;
        Ok(self.snapshot.moment.trees.contains_key(&trees.seen, key::seen(self.view(), event))?)
    }

    /// The ids of all aggregates with an entry on record, by their bytes; their rows may be absent.
    pub fn keys(&self) -> Keys {
        self.keys_in(Part::default())
    }

    /// Likewise, of a part.
    pub fn keys_in(&self, part: Part<'_>) -> Keys {
        let trees = &self.snapshot.shared.keyspaces;
        Keys(self.snapshot.moment.trees.range(&trees.current, part.range(self.view())))
    }

    /// All rows as of a point in both times, in the order of their keys' bytes.
    pub fn scan(&self, at: At) -> Versions {
        scan::all(self, at, None)
    }

    /// Likewise, from the first key after `aggregate` on.
    pub fn scan_after(&self, at: At, aggregate: &str) -> Versions {
        scan::all(self, at, Some(aggregate))
    }

    /// What a fold remembers under a key.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn memory(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, ReadError> {
        let trees = &self.snapshot.shared.keyspaces;
        let found = self.snapshot.moment.trees.get(&trees.folds, key::fold(self.view(), key))?;
        Ok(found.map(|value| (*value).into()))
    }

    pub(crate) fn view(&self) -> ViewId {
        self.mirror.view
    }

    pub(crate) fn versions(&self, start: Key, end: Key) -> Iter {
        self.snapshot.moment.trees.range(&self.snapshot.shared.keyspaces.versions, start..end)
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("mirror", &self.mirror.name())
            .field("commit", &self.snapshot.moment.commit)
            .finish()
    }
}

/// Entries of one aggregate.
pub struct Entries {
    pairs: Iter,
    newest_first: bool,
}

impl Iterator for Entries {
    type Item = Result<Stored, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let pair = if self.newest_first { self.pairs.next_back() } else { self.pairs.next() };
        pair.map(stored)
    }
}

/// Entries believed no longer, and the position from which they are not.
pub struct Superseded(Iter);

impl Iterator for Superseded {
    type Item = Result<(Position, Stored), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = |pair: Guard| {
            let (key, value) = pair.into_inner()?;
            let (_, _, recorded_to) = key::split_superseded(&key)?;
            Ok((recorded_to, Stored::decode(value)?))
        };
        self.0.next().map(read)
    }
}

/// Aggregate ids.
pub struct Keys(Iter);

impl Iterator for Keys {
    type Item = Result<Box<str>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|pair| key::aggregate_id(&pair.key()?))
    }
}

impl DoubleEndedIterator for Keys {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(|pair| key::aggregate_id(&pair.key()?))
    }
}

pub(crate) fn stored(pair: Guard) -> Result<Stored, ReadError> {
    Stored::decode(pair.value()?)
}
