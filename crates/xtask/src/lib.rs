//! What developer commands and tests share: the seeded generator of change events ([`generator`]).
//!
//! The commands themselves are the binary `xtask`; measuring is the binary `bench`, behind the feature of that name, so that
//! `cargo xtask check` builds in seconds.

pub mod generator;
