//! Why a batch cannot be folded.

use deltafold_event::{Position, SchemaId, ValueError};

/// Why a batch cannot be folded. Nothing of it is; the keeper must be made anew from the state on disk.
#[derive(Debug, thiserror::Error)]
pub enum FoldError<E> {
    /// The memory could not be read.
    #[error("the relation's memory cannot be read: {0}")]
    Memory(E),
    /// No `$schema` event has told of the schema.
    #[error(
        "the event at position {position} has schema {schema}, of which no $schema event told: run `deltafold verify`"
    )]
    Schema {
        /// The event's position.
        position: Position,
        /// Its schema.
        schema: SchemaId,
    },
    /// The row is not what its schema says.
    #[error("the event at position {position} has a row that cannot be read: {reason}")]
    Row {
        /// The event's position.
        position: Position,
        /// What is wrong with it.
        reason: ValueError,
    },
    /// A change without an aggregate id that is not a truncate.
    #[error("the event at position {position} belongs to no aggregate and is not a truncate: its decoder is at fault")]
    NoAggregate {
        /// The event's position.
        position: Position,
    },
    /// The metadata is not ours.
    #[error("the event at position {position} has metadata that cannot be read: {reason}")]
    Metadata {
        /// The event's position.
        position: Position,
        /// What is wrong with it.
        reason: String,
    },
}
