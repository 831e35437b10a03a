//! What can be wrong with a configuration.

use std::path::PathBuf;

/// What can be wrong with a configuration: always with the key and where it was set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file named on the command line is not there.
    #[error("{}: no such file", .0.display())]
    NoFile(PathBuf),
    /// The file is not TOML.
    #[error("{from}: {what}")]
    Syntax {
        /// The file.
        from: String,
        /// Where, and what was expected.
        what: String,
    },
    /// There is no such key.
    #[error("{from}: there is no key {key}{}", .nearest.as_ref().map(|nearest| format!("; the nearest is {nearest}")).unwrap_or_default())]
    UnknownKey {
        /// Where it was set.
        from: String,
        /// The key.
        key: String,
        /// The nearest that there is.
        nearest: Option<String>,
    },
    /// The value does not fit.
    #[error("{from}: {key}: {what}")]
    Value {
        /// Where it was set.
        from: String,
        /// The key.
        key: String,
        /// What was expected.
        what: String,
    },
    /// A key is needed and was not set.
    #[error("{key} is not set: {what}")]
    Missing {
        /// The key.
        key: String,
        /// What it is for.
        what: String,
    },
}
