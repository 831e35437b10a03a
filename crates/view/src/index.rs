//! Indexes: the rows of a view by the values of some of its columns, now and as of any moment.
//!
//! An index has two kinds of entries. `now` are for the values that a row has now; `ever` for all that it ever had, and
//! since when. A read of the past walks the second: where an entry's row has, as of that moment, the values that the entry
//! says, it is there that the row stands, and nowhere else. So both walks give every row once, in the order of the values,
//! and may stop early.
//!
//! Entries are only ever hints: who reads looks at the row. So one that says what is not so any more does no harm, and
//! `ever` is written without reading. They are written with what they are of, in the same commit ([`Indexes::changes`]);
//! those of what was there before an index was declared are added beside whatever else is written ([`fill`]).
//!
//! [`fill`]: ViewStore::fill_indexes

mod changes;
mod entry;
mod fill;
mod groups;
mod values;
mod walk;

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{Column, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    Mirror, OpenError, ReadError, ViewStore, WriteError,
    batch::Runs,
    key::{self, Key, ViewId},
    store::Shared,
};

pub(crate) use changes::IndexChanges;
pub use walk::{Between, ByIndex, Direction, Walk};

/// The longest value in an index, in bytes as it is kept there.
const MOST_VALUE_BYTES: usize = 4_096;

/// An index of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    view: ViewId,
    number: u16,
    columns: Arc<[Column]>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    /// Written with every commit; what was there before is not in it yet.
    Filling,
    /// Everything is in it.
    Whole,
    /// A value was too long for it: it is written no more, and not read.
    TooLong,
    /// Nobody wants it any more: what is in it is being removed.
    Dropped,
}

/// Which of the values of a row an entry is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Now,
    Ever,
}

/// As it is kept in `meta`.
#[derive(Serialize, Deserialize)]
struct Kept {
    columns: Vec<Column>,
    state: State,
}

impl Index {
    /// Its columns, in its order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    fn is_written(&self) -> bool {
        matches!(self.state, State::Filling | State::Whole)
    }

    /// The beginning of all its keys; of one kind, if that is given.
    fn prefix(&self, kind: Option<Kind>) -> Key {
        let mut key = self.view.prefix();
        key.extend_from_slice(&self.number.to_be_bytes());
        key.extend(kind.map(|kind| kind as u8));
        key
    }

    /// The key of an entry, of one for ever with since when it was so; none where it would be too long.
    fn key<'v>(
        &self,
        since: Option<Timestamp>,
        values: impl Iterator<Item = &'v [u8]> + Clone,
        id: &str,
    ) -> Option<Key> {
        let mut key = self.prefix(Some(if since.is_some() { Kind::Ever } else { Kind::Now }));
        values.clone().for_each(|value| key.extend_from_slice(value));
        key::push_id(&mut key, id);
        key.extend(since.into_iter().flat_map(Timestamp::to_bytes));
        for value in values {
            let len = u16::try_from(value.len()).ok().filter(|&len| usize::from(len) <= MOST_VALUE_BYTES)?;
            key.extend_from_slice(&len.to_be_bytes());
        }
        (key.len() <= key::LIMIT_BYTES).then_some(key)
    }

    fn kept(&self) -> (Vec<u8>, Vec<u8>) {
        let kept = Kept { columns: self.columns.to_vec(), state: self.state };
        (key::index(self.view, self.number), serde_json::to_vec(&kept).expect("all of it is JSON"))
    }
}

/// All indexes, by view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Indexes(BTreeMap<ViewId, Vec<Index>>);

impl Indexes {
    /// Reads which there are.
    pub(crate) fn read(meta: &fjall::Keyspace, damaged: impl Fn(&str) -> OpenError) -> Result<Self, OpenError> {
        let mut all = Self::default();
        for pair in meta.prefix(key::INDEXES) {
            let read = || {
                let (key, value) = pair.into_inner().ok()?;
                let (view, number) = key[key::INDEXES.len()..].split_first_chunk()?;
                let Kept { columns, state } = serde_json::from_slice(&value).ok()?;
                let (view, number) = (ViewId(u32::from_be_bytes(*view)), u16::from_be_bytes(number.try_into().ok()?));
                Some(Index { view, number, columns: columns.into(), state })
            };
            let index = read().ok_or_else(|| damaged("what is kept of an index cannot be read"))?;
            all.0.entry(index.view).or_default().push(index);
        }
        Ok(all)
    }

    fn of(&self, view: ViewId) -> &[Index] {
        self.0.get(&view).map_or(&[], Vec::as_slice)
    }

    /// The views that have any and that changes are of.
    pub(crate) fn touched(&self, runs: &Runs) -> Vec<ViewId> {
        let is_touched = |view: &ViewId| {
            let (start, end) = (view.prefix(), view.end());
            [&runs.versions, &runs.current, &runs.superseded].iter().any(|run| !run.within(&start..&end).is_empty())
        };
        self.0.keys().copied().filter(is_touched).collect()
    }

    /// Those of a view that can be read.
    pub(crate) fn whole(&self, view: ViewId) -> impl Iterator<Item = &Index> {
        self.of(view).iter().filter(|index| index.state == State::Whole)
    }
}

