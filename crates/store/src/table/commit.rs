//! Committing: the next log entry, or a conflict with whoever wrote it first.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use chrono::Utc;
use deltafold_event::Timestamp;
use deltalake::{
    kernel::transaction::TransactionError,
    logstore::{CommitOrBytes, LogStore},
};
use uuid::Uuid;

use super::{
    Table, Turn,
    entry::{Draft, Entry, NewFile},
    file::{Control, DataFile, Place, Tags},
    follow::entry_path,
    snapshot::LastCheckpoint,
    state::State,
};
use crate::{AppendError, Conflict, DiskError, MaintenanceError, Offset, ReadError, blocking, disk, fault};

/// How often a commit is tried that others beat: each time they got on, so this is never reached by bad luck.
const ATTEMPTS: usize = 10_000;

/// A commit to be made.
#[derive(Default)]
pub(crate) struct Proposal<'a> {
    /// The file it brings.
    pub(crate) file: Option<(&'a NewFile, Tags)>,
    /// The files that this one replaces.
    pub(crate) replaces: &'a [Arc<DataFile>],
    /// Source offsets.
    pub(crate) offsets: &'a [Offset],
    /// Control aggregates that must not have an event yet.
    pub(crate) claims: &'a [Control],
    /// What must hold of all that it follows.
    pub(crate) check: Option<Check<'a>>,
    /// The fault points around the log entry.
    pub(crate) points: [&'static str; 2],
}

/// Told the version that a commit would follow, whether it may; it must not wait for anything, as other commits wait for
/// it.
pub(crate) type Check<'a> = &'a (dyn Fn(u64) -> Result<(), CommitError> + Send + Sync);

/// Why a commit was not made.
#[derive(Debug)]
pub(crate) enum CommitError {
    Append(AppendError),
    /// A file that it replaces is gone.
    Superseded(String),
    /// What it would follow is not known to who makes it: to be read first.
    Behind,
}

impl From<Conflict> for CommitError {
    fn from(error: Conflict) -> Self {
        Self::Append(error.into())
    }
}

impl From<AppendError> for CommitError {
    fn from(error: AppendError) -> Self {
        Self::Append(error)
    }
}

impl From<DiskError> for CommitError {
    fn from(error: DiskError) -> Self {
        Self::Append(error.into())
    }
}

impl From<ReadError> for CommitError {
    fn from(error: ReadError) -> Self {
        Self::Append(error.into())
    }
}

impl From<CommitError> for AppendError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Append(error) => error,
            CommitError::Superseded(path) => {
                Self::Read(ReadError::File { file: path, what: "it was replaced meanwhile".to_owned() })
            }
            CommitError::Behind => unreachable!("only who gives a check is told so, and reads on"),
        }
    }
}

impl From<CommitError> for MaintenanceError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Superseded(path) => Self::Superseded(format!("{path} was replaced meanwhile")),
            CommitError::Append(AppendError::Disk(error)) => Self::Disk(error),
            CommitError::Append(AppendError::Read(error)) => Self::Read(error),
            CommitError::Append(error) => Self::Superseded(error.to_string()),
            CommitError::Behind => unreachable!("the store's care gives no check"),
        }
    }
}

impl Table {
    /// Makes a commit. `done` is called with its version and time when it is durable, before readers see it.
    pub(crate) async fn commit<T>(
        &self,
        proposal: &Proposal<'_>,
        done: impl FnOnce(u64, Timestamp) -> T,
    ) -> Result<T, CommitError> {
        let mut turn = self.turn.lock().await;
        if turn.looked.elapsed() > Self::TRUST {
            self.follow(&mut turn).await?;
        }
        for _ in 0..ATTEMPTS {
            let (version, committed_at, bytes) = {
                let state = self.state();
                proposal.check(&state)?;
                let version = state.version + 1;
                let committed_at = Timestamp::from(Utc::now()).max(state.committed_at);
                (version, committed_at, proposal.draft(version, committed_at).to_bytes(committed_at))
            };
            if !self.write_entry(version, &bytes, proposal).await? {
                self.follow(&mut turn).await?;
                continue;
            }
            if !self.is_read(version, &bytes, proposal, &mut turn).await? {
                continue;
            }
            let entry = Entry::parse(version, &bytes).and_then(|entry| self.change(|state| state.apply(entry)));
            entry.map_err(|what| self.damaged(version, what))?;
            turn.looked = Instant::now();
            let result = done(version, committed_at);
            self.publish();
            return Ok(result);
        }
        let reason = std::io::Error::other(format!("other writers were first {ATTEMPTS} times"));
        Err(DiskError::Failed { path: self.log_dir().display().to_string(), reason }.into())
    }

