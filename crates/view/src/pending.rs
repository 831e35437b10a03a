//! Reading what is about to be committed, for the one who writes: so the next batch can be made meanwhile.

use std::{cmp::Ordering, collections::BTreeMap, ops::Range, sync::Arc};

use deltafold_event::{EventId, Timestamp};
use fjall::{Iter, Readable, Slice};
use itertools::{EitherOrBoth, Itertools};

use crate::{
    Mirror, ReadError, Reader, Snapshot, Stored,
    batch::{Change, Run, Runs},
    key,
};

/// What batches change that are not committed yet ([`crate::Batch::pending`]).
#[derive(Clone, Default)]
pub struct Pending(pub(crate) Vec<Arc<Runs>>);

impl Pending {
    /// With what is pending of batches that come before.
    pub fn after(mut self, earlier: Self) -> Self {
        self.0.splice(0..0, earlier.0);
        self
    }
}

/// The reads of one view as if what is pending was committed: those that folding needs.
pub struct PendingReader {
    reader: Reader,
    pending: Pending,
}

impl PendingReader {
    /// Reads a view on a snapshot; what is pending may be in it already.
    pub fn new(snapshot: &Snapshot, pending: Pending, view: &Mirror) -> Self {
        Self { reader: snapshot.reader(view), pending }
    }

    /// As [`Reader::last`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn last(&self, aggregate: &str) -> Result<Option<Stored>, ReadError> {
        let key = key::aggregate(self.reader.view(), aggregate);
        match self.changed(|runs| &runs.current, &key) {
            Some(entry) => entry.cloned().map(Stored::decode).transpose(),
            None => self.reader.last(aggregate),
        }
    }

    /// As [`Reader::seen`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn seen(&self, event: EventId) -> Result<bool, ReadError> {
        let key = key::seen(self.reader.view(), event);
        match self.changed(|runs| &runs.seen, &key) {
            Some(seen) => Ok(seen.is_some()),
            None => self.reader.seen(event),
        }
    }

    /// As [`Reader::memory`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn memory(&self, key: &[u8]) -> Result<Option<Box<[u8]>>, ReadError> {
        match self.changed(|runs| &runs.folds, &key::fold(self.reader.view(), key)) {
            Some(value) => Ok(value.map(|value| (**value).into())),
            None => self.reader.memory(key),
        }
    }

    /// What a fold remembers from one key until before another, with the keys, in their order.
    pub fn memories<'a>(
        &'a self,
        from: &[u8],
        until: &[u8],
    ) -> impl Iterator<Item = Result<Memory, ReadError>> + use<'a> {
        let (changes, pairs) = self.fold_range(from, until);
        merged(pairs.map(|pair| Ok(pair.into_inner()?)), changes.into_iter(), Ord::cmp).map(memory)
    }

    /// The last of [`Self::memories`].
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn last_memory(&self, from: &[u8], until: &[u8]) -> Result<Option<Memory>, ReadError> {
        let (changes, pairs) = self.fold_range(from, until);
        let pairs = pairs.rev().map(|pair| Ok(pair.into_inner()?));
        merged(pairs, changes.into_iter().rev(), |one, other| other.cmp(one)).next().map(memory).transpose()
    }

    /// As [`Reader::entries_before`].
    pub fn entries_before<'a>(
        &'a self,
        aggregate: &str,
        valid_from: Timestamp,
        order: &[u8],
    ) -> impl Iterator<Item = Result<Stored, ReadError>> + use<'a> {
        let start = key::aggregate(self.reader.view(), aggregate);
        let end = key::coordinate(&start, valid_from, order);
        let changes = self.changes(|runs| &runs.versions, &start..&end).into_iter().rev();
        let pairs = self.reader.versions(start, end).rev().map(|pair| Ok(pair.into_inner()?));
        merged(pairs, changes, |one, other| other.cmp(one)).map(|pair| Stored::decode(pair?.1))
    }

    /// As [`Reader::entries_from`].
    pub fn entries_from<'a>(
        &'a self,
        aggregate: &str,
        valid_from: Timestamp,
        order: &[u8],
    ) -> impl Iterator<Item = Result<Stored, ReadError>> + use<'a> {
        let prefix = key::aggregate(self.reader.view(), aggregate);
        let (start, end) = (key::coordinate(&prefix, valid_from, order), key::end_of(&prefix));
        let changes = self.changes(|runs| &runs.versions, &start..&end).into_iter();
        let pairs = self.reader.versions(start, end).map(|pair| Ok(pair.into_inner()?));
        merged(pairs, changes, Ord::cmp).map(|pair| Stored::decode(pair?.1))
    }

    /// As [`Reader::keys`].
    pub fn keys(&self) -> impl Iterator<Item = Result<Box<str>, ReadError>> {
        let view = self.reader.view();
        let (start, end) = (view.prefix(), view.end());
        let changes = self.changes(|runs| &runs.current, &start..&end).into_iter();
        let Snapshot { shared, moment } = self.reader.snapshot();
        let pairs = moment.trees.range(&shared.keyspaces.current, start..end).map(|pair| Ok(pair.into_inner()?));
        merged(pairs, changes, Ord::cmp).map(|pair| key::aggregate_id(&pair?.0))
    }

    fn fold_range(&self, from: &[u8], until: &[u8]) -> (BTreeMap<&[u8], &Change>, Iter) {
        let (from, until) = (key::fold(self.reader.view(), from), key::fold(self.reader.view(), until));
        // An empty range, which the trees refuse.
        let until = until.max(from.clone());
        let changes = self.changes(|runs| &runs.folds, &from..&until);
        let Snapshot { shared, moment } = self.reader.snapshot();
        (changes, moment.trees.range(&shared.keyspaces.folds, from..until))
    }

    /// What becomes of a key, if that is pending.
    fn changed(&self, run: impl Fn(&Runs) -> &Run, key: &[u8]) -> Option<Option<&Slice>> {
        self.pending.0.iter().rev().find_map(|runs| run(runs).get(key))
    }

    /// What becomes of keys in a range.
    fn changes(&self, run: impl Fn(&Runs) -> &Run, range: Range<&[u8]>) -> BTreeMap<&[u8], &Change> {
        let changes = self.pending.0.iter().flat_map(|runs| run(runs).within(range.clone()));
        changes.map(|change| (&*change.0, change)).collect()
    }
}

