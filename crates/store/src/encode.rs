//! Rows to Parquet.

mod dead_letters;
mod events;
mod parquet_file;
mod statistics;

pub(crate) use dead_letters::dead_letters;
pub(crate) use events::{events, raw_bytes};
pub(crate) use parquet_file::{PIECE_ROWS, write};

/// A data file in memory, and what its Add will say.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) statistics: String,
}
