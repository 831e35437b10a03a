//! Catching up from nothing: batches become sorted runs of the trees, past the journal and the memtables.
//!
//! The trees take their runs one after the other, so that a crash may leave some without the others. A mark in
//! `meta` says that a bulk load is under way; who opens a store with the mark starts again from nothing. Readers
//! see all of it when it has ended, and nothing before; [`ViewStore::written`] is for the one who writes.

use std::sync::{Arc, MutexGuard, atomic::Ordering};

use fjall::{Keyspace, Slice};

use crate::{
    Batch, Snapshot, ViewStore, WriteError,
    batch::{Run, Runs},
    fault,
    index::IndexChanges,
    key,
    store::{Shared, Writing},
};

impl ViewStore {
    /// Makes commits write sorted runs that no reader sees, until [`Self::end_bulk`]. Worth it for batches of tens
    /// of thousands of events; a crash before the end costs all that was written.
    ///
    /// # Errors
    /// [`WriteError::NotEmpty`] when something was folded before.
    pub fn begin_bulk(&self) -> Result<(), WriteError> {
        let shared = &self.shared;
        let _writing = shared.begin_write()?;
        for tree in [&shared.keyspaces.versions, &shared.keyspaces.current, &shared.keyspaces.seen] {
            if !tree.is_empty()? {
                return Err(WriteError::NotEmpty);
            }
        }
        shared.refill_indexes()?;
        shared.keyspaces.meta.insert(key::BULK, [])?;
        shared.bulk.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Ends a bulk load: readers see it, and from here on a crash costs nothing. Does nothing if there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_bulk(&self) -> Result<(), WriteError> {
        let shared = &self.shared;
        let _writing = shared.begin_write()?;
        if shared.is_bulk() {
            shared.keyspaces.meta.remove(key::BULK)?;
            shared.bulk.store(false, Ordering::SeqCst);
            // Nothing was cached before, so that there is nothing to replace.
            shared.publish(&[]);
        }
        Ok(())
    }

    /// The store with everything that was committed, what readers are kept from included.
    pub fn written(&self) -> Snapshot {
        if !self.shared.is_bulk() && !self.shared.is_hidden() {
            return self.snapshot();
        }
        Snapshot { shared: self.shared.clone(), moment: Arc::new(self.shared.written()) }
    }

    /// Whether a bulk load is under way.
    pub fn is_bulk(&self) -> bool {
        self.shared.is_bulk()
    }
}

/// Batches that follow one another in the order of their keys: all of them become one sorted run of each tree, so that
/// nothing is compacted afterwards and a read searches one place.
///
/// None of it is part of the store before [`Self::finish`].
pub struct SortedRuns<'a> {
    shared: &'a Shared,
    writing: MutexGuard<'a, Writing>,
    versions: OneRun<'a>,
    current: OneRun<'a>,
    heads: OneRun<'a>,
    superseded: OneRun<'a>,
    /// Keys in the order of arrival: event ids do not come sorted.
    seen: Vec<Slice>,
    meta: Run,
}

impl ViewStore {
    /// Begins sorted runs within a bulk load. Other commits wait until they are finished or dropped.
    ///
    /// # Errors
    /// When the store takes nothing any more.
    pub fn sorted_runs(&self) -> Result<SortedRuns<'_>, WriteError> {
        let shared = &*self.shared;
        let writing = shared.begin_write()?;
        let trees = &shared.keyspaces;
        Ok(SortedRuns {
            shared,
            writing,
            versions: one_run(&trees.versions),
            current: one_run(&trees.current),
            heads: one_run(&trees.heads),
            superseded: one_run(&trees.superseded),
            seen: Vec::new(),
            meta: Run::default(),
        })
    }
}

impl SortedRuns<'_> {
    /// Adds a batch, all of whose keys but those of seen events are above those added before; it only puts.
    ///
    /// # Errors
    /// When it cannot be written. Nothing more can be written then until the store is opened again.
    pub fn add(&mut self, batch: Batch) -> Result<(), WriteError> {
        let added = self.try_add(batch);
        self.note(added)
    }

    fn try_add(&mut self, batch: Batch) -> Result<(), WriteError> {
        fault::reach("view::before_batch")?;
        let Runs { versions, current, heads, superseded, seen, meta, .. } = batch.into_runs();
        (self.versions)(Some(versions))?;
        (self.current)(Some(current))?;
        (self.heads)(Some(heads))?;
        (self.superseded)(Some(superseded))?;
        self.seen.extend(seen.into_iter().map(|(key, _)| key));
        self.meta.append(meta);
        Ok(())
    }

    /// Makes what was added part of the store, for its writer; for readers it is when the bulk load ends.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn finish(mut self) -> Result<(), WriteError> {
        let finished = self.try_finish();
        self.note(finished)
    }

    fn try_finish(&mut self) -> Result<(), WriteError> {
        for run in [&mut self.versions, &mut self.current, &mut self.heads, &mut self.superseded] {
            run(None)?;
        }
        self.write_seen()?;
        let mut batch = self.shared.db.batch();
        std::mem::take(&mut self.meta).add_to(&mut batch, &self.shared.keyspaces.meta);
        batch.commit()?;
        Ok(fault::reach("view::after_batch")?)
    }

    fn write_seen(&mut self) -> Result<(), WriteError> {
        let mut seen = std::mem::take(&mut self.seen);
        seen.sort_unstable();
        seen.dedup();
        let mut run = one_run(&self.shared.keyspaces.seen);
        for keys in seen.chunks(SEEN_AT_ONCE) {
            run(Some(keys.iter().map(|key| (key.clone(), Some(Slice::new(&[])))).collect()))?;
        }
        run(None)
    }

    fn note(&mut self, done: Result<(), WriteError>) -> Result<(), WriteError> {
        if done.is_err() {
            *self.writing = Writing::Failed;
        }
        done
    }
}

