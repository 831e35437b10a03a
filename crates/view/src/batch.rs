//! Writing: what a keeper made of a batch of events, all of it or nothing.

use std::{hash::BuildHasher, mem, ops::Range, sync::Arc};

use deltafold_event::{EventId, Position, Timestamp};
use fjall::{Keyspace, OwnedWriteBatch, PersistMode, Slice};
use foldhash::{fast::RandomState, quality::FixedState};
use hashbrown::HashTable;

use crate::{
    Mirror, Pending, Stored, WriteError, fault,
    key::{self, Key},
    store::{Shared, Writing},
};

/// Changes to any number of mirrors, with their states and checkpoints. Of several puts to one place the last counts.
pub struct Batch {
    pub(crate) shared: Arc<Shared>,
    /// What others may read already, in parts.
    pending: Vec<Arc<Runs>>,
    /// What was added since.
    pub(crate) runs: Runs,
}

/// Changes to every tree.
#[derive(Clone, Default)]
pub(crate) struct Runs {
    pub(crate) versions: Run,
    pub(crate) current: Run,
    pub(crate) heads: Run,
    pub(crate) superseded: Run,
    pub(crate) seen: Run,
    pub(crate) folds: Run,
    pub(crate) meta: Run,
}

/// Changes to one tree.
#[derive(Clone, Default)]
pub(crate) struct Run {
    changes: Vec<Change>,
    /// Where each key is, by its hash, once [`Run::index`] was called.
    places: HashTable<u32>,
    /// Of a seed of its own: whoever writes the rows says what the keys are.
    hasher: RandomState,
}

/// Of how many moves of a newest entry to a later place one is kept.
const FORTH: u64 = 8;

/// What becomes of a key; none: it is removed.
pub(crate) type Change = (Slice, Option<Slice>);

