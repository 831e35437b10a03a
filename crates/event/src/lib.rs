//! What every other crate of Deltafold speaks of: events, their ids, positions and operations, and typed
//! values with their JSON.
//!
//! This crate is pure: no I/O, no async, no clock, no randomness. It knows nothing of Debezium's wire format
//! (`deltafold-cdc`), of Delta (`deltafold-store`) or of folding (`deltafold-relation`). What it knows of sources is
//! how the values of their rows are written ([`RowSchema`], [`canonical_row`]).
//!
//! ```
//! use deltafold_event::Position;
//! let position = Position::new(7, 42).expect("in range");
//! assert_eq!((position.version(), position.ordinal()), (7, 42));
//! assert_eq!(position.to_string().parse::<Position>().expect("round-trips"), position);
//! ```

mod aggregate_id;
pub mod arrays;
mod calendar;
mod coerce;
mod column_type;
mod columns;
mod connect_schema;
mod decimal;
mod event;
mod id;
mod metadata;
mod operation;
mod order;
mod position;
mod row;
mod scan;
mod schema_column;
mod source_position;
mod timestamp;
mod transaction_end;
mod unchanged;
mod value;
mod wire;

pub use aggregate_id::aggregate_id;
pub use coerce::coerce;
pub use column_type::{ColumnType, ColumnTypeError};
pub use columns::{Column, Columns, Seen};
pub use connect_schema::{RowSchema, SchemaError, SchemaId};
pub use event::{Coordinates, Event, StoredEvent, control};
pub use id::{EventId, Identity};
pub use metadata::Metadata;
pub use operation::Operation;
pub use order::OrderKey;
pub use position::{Position, PositionError};
pub use row::{Row, members};
pub use scan::RawMembers;
pub use schema_column::SchemaColumn;
pub use source_position::{Binlog, SourcePosition};
pub use timestamp::{Timestamp, TimestampError};
pub use transaction_end::TransactionEnd;
pub use value::{Canonical, ValueError, canonical_row, unescaped};
