//! Topics of a Kafka cluster as a source.
//!
//! ```text
//! subscribe ──▶ group assigns ──▶ start where the store stands ──▶ records, a chunk at a time
//!                    │                                                │
//!                    └── revokes ──▶ what was read is committed ──▶ released
//! ```
//!
//! The group protocol says *who* reads a partition; *where* it starts is said by whoever asks (the event store's own
//! offsets), never by the group's committed offsets: those are written for lag monitors only. Two readers of one
//! partition are therefore harmless: the store takes the commit of one and refuses the other's.

mod connection;
mod data_loss;
mod error;
mod metadata;
mod options;
mod partition;
mod records;
mod source;
mod start;
mod status;
mod token;
mod topics;

pub use error::KafkaError;
pub use options::{KafkaOptions, OnDataLoss};
pub use partition::TopicPartition;
pub use records::{KafkaRecord, Records, Span};
pub use source::{KafkaSource, Polled};
pub use start::{Start, StartError};
pub use status::{Hindrance, KafkaState, KafkaStatus, PartitionState, Reading};
pub use topics::{TopicPattern, TopicPatternError};
