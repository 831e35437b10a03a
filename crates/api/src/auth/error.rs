//! What can be wrong with what tokens are checked by.

use std::{io, path::PathBuf};

/// What can be wrong with what tokens are checked by.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A line of the tokens' file is none.
    #[error("{}:{line}: {what}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What was expected there.
        what: String,
    },
    /// A file has no key that JWTs can be checked by.
    #[error("{}: {what}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What was expected.
        what: String,
    },
    /// A name that a token cannot have.
    #[error("{0}")]
    Name(String),
    /// The system gave no random bytes.
    #[error("the system has no random numbers to make a token of")]
    Random,
}