impl Batch {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, pending: Vec::new(), runs: Runs::default() }
    }

    /// What was added since this was asked last, to be read before it is committed. What is added later goes to other
    /// keys.
    pub fn pending(&mut self) -> Pending {
        self.runs.settle();
        let Runs { current, seen, folds, .. } = &mut self.runs;
        [current, seen, folds].into_iter().for_each(Run::index);
        let runs = Arc::new(mem::take(&mut self.runs));
        self.pending.push(runs.clone());
        Pending(vec![runs])
    }

    /// Puts an entry on record, in place of one at the same `(valid_from, order)`.
    ///
    /// # Errors
    /// When the aggregate id is too long for a key.
    pub fn put_entry(&mut self, mirror: &Mirror, aggregate: &str, entry: &Stored) -> Result<(), WriteError> {
        let (valid_from, order) = entry.coordinate();
        let key = key::coordinate(&prefix(mirror, aggregate)?, valid_from, order);
        self.runs.versions.put(key, entry.bytes().clone());
        Ok(())
    }

    /// Takes an entry off the record. What was believed of it belongs into [`Self::put_superseded`].
    ///
    /// # Errors
    /// When the aggregate id is too long for a key.
    pub fn remove_entry(
        &mut self,
        mirror: &Mirror,
        aggregate: &str,
        valid_from: Timestamp,
        order: &[u8],
    ) -> Result<(), WriteError> {
        self.runs.versions.remove(key::coordinate(&prefix(mirror, aggregate)?, valid_from, order));
        Ok(())
    }

    /// Says which entry is the aggregate's newest. Every aggregate with an entry on record needs one, also where
    /// the row is absent; and a batch that changes anything of an aggregate says it again, or reads may miss the change.
    ///
    /// # Errors
    /// When the aggregate id is too long for a key.
    pub fn put_current(&mut self, mirror: &Mirror, aggregate: &str, entry: &Stored) -> Result<(), WriteError> {
        self.runs.current.put(prefix(mirror, aggregate)?, entry.bytes().clone());
        Ok(())
    }

    /// Says that the aggregate has no entry on record any more.
    ///
    /// # Errors
    /// When the aggregate id is too long for a key.
    pub fn remove_current(&mut self, mirror: &Mirror, aggregate: &str) -> Result<(), WriteError> {
        self.runs.current.remove(prefix(mirror, aggregate)?);
        Ok(())
    }

    /// Says that until `position` the newest entry of the aggregate, as then believed, stood at `(valid_from, order)`.
    /// Due whenever that changes, unless there was none before: reads as of an earlier position look nowhere above it.
    /// `is_back`: the newest entry stands before that place now, or there is none. Of the others, which only spare reads
    /// what was recorded since, one in [`FORTH`] is kept.
    ///
    /// # Errors
    /// When the aggregate id is too long for a key.
    pub fn put_head(
        &mut self,
        mirror: &Mirror,
        aggregate: &str,
        position: Position,
        (valid_from, order): (Timestamp, &[u8]),
        is_back: bool,
    ) -> Result<(), WriteError> {
        let key = key::head(&prefix(mirror, aggregate)?, position, valid_from, order);
        // By chance, so that there is no rhythm in which none is kept; but always the same.
        if is_back || FixedState::default().hash_one(&*key).is_multiple_of(FORTH) {
            self.runs.heads.put(key, []);
        }
        Ok(())
    }

    /// Keeps an entry that was believed from its `recorded_from` until `recorded_to`.
    ///
    /// # Errors
    /// When the aggregate id is too long for a key.
    pub fn put_superseded(
        &mut self,
        mirror: &Mirror,
        aggregate: &str,
        entry: &Stored,
        recorded_to: Position,
    ) -> Result<(), WriteError> {
        let (valid_from, order) = entry.coordinate();
        let coordinate = key::coordinate(&prefix(mirror, aggregate)?, valid_from, order);
        self.runs
            .superseded
            .put(key::superseded(&coordinate, entry.recorded_from(), recorded_to), entry.bytes().clone());
        Ok(())
    }

    /// Remembers the id of an event.
    pub fn put_seen(&mut self, mirror: &Mirror, event: EventId) {
        self.runs.seen.put(key::seen(mirror.view, event), []);
    }

    /// Forgets the id of an event.
    pub fn remove_seen(&mut self, mirror: &Mirror, event: EventId) {
        self.runs.seen.remove(key::seen(mirror.view, event));
    }

    /// Keeps what a fold remembers under a key; none: nothing any more.
    pub fn put_memory(&mut self, view: &Mirror, key: &[u8], value: Option<&[u8]>) {
        let key = key::fold(view.view, key);
        match value {
            Some(value) => self.runs.folds.put(key, value),
            None => self.runs.folds.remove(key),
        }
    }

    /// Notes that everything before a position is folded in all views with this batch, and when the last of it had been
    /// recorded: derived views can be read as of its end.
    pub fn put_end(&mut self, position: Position, recorded_at: Timestamp) {
        self.runs.folds.put(key::end(position), recorded_at.to_bytes());
    }

    /// Keeps a state under a name.
    pub fn put_state(&mut self, name: &str, bytes: &[u8]) {
        self.runs.meta.put(key::state(name), bytes);
    }

    /// Removes the state of this name.
    pub fn remove_state(&mut self, name: &str) {
        self.runs.meta.remove(key::state(name));
    }

    /// Keeps a checkpoint under a name.
    pub fn put_checkpoint(&mut self, name: &str, position: Position) {
        self.runs.meta.put(key::checkpoint(name), position.to_bytes());
    }

    /// How many changes it holds.
    pub fn len(&self) -> usize {
        self.pending.iter().map(|part| part.len()).sum::<usize>() + self.runs.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes it, and lets readers see it, at once or when the bulk load has ended. One commit is under way at a time;
    /// others wait.
    ///
    /// # Errors
    /// When it cannot be written; then nothing of it is visible, and nothing more can be written until the store is
    /// opened again.
    pub fn commit(mut self) -> Result<(), WriteError> {
        let shared = self.shared.clone();
        let mut writing = shared.begin_write()?;
        fault::reach("view::before_batch")?;
        self.runs.settle();
        let is_bulk = shared.is_bulk();
        let written = match is_bulk {
            true => mem::replace(&mut self, Self::new(shared.clone())).write_runs(&shared),
            false => shared.index_changes(self.parts()).map_err(WriteError::from).and_then(|indexes| {
                // First, so that no index is taken for whole that lacks what is written then.
                shared.note_too_long(&indexes.too_long)?;
                self.write_at_once(&shared, &indexes.run)
            }),
        };
        if written.is_err() {
            *writing = Writing::Failed;
        }
        written?;
        fault::reach("view::after_batch")?;
        if !is_bulk {
            shared.publish(&self.parts().map(|runs| &runs.current).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// What it changes, in parts that follow one another.
    fn parts(&self) -> impl Iterator<Item = &Runs> + Clone {
        self.pending.iter().map(|part| &**part).chain([&self.runs])
    }

    /// All of it, in order.
    pub(crate) fn into_runs(self) -> Runs {
        let parts = self.pending.into_iter().map(Arc::unwrap_or_clone).chain([self.runs]);
        let mut runs = parts.fold(Runs::default(), Runs::followed_by);
        runs.settle();
        runs
    }

    /// Through the journal, in one piece. Others may read the parts still: nothing but counts of references is copied.
    fn write_at_once(&self, shared: &Shared, indexes: &Run) -> Result<(), WriteError> {
        let trees = &shared.keyspaces;
        shared.room.wait(&shared.db);
        fault::reach("view::io")?;
        // What survives the process is with the operating system; as `Database::batch` has it, which gives no capacity.
        let mut batch = OwnedWriteBatch::with_capacity(shared.db.clone(), self.len() + indexes.len())
            .durability(Some(PersistMode::Buffer));
        for runs in self.parts() {
            for (run, tree) in [
                (&runs.versions, &trees.versions),
                (&runs.current, &trees.current),
                (&runs.heads, &trees.heads),
                (&runs.superseded, &trees.superseded),
                (&runs.seen, &trees.seen),
                (&runs.folds, &trees.folds),
                (&runs.meta, &trees.meta),
            ] {
                run.add_to(&mut batch, tree);
            }
        }
        indexes.add_to(&mut batch, &trees.indexes);
        Ok(batch.commit()?)
    }
}

impl Runs {
    /// Puts every tree's changes in order.
    pub(crate) fn settle(&mut self) {
        self.all_mut().into_iter().for_each(Run::settle);
    }

    /// With changes that come after these.
    fn followed_by(mut self, mut later: Self) -> Self {
        self.all_mut().into_iter().zip(later.all_mut()).for_each(|(run, later)| run.append(mem::take(later)));
        self
    }

    fn len(&self) -> usize {
        let Self { versions, current, heads, superseded, seen, folds, meta } = self;
        [versions, current, heads, superseded, seen, folds, meta].into_iter().map(Run::len).sum()
    }

    fn all_mut(&mut self) -> [&mut Run; 7] {
        let Self { versions, current, heads, superseded, seen, folds, meta } = self;
        [versions, current, heads, superseded, seen, folds, meta]
    }
}

impl Run {
    pub(crate) fn put(&mut self, key: impl AsRef<[u8]>, value: impl Into<Slice>) {
        self.changes.push((Slice::new(key.as_ref()), Some(value.into())));
    }

    pub(crate) fn remove(&mut self, key: impl AsRef<[u8]>) {
        self.changes.push((Slice::new(key.as_ref()), None));
    }

    /// Changes that come after these.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.changes.append(&mut later.changes);
        self.places.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// In key order, which is how trees like it, and one change per key.
    pub(crate) fn settle(&mut self) {
        // Stable: of equal keys the last one put comes last, and stays.
        self.changes.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.changes.reverse();
        self.changes.dedup_by(|(a, _), (b, _)| a == b);
        self.changes.reverse();
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Slice, Option<&Slice>)> {
        self.changes.iter().map(|(key, value)| (key, value.as_ref()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Has keys be found at once, which takes some time for each. Nothing is added later.
    fn index(&mut self) {
        let Self { changes, places, hasher } = self;
        *places = HashTable::with_capacity(changes.len());
        for (at, (key, _)) in changes.iter().enumerate() {
            let at = u32::try_from(at).expect("a batch has fewer than 2³² changes");
            places.insert_unique(hasher.hash_one(&**key), at, |&at| hasher.hash_one(&*changes[at as usize].0));
        }
    }

    /// What becomes of a key, if it is in the run, which was indexed; none: removed.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<&Slice>> {
        debug_assert_eq!(self.places.len(), self.changes.len(), "it was not indexed");
        let at = *self.places.find(self.hasher.hash_one(key), |&at| *self.changes[at as usize].0 == *key)?;
        Some(self.changes[at as usize].1.as_ref())
    }

    /// Those with keys in a range, of a run that is in order.
    pub(crate) fn within(&self, range: Range<&[u8]>) -> &[Change] {
        let before = |end: &[u8]| self.changes.partition_point(|(key, _)| **key < *end);
        let (start, end) = (before(range.start), before(range.end));
        &self.changes[start..end.max(start)]
    }

    pub(crate) fn add_to(&self, batch: &mut OwnedWriteBatch, tree: &Keyspace) {
        for (key, value) in self.iter() {
            match value {
                Some(value) => batch.insert(tree, key.clone(), value.clone()),
                None => batch.remove(tree, key.clone()),
            }
        }
    }
}

impl FromIterator<Change> for Run {
    fn from_iter<T: IntoIterator<Item = Change>>(changes: T) -> Self {
        Self { changes: changes.into_iter().collect(), ..Self::default() }
    }
}

impl IntoIterator for Run {
    type Item = Change;
    type IntoIter = std::vec::IntoIter<Change>;

    fn into_iter(self) -> Self::IntoIter {
        self.changes.into_iter()
    }
}

fn prefix(mirror: &Mirror, aggregate: &str) -> Result<Key, WriteError> {
    let key = key::aggregate(mirror.view, aggregate);
    let limit = key::LIMIT_BYTES - key::SUFFIX_BYTES;
    if key.len() > limit {
        return Err(WriteError::KeyTooLong { mirror: mirror.name().to_owned(), bytes: key.len(), limit });
    }
    Ok(key)
}
