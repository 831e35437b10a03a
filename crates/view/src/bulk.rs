//! Catching up from nothing: batches become sorted runs of the trees, past the journal and the memtables.
//!
//! The trees take their runs one after the other, so that a crash may leave some without the others. A mark in
//! `meta` says that a bulk load is under way; who opens a store with the mark starts again from nothing. Readers
//! are not concerned: what they see is published when all runs of a batch are in.

use std::sync::atomic::Ordering;

use fjall::Keyspace;

use crate::{Batch, ViewStore, WriteError, batch::Run, key, store::Shared};

impl ViewStore {
    /// Makes commits write sorted runs, until [`Self::end_bulk`]. Worth it for batches of tens of thousands of
    /// events; a crash before the end costs all that was written.
    ///
    /// # Errors
    /// [`WriteError::NotEmpty`] when something was folded before.
    pub fn begin_bulk(&self) -> Result<(), WriteError> {
        let shared = &self.shared;
        let _writing = shared.writing.lock().map_err(|_| WriteError::Stopped)?;
        for tree in [&shared.keyspaces.versions, &shared.keyspaces.current, &shared.keyspaces.seen] {
            if !tree.is_empty()? {
                return Err(WriteError::NotEmpty);
            }
        }
        shared.keyspaces.meta.insert(key::BULK, [])?;
        shared.bulk.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Ends a bulk load: from here on a crash costs nothing. Does nothing if there is none.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end_bulk(&self) -> Result<(), WriteError> {
        let shared = &self.shared;
        let _writing = shared.writing.lock().map_err(|_| WriteError::Stopped)?;
        if shared.is_bulk() {
            shared.keyspaces.meta.remove(key::BULK)?;
            shared.bulk.store(false, Ordering::SeqCst);
        }
        Ok(())
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
    let mut ingestion = tree.start_ingestion()?;
    for (key, value) in run {
        match value {
            Some(value) => ingestion.write(key, value)?,
            None => ingestion.write_tombstone(key)?,
        }
    }
    Ok(ingestion.finish()?)
}
