//! Configuration: flags over `DELTAFOLD_SECTION__KEY` over `deltafold.toml` over defaults, with where each value came
//! from.

mod error;
mod kafka;
mod keys;
mod load;
mod model;
mod views;

pub(crate) use error::ConfigError;
pub(crate) use load::{Flags, Loaded, Setting, load};
pub(crate) use model::{Aggregates, Config, Format, Http, SourceKind};