impl ViewStore {
    /// Says which indexes a view is to have, each by its columns, in order. Those that it does not have yet are written
    /// from the next commit on, and to be filled ([`Self::fill_indexes`]). Others that it has go.
    ///
    /// Where nothing was ever written of the view, a new one is whole at once. During a bulk load it does nothing: false.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn declare_indexes(&self, view: &Mirror, wanted: &[Vec<Column>]) -> Result<bool, WriteError> {
        let shared = &*self.shared;
        let _writing = shared.begin_write()?;
        if shared.is_bulk() {
            return Ok(false);
        }
        let mut all = Indexes::clone(&shared.indexes());
        let of_view = all.0.entry(view.view).or_default();
        let trees = &shared.keyspaces;
        let is_empty = [&trees.current, &trees.versions, &trees.superseded]
            .iter()
            .all(|tree| tree.prefix(view.view.prefix()).next().is_none());
        let state = if is_empty { State::Whole } else { State::Filling };
        let mut changed = Vec::new();
        for index in of_view.iter_mut() {
            let is_wanted = wanted.iter().any(|columns| **columns == *index.columns);
            if !is_wanted && index.state != State::Dropped {
                index.state = State::Dropped;
                changed.push(index.clone());
            }
        }
        for columns in wanted {
            if !of_view.iter().any(|index| *index.columns == **columns && index.state != State::Dropped) {
                let number = of_view.iter().map(|index| index.number + 1).max().unwrap_or(0);
                let index = Index { view: view.view, number, columns: columns.as_slice().into(), state };
                of_view.push(index.clone());
                changed.push(index);
            }
        }
        if !changed.is_empty() {
            shared.keep_indexes(all, &changed)?;
            shared.publish_indexes();
        }
        Ok(true)
    }
}

impl Shared {
    /// Which indexes there are.
    pub(crate) fn indexes(&self) -> Arc<Indexes> {
        self.indexes.read().expect("no holder of this lock panics").clone()
    }

    /// Only under `writing`.
    fn set_indexes(&self, all: Indexes) {
        *self.indexes.write().expect("no holder of this lock panics") = Arc::new(all);
    }

    /// What follows for indexes from what is about to be committed. Only under `writing`.
    pub(crate) fn index_changes<'r>(
        &self,
        parts: impl Iterator<Item = &'r Runs> + Clone,
    ) -> Result<IndexChanges, ReadError> {
        let indexes = self.indexes();
        let published = self.published.read().expect("no holder of this lock panics").clone();
        // What readers are kept from comes after what was published last.
        let written = self.is_hidden().then(|| self.written());
        indexes.changes(self, written.as_ref().unwrap_or(&published), parts)
    }

    /// Lets readers see which indexes are whole. Not while they are kept from what is committed. Only under `writing`.
    pub(crate) fn publish_indexes(&self) {
        if !self.is_hidden() {
            let commit = self.published.read().expect("no holder of this lock panics").commit;
            self.replace(commit.unwrap_or_default());
        }
    }

    /// Forgets the indexes of a view that goes, with what is in them.
    pub(crate) fn forget_indexes(&self, view: &Mirror) -> Result<(), WriteError> {
        let _writing = self.begin_write()?;
        let mut all = Indexes::clone(&self.indexes());
        match all.0.remove(&view.view) {
            Some(gone) => self.keep_indexes(all, &gone),
            None => Ok(()),
        }
    }

    /// Has all indexes be filled again: something is written past them. Only under `writing`.
    pub(crate) fn refill_indexes(&self) -> Result<(), WriteError> {
        let indexes = self.indexes();
        indexes.0.keys().try_for_each(|view| self.refill(*view))
    }

    /// Likewise those of the views that runs are of, if they are not what they were when the runs were made.
    pub(crate) fn refill_changed(&self, before: &Indexes, views: &[ViewId]) -> Result<(), WriteError> {
        let now = self.indexes();
        let mut changed = views.iter().filter(|view| now.of(**view) != before.of(**view));
        changed.try_for_each(|view| self.refill(*view))
    }

    fn refill(&self, view: ViewId) -> Result<(), WriteError> {
        let indexes = self.indexes();
        let mut whole = indexes.of(view).iter().filter(|index| index.state == State::Whole);
        whole.try_for_each(|index| self.set_state(index, State::Filling))
    }

    /// Takes over what changed of indexes. Only under `writing`.
    fn keep_indexes(&self, all: Indexes, changed: &[Index]) -> Result<(), WriteError> {
        let meta = &self.keyspaces.meta;
        let mut batch = self.db.batch();
        for index in changed {
            let (key, value) = index.kept();
            let is_kept = all.of(index.view).iter().any(|known| known.number == index.number);
            match is_kept {
                true => batch.insert(meta, key, value),
                false => batch.remove(meta, key),
            }
        }
        batch.commit()?;
        self.set_indexes(all);
        Ok(())
    }

    /// Sets the state of an index. Only under `writing`.
    fn set_state(&self, of: &Index, state: State) -> Result<(), WriteError> {
        let mut all = Indexes::clone(&self.indexes());
        let found = all.0.get_mut(&of.view).and_then(|all| all.iter_mut().find(|index| index.number == of.number));
        let Some(index) = found else { return Ok(()) };
        index.state = state;
        let changed = index.clone();
        self.keep_indexes(all, &[changed])
    }
}
