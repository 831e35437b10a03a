//! What can go wrong, by operation.

use std::{error::Error, io, path::PathBuf};

use deltafold_event::{EventId, Position};
use object_store::path::Path;
use parquet::errors::ParquetError;

use crate::{ExpectedRevision, disk};

/// The file system refused. Nothing was lost, and nothing is half visible: try again when the disk is well.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// ENOSPC, EDQUOT.
    #[error("no space left for {path}: free some and try again")]
    Full {
        /// The file or directory.
        path: String,
    },
    /// EROFS, EACCES, EPERM.
    #[error("{path} cannot be written ({reason}): make it writable and try again")]
    ReadOnly {
        /// The file or directory.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
    /// EIO and whatever else.
    #[error("the disk failed on {path} ({reason}): check it and try again")]
    Failed {
        /// The file or directory.
        path: String,
        /// What the system says.
        reason: io::Error,
    },
}

/// Why a data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Made by another version of Deltafold.
    #[error(
        "{path} has data of format {found}, and this version reads format {expected}: use the version that made it"
    )]
    Version {
        /// The data directory.
        path: PathBuf,
        /// What its marker says.
        found: String,
        /// What we write.
        expected: u32,
    },
    /// Something in it is not as we write it.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The file system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log or a file could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why events cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// A log entry is not what an entry must be.
    #[error("log entry {version} of {table} is damaged ({what}): run `deltafold verify`")]
    Entry {
        /// `events` or `dead_letters`.
        table: String,
        /// The commit's version.
        version: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A log entry is whole, and says what we never say.
    #[error("log entry {version} of {table} was written by another program ({what}): only Deltafold may write there")]
    Foreign {
        /// `events` or `dead_letters`.
        table: String,
        /// The commit's version.
        version: u64,
        /// What it says.
        what: String,
    },
    /// A data file or checkpoint is missing or cannot be decoded.
    #[error("file {file} cannot be read ({what}): run `deltafold verify`")]
    File {
        /// Its path in the table.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// The file system refused.
    #[error("the disk failed reading {file} ({what}): check it and try again")]
    Disk {
        /// Its path in the table.
        file: String,
        /// What the system says.
        what: String,
    },
}

impl ReadError {
    /// A file whose content is not what it must be.
    pub(crate) fn file(path: &Path, what: String) -> Self {
        Self::File { file: path.to_string(), what }
    }

    pub(crate) fn of_object(path: &Path, error: &object_store::Error) -> Self {
        Self::of_failure(path.as_ref(), error)
    }

    pub(crate) fn of_parquet(path: &Path, error: &ParquetError) -> Self {
        Self::of_failure(path.as_ref(), error)
    }

    /// The disk's failure, or else the file's.
    pub(crate) fn of_failure(path: &str, error: &(dyn Error + 'static)) -> Self {
        let (file, what) = (path.to_owned(), error.to_string());
        if disk::is_disk_failure(error) { Self::Disk { file, what } } else { Self::File { file, what } }
    }
}

/// Why an append was not made. After each but [`AppendError::Conflict`] and [`AppendError::TooLarge`] the same
/// append may be tried again; whether the first attempt counts after all, the offsets tell.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer was first: read again what the store holds, and decide.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// More than one commit can hold.
    #[error("{events} events of {bytes} bytes are more than one commit can hold: append fewer at a time")]
    TooLarge {
        /// How many.
        events: usize,
        /// How large.
        bytes: usize,
    },
    /// The file system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What other writers committed could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What another writer did first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// It moved one of our app ids.
    #[error("{app_id} is at {found:?}, not at {expected:?}: another process reads the same source")]
    Moved {
        /// The app id.
        app_id: String,
        /// What the append expected.
        expected: Option<i64>,
        /// What the store says.
        found: Option<i64>,
    },
    /// It has claimed an aggregate that the append claims (an event of type `$table` or `$dead_letter`).
    #[error("{aggregate_type} {aggregate_id} is claimed already, below position {below}")]
    Claimed {
        /// The aggregate's type.
        aggregate_type: String,
        /// The aggregate's id.
        aggregate_id: String,
        /// Read the control events below this position to see by whom.
        below: Position,
    },
    /// The aggregate is not at the revision that was expected.
    #[error("{aggregate_type} {aggregate_id} is at revision {found}, and {expected} was expected")]
    Revision {
        /// The aggregate's type.
        aggregate_type: String,
        /// The aggregate's id.
        aggregate_id: String,
        /// What was expected.
        expected: ExpectedRevision,
        /// Where it is: 0 without any event.
        found: u64,
    },
    /// Some of the events are in the store, and others are not: they are not the append that was made before.
    #[error("the event {event} is there already, and others that come with it are not: append those alone")]
    Partly {
        /// One that is there.
        event: EventId,
    },
    /// The aggregate type is a source table's.
    #[error("{aggregate_type} is fed by a source table: only that changes it; append to a type of another name")]
    Fed {
        /// The aggregate's type.
        aggregate_type: String,
    },
}

/// Why the store's care failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The file system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file or log entry could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another process has done the same meanwhile.
    #[error("another process maintains the store: {0}")]
    Superseded(String),
    /// The checkpoint could not be written.
    #[error("checkpoint {version} could not be written ({what}): the log is whole without it")]
    Checkpoint {
        /// Of this version.
        version: u64,
        /// What went wrong.
        what: String,
    },
}