/// How many keys of seen events are handed to their tree at once.
const SEEN_AT_ONCE: usize = 1 << 16;

/// Adds to a run of one tree, which begins with the first key; nothing more comes: ends it. (The library does not name
/// the type of a run that is being written.)
type OneRun<'a> = Box<dyn FnMut(Option<Run>) -> Result<(), WriteError> + 'a>;

fn one_run(tree: &Keyspace) -> OneRun<'_> {
    let mut begun = None;
    Box::new(move |run| {
        fault::reach("view::io")?;
        match run {
            Some(run) if run.is_empty() => {}
            Some(run) => {
                let ingestion = match &mut begun {
                    Some(ingestion) => ingestion,
                    none => none.insert(tree.start_ingestion()?),
                };
                for (key, value) in run {
                    match value {
                        Some(value) => ingestion.write(key, value)?,
                        None => ingestion.write_tombstone(key)?,
                    }
                }
            }
            None => begun.take().map_or(Ok(()), |ingestion| ingestion.finish())?,
        }
        Ok(())
    })
}

impl Batch {
    /// Writes it as sorted runs of the trees, past the journal and the memtables, for aggregates of which nobody has read
    /// anything. Worth it for hundreds of thousands of changes. Others can commit meanwhile.
    ///
    /// A crash may leave some of it without the rest, to be written again.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn commit_runs(self) -> Result<(), WriteError> {
        let shared = self.shared.clone();
        let trees = &shared.keyspaces;
        fault::reach("view::before_batch")?;
        let runs = self.into_runs();
        let known = shared.indexes();
        let indexes = match shared.is_bulk() {
            true => IndexChanges::default(),
            false => known.changes(&shared, &shared.written(), std::iter::once(&runs))?,
        };
        let touched = known.touched(&runs);
        let Runs { versions, current, heads, superseded, seen, folds, meta } = runs;
        // Entries of indexes come first, which do no harm without the rest: it would not be known later that they are missing.
        let of_trees = [
            (&trees.indexes, indexes.run),
            (&trees.versions, versions),
            (&trees.current, current),
            (&trees.heads, heads),
            (&trees.superseded, superseded),
            (&trees.seen, seen),
            (&trees.folds, folds),
        ];
        let mut runs = Vec::with_capacity(of_trees.len());
        for (tree, run) in of_trees {
            let mut one = one_run(tree);
            one(Some(run))?;
            runs.push(one);
        }
        let mut writing = shared.begin_write()?;
        let finish = || {
            shared.note_too_long(&indexes.too_long)?;
            shared.refill_changed(&known, &touched)?;
            for mut one in runs {
                one(None)?;
            }
            let mut batch = shared.db.batch();
            meta.add_to(&mut batch, &trees.meta);
            batch.commit()?;
            Ok(fault::reach("view::after_batch")?)
        };
        let finished = finish();
        match &finished {
            Ok(()) if shared.is_bulk() => {}
            // Nothing of it is cached: there is nothing to replace.
            Ok(()) => shared.publish(&[]),
            Err(_) => *writing = Writing::Failed,
        }
        finished
    }

    /// As sorted runs, two trees at a time; checkpoints and states come last.
    pub(crate) fn write_runs(self, shared: &Shared) -> Result<(), WriteError> {
        let trees = &shared.keyspaces;
        let Runs { versions, current, heads, superseded, seen, folds, meta } = self.into_runs();
        std::thread::scope(|scope| {
            let versions = scope.spawn(|| ingest(&trees.versions, versions));
            ingest(&trees.current, current)?;
            ingest(&trees.heads, heads)?;
            ingest(&trees.superseded, superseded)?;
            ingest(&trees.seen, seen)?;
            ingest(&trees.folds, folds)?;
            versions.join().map_err(|_| WriteError::Stopped)?
        })?;
        let mut batch = shared.db.batch();
        meta.add_to(&mut batch, &trees.meta);
        Ok(batch.commit()?)
    }
}

fn ingest(tree: &Keyspace, run: Run) -> Result<(), WriteError> {
    if run.is_empty() {
        return Ok(());
    }
    let mut one = one_run(tree);
    one(Some(run))?;
    one(None)
}