/// A key of what a fold remembers, and what is under it.
pub type Memory = (Box<[u8]>, Box<[u8]>);

type Pair = (Slice, Slice);

fn memory(pair: Result<Pair, ReadError>) -> Result<Memory, ReadError> {
    let (key, value) = pair?;
    let start = key::view_len(&key).ok_or_else(|| ReadError::Corrupt("a key names no view".to_owned()))?;
    Ok((key[start..].into(), (*value).into()))
}

/// Pairs of a tree with changes to it, both in the same order.
fn merged<'a>(
    tree: impl Iterator<Item = Result<Pair, ReadError>> + 'a,
    changes: impl Iterator<Item = (&'a [u8], &'a Change)> + 'a,
    order: fn(&[u8], &[u8]) -> Ordering,
) -> impl Iterator<Item = Result<Pair, ReadError>> + 'a {
    let order = move |pair: &Result<Pair, ReadError>, (changed, _): &(&[u8], &Change)| {
        pair.as_ref().map_or(Ordering::Less, |(key, _)| order(key, changed))
    };
    tree.merge_join_by(changes, order).filter_map(|found| match found {
        EitherOrBoth::Left(pair) => Some(pair),
        EitherOrBoth::Right((_, (key, value))) | EitherOrBoth::Both(_, (_, (key, value))) => {
            value.as_ref().map(|value| Ok((key.clone(), value.clone())))
        }
    })
}
