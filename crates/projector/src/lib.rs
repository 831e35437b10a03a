//! The tasks that tail the event store, fold what they read into views, and keep checkpoints.
//!
//! One reader of the log feeds every relation keeper; what a batch changes in all views and their checkpoint
//! becomes durable in one batch of the view store. This crate holds no rule about what a view means
//! (`deltafold-relation`) and no layout on disk (`deltafold-view`).

mod catalog;

pub use catalog::{Catalog, ViewInfo};
