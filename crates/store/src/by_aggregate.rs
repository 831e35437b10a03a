//! Reading the beginning of the log aggregate by aggregate, for whoever folds it from nothing.

use std::sync::Arc;

use deltafold_event::{Position, StoredEvent, Timestamp};

use crate::{
    EventStore, ReadError, blocking,
    read::{Merged, ParquetFile},
    table::file::DataFile,
};

/// How many files are open at once.
const FILES: usize = 512;
/// How much of an open file is in memory, at most: a page of each column, and what is decoded of it.
const OPEN_FILE_BYTES: u64 = 4 << 20;
/// How much of all open files is in memory.
const OPEN_BYTES: u64 = 512 << 20;
/// How many rows of all open files are decoded at once.
const ROWS: usize = 32_768;

/// The events of the first files of the log, aggregate by aggregate. Reading blocks.
#[derive(Debug)]
pub struct ByAggregate {
    merged: Merged,
    end: Position,
    committed_at: Timestamp,
}

impl EventStore {
    /// Reads the log from its beginning, as much of it as can be merged at once.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub async fn by_aggregate(&self) -> Result<ByAggregate, ReadError> {
        match self.merge_first().await {
            // A file that compaction has replaced may be gone before it is opened; its rows are in another then.
            Err(_) => {
                self.events().refresh().await?;
                self.merge_first().await
            }
            merged => merged,
        }
    }

    async fn merge_first(&self) -> Result<ByAggregate, ReadError> {
        let (files, end, committed_at) = {
            let state = self.events().state();
            let mut bytes = 0;
            let fits = |file: &&Arc<DataFile>| {
                bytes += file.raw_bytes.min(OPEN_FILE_BYTES);
                bytes <= OPEN_BYTES
            };
            let files: Vec<Arc<DataFile>> = state.files.iter().take_while(fits).take(FILES).cloned().collect();
            match files.last().filter(|_| files.len() < state.files.iter().len()) {
                Some(last) => (files.clone(), last.last.next(), last.committed_at),
                None => (files, state.end(), state.committed_at),
            }
        };
        let mut sources = Vec::with_capacity(files.len());
        for file in files {
            sources.push((ParquetFile::source(self.events().store.as_ref(), &file).await?, file));
        }
        blocking(move || {
            let rows_at_once = (ROWS / sources.len().max(1)).clamp(256, 8_192);
            let files = sources.into_iter().map(|(source, file)| ParquetFile::new(file, source, false));
            let merged = Merged::open(files.collect::<Result<_, _>>()?, rows_at_once)?;
            Ok(ByAggregate { merged, end, committed_at })
        })
        .await
    }
}

impl ByAggregate {
    /// All events below it are read, and no others.
    pub fn end(&self) -> Position {
        self.end
    }

    /// When the last of these events were recorded.
    pub fn committed_at(&self) -> Timestamp {
        self.committed_at
    }

    /// Puts the next aggregate's events into `events`, by position; those of a type that belong to none come before
    /// its aggregates. Types come in their order, aggregates in that of their ids. Of more than `most` events one more
    /// than that is put there. False at the end.
    ///
    /// Metadata is `{}` where folding finds nothing in it ([`deltafold_event::Metadata::is_plain`]). Events that nobody
    /// needs any more may be in `spare`: they are written over rather than made anew.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn next(
        &mut self,
        most: usize,
        events: &mut Vec<StoredEvent>,
        spare: &mut Vec<StoredEvent>,
    ) -> Result<bool, ReadError> {
        self.merged.next(most, events, spare)
    }
}
