//! Parquet to rows.

mod columns;
mod file;
mod interner;
mod letters;
mod matching;
mod merged;
mod ordered;

pub(crate) use columns::EventColumns;
pub(crate) use file::ParquetFile;
pub(crate) use interner::Interner;
pub(crate) use letters::letter;
pub(crate) use matching::matching;
pub(crate) use merged::Merged;
pub(crate) use ordered::Ordered;
