//! What can go wrong.

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
    Stopped(String),
}
