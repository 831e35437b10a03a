//! What can go wrong with a file.

use std::{io, path::PathBuf};

use crate::Compression;

/// Why a file cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It cannot be opened.
    #[error("cannot open {}: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// It cannot be read on; everything before `byte` was handed on.
    #[error("cannot read {} beyond byte {byte}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The first byte, decompressed, that was not handed on.
        byte: u64,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The compressed stream stops before its end; everything before `byte` was handed on.
    #[error("{} ends in the middle of its {compression} stream, at byte {byte} of what it holds: fetch the rest and run again", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        compression: Compression,
        /// The first byte, decompressed, that was not handed on.
        byte: u64,
    },
    /// Only plain files grow line by line.
    #[error("cannot follow {}: it is {compression}, and only plain files can be followed", path.display())]
    NotFollowable {
        /// The file.
        path: PathBuf,
        /// How it is compressed.
        compression: Compression,
    },
    /// It became shorter while it was followed.
    #[error("{} became shorter than the {byte} bytes read of it: it was truncated in place; run again to read it as a new file", path.display())]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// How far it had been read.
        byte: u64,
    },
}
