//! Reading on: the entries that other processes have added.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt, stream};

use super::{Table, Turn, entry::Entry, snapshot::LastCheckpoint};
use crate::{ReadError, blocking, disk};

/// How many entries are read at once when there are more.
const AHEAD: u64 = 16;

impl Table {
    /// Reads on to the end of the log, unless that was done less than `since` ago or is being done.
    pub(crate) async fn look(&self, since: Duration) -> Result<(), ReadError> {
        match self.turn.try_lock() {
            Ok(mut turn) if turn.looked.elapsed() >= since => self.follow(&mut turn).await,
            _ => Ok(()),
        }
    }

    /// Reads on to the end of the log.
    pub(crate) async fn refresh(&self) -> Result<(), ReadError> {
        let mut turn = self.turn.lock().await;
        self.follow(&mut turn).await
    }

    pub(super) async fn follow(&self, turn: &mut Turn) -> Result<(), ReadError> {
        if turn.looked.elapsed() > Self::TRUST {
            self.compare(turn).await?;
        }
        // At the tip there is one entry at most; far behind there are many.
        let mut ahead = 1;
        loop {
            if self.follow_entries(ahead).await? > 0 {
                ahead = AHEAD.min(ahead * 2);
                continue;
            }
            // Nothing there: not written yet, or cleaned long ago.
            if turn.compared.elapsed() < Duration::from_secs(1) || !self.compare(turn).await? {
                break;
            }
        }
        turn.looked = Instant::now();
        Ok(())
    }

    /// Takes in the entries after the last known, some at a time; says how many there were.
    async fn follow_entries(&self, ahead: u64) -> Result<u64, ReadError> {
        let next = self.state().version + 1;
        let Some(first) = self.read_entry(next).await? else { return Ok(0) };
        let more = next + 1..next + ahead;
        let more: Vec<Option<Entry>> =
            stream::iter(more).map(|version| self.read_entry(version)).buffered(8).try_collect().await?;
        // An entry is visible before its directory is synced: by whoever hands it on, at the latest (D11).
        self.sync_log().await?;
        let entries = std::iter::once(Some(first)).chain(more).map_while(|entry| entry);
        let mut count = 0;
        for entry in entries {
            let version = entry.version;
            self.change(|state| state.apply(entry)).map_err(|what| self.foreign(version, what))?;
            count += 1;
        }
        self.publish();
        Ok(count)
    }

    /// Starts again from the newest checkpoint if it is ahead of what is known; says whether it was.
    pub(super) async fn compare(&self, turn: &mut Turn) -> Result<bool, ReadError> {
        turn.compared = Instant::now();
        let Some(last) = LastCheckpoint::read(self.store.as_ref()).await? else { return Ok(false) };
        if last.version <= self.state().version {
            return Ok(false);
        }
        let mut loaded = last.load(self.store.as_ref()).await?;
        self.change(|state| {
            loaded.committed_at = loaded.committed_at.max(state.committed_at);
            *state = loaded;
        });
        self.publish();
        Ok(true)
    }

    /// The version of the newest published checkpoint.
    pub(crate) async fn last_checkpoint(&self) -> Result<Option<u64>, ReadError> {
        Ok(LastCheckpoint::read(self.store.as_ref()).await?.map(|last| last.version))
    }

    /// The entry of a version; none if there is none (yet, or any more).
    pub(crate) async fn read_entry(&self, version: u64) -> Result<Option<Entry>, ReadError> {
        let bytes = self
            .log
            .read_commit_entry(version)
            .await
            .map_err(|error| ReadError::of_failure(&entry_path(version), &error))?;
        bytes.map(|bytes| Entry::parse(version, &bytes)).transpose().map_err(|what| self.damaged(version, what))
    }

    pub(super) async fn sync_log(&self) -> Result<(), ReadError> {
        let dir = self.log_dir();
        blocking(move || disk::sync_dir(&dir))
            .await
            .map_err(|error| ReadError::Disk { file: "_delta_log".to_owned(), what: error.to_string() })
    }

    pub(super) fn foreign(&self, version: u64, what: String) -> ReadError {
        ReadError::Foreign { table: self.name.to_owned(), version, what }
    }

    pub(super) fn damaged(&self, version: u64, what: String) -> ReadError {
        ReadError::Entry { table: self.name.to_owned(), version, what }
    }
}

pub(super) fn entry_path(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}
