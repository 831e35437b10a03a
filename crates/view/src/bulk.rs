//! Catching up from nothing: batches become sorted runs of the trees, past the journal and the memtables.
//!
//! The trees take their runs one after the other, so that a crash may leave some without the others. A mark in
//! `meta` says that a bulk load is under way; who opens a store with the mark starts again from nothing. Readers
//! see all of it when it has ended, and nothing before; [`ViewStore::written`] is for the one who writes.

use std::sync::{Arc, atomic::Ordering};

use fjall::Keyspace;

use crate::{Batch, Snapshot, ViewStore, WriteError, batch::Run, fault, key, snapshot::Moment, store::Shared};

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
            shared.publish(&Run::default());
        }
        Ok(())
    }

    /// The store with everything that was committed, what a bulk load keeps from readers included.
    pub fn written(&self) -> Snapshot {
        if !self.shared.is_bulk() {
            return self.snapshot();
        }
        // Nothing is cached during a bulk load, and nothing read here may be: it is of no published commit.
        let moment = Moment { trees: self.shared.db.snapshot(), commit: u64::MAX };
        Snapshot { shared: self.shared.clone(), moment: Arc::new(moment) }
    }

    /// Whether a bulk load is under way.
    pub fn is_bulk(&self) -> bool {
        self.shared.is_bulk()
    }
}

impl Batch {
    /// As sorted runs, two trees at a time; checkpoints and states come last.
    pub(crate) fn write_runs(self, shared: &Shared) -> Result<(), WriteError> {
        let trees = &shared.keyspaces;
        let Self { versions, current, heads, superseded, seen, meta, .. } = self;
        std::thread::scope(|scope| {
            let versions = scope.spawn(|| ingest(&trees.versions, versions));
            ingest(&trees.current, current)?;
            ingest(&trees.heads, heads)?;
            ingest(&trees.superseded, superseded)?;
            ingest(&trees.seen, seen)?;
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
    fault::reach("view::io")?;
    let mut ingestion = tree.start_ingestion()?;
    for (key, value) in run {
        match value {
            Some(value) => ingestion.write(key, value)?,
            None => ingestion.write_tombstone(key)?,
        }
    }
    Ok(ingestion.finish()?)
}
