//! Decoders: the bytes of a change record become events, or a reason why they cannot.
//!
//! This crate is pure: no I/O, no clock, no randomness; what it decodes depends on the record and the
//! configuration alone (its caches only save work), so several decoders may share a stream. It knows Debezium's
//! envelope and the lines of input files; it knows nothing of where records come from (`deltafold-source`), nor
//! of what their order means (`deltafold-relation`).
//!
//! ```
//! use deltafold_cdc::{Decoder, DecoderConfig, LineHome, LineReader};
//!
//! let line = br#"{"key":{"id":7},"value":{"before":null,"after":{"id":7,"status":"paid"},"op":"c","source":
//!     {"connector":"postgresql","name":"shop","ts_us":1790582400029070,"db":"shop","schema":"public",
//!      "table":"orders","txId":730,"lsn":26492464}}}"#;
//! let mut lines = LineReader::default();
//! let mut decoder = Decoder::new(DecoderConfig::default());
//! let mut decoded = Vec::new();
//! let record = lines.read(line, LineHome { topic: "file/0123", line: 1 })?;
//! assert_eq!(decoder.decode(&record, &mut decoded)?, None, "nothing to ignore");
//! assert_eq!(decoded[0].event.aggregate_id.as_deref(), Some("7"));
//! assert_eq!(&*decoded[0].event.aggregate_type, "orders");
//! # Ok::<(), deltafold_cdc::DecodeError>(())
//! ```

mod classify;
mod config;
mod decoder;
mod envelope;
mod error;
mod event_types;
mod headers;
mod identity;
mod json;
mod key;
mod limits;
mod line;
mod line_shape;
mod message;
mod metadata;
mod moment;
mod outbox;
mod position;
mod record;
mod row_event;
mod row_key;
mod scan;
mod source_block;
mod table;
mod tables;
mod transaction;
mod unescape;
mod walk;
mod wrapper;

pub use classify::Format;
pub use config::{AggregateConfig, DecoderConfig, NameTemplate, NameTemplateError, OutboxColumns};
pub use decoder::{Decoded, Decoder, Ignored};
pub use error::DecodeError;
pub use headers::Headers;
pub use limits::Limits;
pub use line::{LineHome, LineReader};
pub use record::Record;
pub use table::TableName;
pub use transaction::transaction_end;
