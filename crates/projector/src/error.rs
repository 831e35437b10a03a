//! What can go wrong.

use crate::Failure;

/// Why a projector cannot go on. Nothing is lost: what was not folded is in the store.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The event store cannot be read.
    #[error(transparent)]
    Store(#[from] deltafold_store::ReadError),
    /// The index cannot be read.
    #[error(transparent)]
    ViewRead(#[from] deltafold_view::ReadError),
    /// The index cannot be written.
    #[error(transparent)]
    ViewWrite(#[from] deltafold_view::WriteError),
    /// What a keeper remembers cannot be decoded.
    #[error("the memory of view {view} is damaged ({what}): remove the index directory to rebuild it")]
    Memory {
        /// The view.
        view: String,
        /// What is wrong with it.
        what: String,
    },
    /// What is known of origins cannot be decoded.
    #[error("what is known of origins is damaged ({0}): remove the index directory to rebuild it")]
    Origins(deltafold_relation::StateError),
    /// What is remembered of transactions cannot be decoded.
    #[error("the memory of transactions is damaged ({0}): remove the index directory to rebuild it")]
    Transactions(deltafold_relation::StateError),
    /// An event could not be folded.
    #[error("view {view} cannot be folded: {what}")]
    Fold {
        /// The view.
        view: String,
        /// Which event, and what is wrong with it.
        what: String,
    },
    /// Folding has stopped before the position that was waited for.
    #[error("folding has stopped: {0}")]
    Stopped(#[source] Failure),
}

impl ProjectorError {
    /// Whether the file system refused.
    pub fn is_disk(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, deltafold_store::ReadError::Disk { .. }),
            Self::ViewRead(error) => matches!(error, deltafold_view::ReadError::Io(_)),
            Self::ViewWrite(error) => matches!(error, deltafold_view::WriteError::Io(_)),
            Self::Memory { .. } | Self::Origins(_) | Self::Transactions(_) | Self::Fold { .. } => false,
            Self::Stopped(failure) => failure.is_disk,
        }
    }
}

impl From<ProjectorError> for Failure {
    fn from(error: ProjectorError) -> Self {
        Self { what: error.to_string().into(), is_disk: error.is_disk() }
    }
}
