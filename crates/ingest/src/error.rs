//! What can stop an ingestion.

use deltafold_source::{KafkaError, SourceError};
use deltafold_store::{AppendError, Conflict, ReadError};

/// What can stop an ingestion. Everything that was committed stays; running it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The file cannot be read, or not any further.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The topics cannot be read, or not any further.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The store cannot be appended to.
    #[error(transparent)]
    Append(AppendError),
    /// The store cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another process was first, again and again.
    #[error("{attempts} attempts were lost to other writers, the last because {last}: stop one of them and run again")]
    Contended {
        /// How often it was tried.
        attempts: u32,
        /// Who was first at last.
        last: Conflict,
    },
    /// What the store holds of a file is not what we write there.
    #[error("the `$file` event of {app_id} is damaged ({what}): run `deltafold verify`")]
    Mark {
        /// The file.
        app_id: String,
        /// What is wrong with it.
        what: String,
    },
    /// A claim in the store is not what we write there.
    #[error("the `$table` event of {aggregate_type} is damaged ({what}): run `deltafold verify`")]
    Claim {
        /// The aggregate type.
        aggregate_type: String,
        /// What is wrong with it.
        what: String,
    },
}
