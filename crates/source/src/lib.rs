//! Where records come from: files of JSON Lines, plain, gzip or zstd, and topics of a Kafka cluster.
//!
//! A file is known by its content, not by its name: its [`AppId`] is a digest of its first line, and how far it
//! was read is a [`Mark`], which holds a digest of everything before it. Before a file is resumed that digest is
//! verified; a file that begins like a known one but differs later is another file and gets a number (`#2`).
//!
//! Topics are read by a [`KafkaSource`], as one member of a consumer group; the store, not the group, says where each
//! partition starts.
//!
//! This crate hands on lines and records as bytes. What is in them is for `deltafold-cdc` to say, what was read before is
//! for the store to say, and both are brought together by `deltafold-ingest`. Nothing else uses rdkafka.
//!
//! ```
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("orders.jsonl");
//! # std::fs::write(&path, "{\"id\":1}\n{\"id\":2}\n").unwrap();
//! use deltafold_source::FileSource;
//!
//! let mut file = FileSource::open(&path, |_app_id| Vec::new())?.expect("it is not empty");
//! let mut lines = 0;
//! while let Some(chunk) = file.next_chunk()? {
//!     lines += chunk.lines().count();
//! }
//! assert_eq!(lines, 2);
//! # Ok::<(), deltafold_source::SourceError>(())
//! ```

mod app_id;
mod chunk;
mod compression;
mod digest;
mod error;
mod file;
mod identify;
mod kafka;
mod mark;
mod reader;

pub use app_id::AppId;
pub use chunk::{Chunk, Line, LineContent};
pub use compression::Compression;
pub use digest::{Digest, DigestError};
pub use error::SourceError;
pub use file::{FileSource, Growth};
pub use kafka::{
    Hindrance, KafkaError, KafkaOptions, KafkaRecord, KafkaSource, KafkaState, KafkaStatus, OnDataLoss, PartitionState,
    Polled, Reading, Records, Span, Start, StartError, TopicPartition, TopicPattern, TopicPatternError,
};
pub use mark::Mark;
pub use reader::{KEPT_OF_OVERLONG_BYTES, LINE_LIMIT_BYTES};
