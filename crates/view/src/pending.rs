//! Reading what is about to be committed, for the one who writes: so the next batch can be made meanwhile.

use std::{cmp::Ordering, ops::Range, sync::Arc};

use deltafold_event::{EventId, Timestamp};
use fjall::{Readable, Slice};
use itertools::{EitherOrBoth, Itertools};

use crate::{
    Mirror, ReadError, Reader, Snapshot, Stored,
    batch::{Run, Runs},
    key::{self, Key},
};

/// What a batch changes ([`crate::Batch::pending`]).
#[derive(Clone)]
pub struct Pending(pub(crate) Arc<Runs>);

/// The reads of one mirror as if what is pending was committed: those that folding needs.
pub struct PendingReader {
    reader: Reader,
    pending: Option<Pending>,
}

impl PendingReader {
    /// Reads a mirror on a snapshot; what is pending may be in it already.
    pub fn new(snapshot: &Snapshot, pending: Option<Pending>, mirror: &Mirror) -> Self {
        Self { reader: snapshot.reader(mirror), pending }
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

    /// As [`Reader::entries_before`].
    pub fn entries_before(
        &self,
        aggregate: &str,
        valid_from: Timestamp,
        order: &[u8],
    ) -> impl Iterator<Item = Result<Stored, ReadError>> {
        let start = key::aggregate(self.reader.view(), aggregate);
        let end = key::coordinate(&start, valid_from, order);
        let changes = self.changes(|runs| &runs.versions, &start..&end).iter().rev();
        let pairs = self.reader.versions(start, end).rev().map(|pair| Ok(pair.into_inner()?));
        merged(pairs, changes, |one, other| other.cmp(one)).map(|pair| Stored::decode(pair?.1))
    }

    /// As [`Reader::entries_from`].
    pub fn entries_from(
        &self,
        aggregate: &str,
        valid_from: Timestamp,
        order: &[u8],
    ) -> impl Iterator<Item = Result<Stored, ReadError>> {
        let prefix = key::aggregate(self.reader.view(), aggregate);
        let (start, end) = (key::coordinate(&prefix, valid_from, order), key::end_of(&prefix));
        let changes = self.changes(|runs| &runs.versions, &start..&end).iter();
        let pairs = self.reader.versions(start, end).map(|pair| Ok(pair.into_inner()?));
        merged(pairs, changes, Ord::cmp).map(|pair| Stored::decode(pair?.1))
    }

    /// As [`Reader::keys`].
    pub fn keys(&self) -> impl Iterator<Item = Result<Box<str>, ReadError>> {
        let view = self.reader.view();
        let (start, end) = (Key::from_slice(&view.prefix()), Key::from_slice(&view.end()));
        let changes = self.changes(|runs| &runs.current, &start..&end).iter();
        let Snapshot { shared, moment } = self.reader.snapshot();
        let pairs = moment.trees.range(&shared.keyspaces.current, start..end).map(|pair| Ok(pair.into_inner()?));
        merged(pairs, changes, Ord::cmp).map(|pair| key::aggregate_id(&pair?.0))
    }

    /// What becomes of a key, if that is pending.
    fn changed(&self, run: impl Fn(&Runs) -> &Run, key: &[u8]) -> Option<Option<&Slice>> {
        run(&self.pending.as_ref()?.0).get(key)
    }

    /// What becomes of keys in a range.
    fn changes(&self, run: impl Fn(&Runs) -> &Run, range: Range<&[u8]>) -> &[(Slice, Option<Slice>)] {
        self.pending.as_ref().map_or(&[], |pending| run(&pending.0).within(range))
    }
}

type Pair = (Slice, Slice);

/// Pairs of a tree with changes to it, both in the same order.
fn merged<'a>(
    tree: impl Iterator<Item = Result<Pair, ReadError>> + 'a,
    changes: impl Iterator<Item = &'a (Slice, Option<Slice>)> + 'a,
    order: fn(&[u8], &[u8]) -> Ordering,
) -> impl Iterator<Item = Result<Pair, ReadError>> + 'a {
    let order = move |pair: &Result<Pair, ReadError>, (changed, _): &&(Slice, Option<Slice>)| {
        pair.as_ref().map_or(Ordering::Less, |(key, _)| order(key, changed))
    };
    tree.merge_join_by(changes, order).filter_map(|found| match found {
        EitherOrBoth::Left(pair) => Some(pair),
        EitherOrBoth::Right((key, value)) | EitherOrBoth::Both(_, (key, value)) => {
            value.as_ref().map(|value| Ok((key.clone(), value.clone())))
        }
    })
}