    /// Writes an entry; false if another writer has this version.
    async fn write_entry(&self, version: u64, bytes: &Bytes, proposal: &Proposal<'_>) -> Result<bool, CommitError> {
        let path = || self.dir.join(entry_path(version)).display().to_string();
        let [before, after] = proposal.points;
        fault::reach(before).map_err(|error| disk::disk_error(&error, &path()))?;
        let written =
            self.log.write_commit_entry(version, CommitOrBytes::LogBytes(bytes.clone()), Uuid::new_v4()).await;
        match written {
            Ok(()) => {}
            Err(TransactionError::VersionAlreadyExists(_)) => return Ok(false),
            // The entry may be in its place all the same, its directory not yet synced: then this makes it durable,
            // or leaves it to whoever reads it next.
            Err(error) => match self.log.read_commit_entry(version).await {
                Ok(Some(found)) if found == *bytes && self.sync_log().await.is_ok() => {}
                _ => return Err(disk::disk_error(&error, &path()).into()),
            },
        }
        fault::reach(after).map_err(|error| disk::disk_error(&error, &path()))?;
        Ok(true)
    }

    /// Whether an entry that was just written will be read. If a checkpoint ahead of it was published while this
    /// process slept, its version may have been used and cleaned long ago: then the entry is removed, and what is
    /// known starts again from the checkpoint.
    async fn is_read(
        &self,
        version: u64,
        bytes: &Bytes,
        proposal: &Proposal<'_>,
        turn: &mut Turn,
    ) -> Result<bool, CommitError> {
        let Some(last) = LastCheckpoint::read(self.store.as_ref()).await? else { return Ok(true) };
        if last.version < version {
            return Ok(true);
        }
        let state = last.load(self.store.as_ref()).await?;
        let read = match &proposal.file {
            Some((file, _)) => {
                state.files.has_path(&file.path)
                    || last.load_removed(self.store.as_ref()).await?.iter().any(|(path, _)| *path == file.path)
            }
            None => proposal.offsets.iter().all(|offset| state.txns.get(&offset.app_id) >= Some(&offset.next)),
        };
        if read {
            return Ok(true);
        }
        let path = self.dir.join(entry_path(version));
        if self.log.read_commit_entry(version).await.ok().flatten().as_ref() == Some(bytes) {
            let shown = path.display().to_string();
            blocking(move || disk::remove(&path)).await.map_err(|error| disk::disk_error(&error, &shown))?;
        }
        self.compare(turn).await?;
        self.follow(turn).await?;
        Ok(false)
    }
}

impl Proposal<'_> {
    /// Whether it may follow what is known.
    fn check(&self, state: &State) -> Result<(), CommitError> {
        if let Some(check) = self.check {
            check(state.version)?;
        }
        for offset in self.offsets {
            let found = state.txns.get(&offset.app_id).copied();
            if found != offset.expected {
                let (app_id, expected) = (offset.app_id.clone(), offset.expected);
                return Err(Conflict::Moved { app_id, expected, found }.into());
            }
        }
        for (aggregate_type, id) in self.claims {
            if state.files.has_control(aggregate_type, id) {
                let (aggregate_type, aggregate_id) = (aggregate_type.to_string(), id.to_string());
                return Err(Conflict::Claimed { aggregate_type, aggregate_id, below: state.end() }.into());
            }
        }
        match self.replaces.iter().find(|file| !state.files.has_path(&file.path)) {
            Some(file) => Err(CommitError::Superseded(file.path.clone())),
            None => Ok(()),
        }
    }

    fn draft(&self, version: u64, committed_at: Timestamp) -> Draft<'_> {
        let adds = self.file.iter().map(|(file, tags)| {
            let mut tags = tags.clone();
            if let Place::Version(_) = tags.place {
                tags = Tags { place: Place::Version(version), committed_at, ..tags };
            }
            (*file, tags.to_map())
        });
        Draft {
            adds: adds.collect(),
            removes: self.replaces.iter().map(|file| (file.path.clone(), file.size)).collect(),
            txns: self.offsets.iter().map(|offset| (offset.app_id.clone(), offset.next)).collect(),
        }
    }
}
