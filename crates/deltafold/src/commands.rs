//! The commands, one per file.

pub(crate) mod checkpoint;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod get;
pub(crate) mod history;
pub(crate) mod ingest;
pub(crate) mod projections;
pub(crate) mod query;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod sources;
pub(crate) mod token;
pub(crate) mod vacuum;
pub(crate) mod verify;
