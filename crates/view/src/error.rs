//! What can go wrong.

use std::path::PathBuf;

/// Why a view store does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("the index {dir} is in use by another process: stop it, or talk to it with --url")]
    Locked {
        /// The index directory.
        dir: PathBuf,
    },
    /// Another version of the program wrote it.
    #[error("the index {dir} has format {found}, this version reads {expected}: remove the directory to rebuild it")]
    Version {
        /// The index directory.
        dir: PathBuf,
        /// The format on disk.
        found: String,
        /// The format of this program.
        expected: u32,
    },
    /// Its files do not fit together. [`crate::ViewStore::reset`] empties it, to be folded again.
    #[error("the index {dir} is damaged and has to be rebuilt: {reason}")]
    Corrupt {
        /// The index directory.
        dir: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The file system refused.
    #[error("cannot open the index {dir}: {source}")]
    Io {
        /// The index directory.
        dir: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file system refused.
    #[error("cannot read the index: {0}")]
    Io(#[from] std::io::Error),
    /// What is on disk is not what was written: the index has to be rebuilt.
    #[error("the index is damaged and has to be rebuilt: {0}")]
    Corrupt(String),
}

/// Why a batch was not written. Nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refused.
    #[error("cannot write the index: {0}: once the disk takes writes again, start again; nothing is lost")]
    Io(#[from] std::io::Error),
    /// What is on disk is not what was written: the index has to be rebuilt.
    #[error("the index is damaged and has to be rebuilt: {0}")]
    Corrupt(String),
    /// A write or a background task failed before; the store takes no more until it is opened again.
    #[error("the index stopped after a failed write: restart to recover it")]
    Stopped,
    /// The key does not fit.
    #[error("the key of a row of {mirror} is {bytes} bytes long, at most {limit} fit the index")]
    KeyTooLong {
        /// The mirror.
        mirror: String,
        /// Its length as stored.
        bytes: usize,
        /// The longest possible.
        limit: usize,
    },
    /// Bulk writing was asked for on a store that holds something.
    #[error("the index is not empty: bulk writing starts from nothing")]
    NotEmpty,
}

impl From<fjall::Error> for ReadError {
    fn from(error: fjall::Error) -> Self {
        match io_of(error) {
            Ok(error) => Self::Io(error),
            Err(reason) => Self::Corrupt(reason),
        }
    }
}

impl From<fjall::Error> for WriteError {
    fn from(error: fjall::Error) -> Self {
        if matches!(error, fjall::Error::Poisoned | fjall::Error::KeyspaceDeleted) {
            return Self::Stopped;
        }
        match io_of(error) {
            Ok(error) => Self::Io(error),
            Err(reason) => Self::Corrupt(reason),
        }
    }
}

impl From<ReadError> for WriteError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io(error) => Self::Io(error),
            ReadError::Corrupt(reason) => Self::Corrupt(reason),
        }
    }
}

/// The file system's error inside, or else a description. A file that is missing is damage.
pub(crate) fn io_of(error: fjall::Error) -> Result<std::io::Error, String> {
    match error {
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => match error.kind() {
            std::io::ErrorKind::NotFound
            | std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::AlreadyExists => Err(error.to_string()),
            _ => Ok(error),
        },
        other => Err(other.to_string()),
    }
}
