//! What the end-to-end and property tests share: a second, naive reading of `fold.md`, a generator of change
//! streams with every case that it names, and a keeper whose memory can be asked what it believed.

pub mod generator;
pub mod kept;
pub mod laws;
pub mod live;
pub mod naive;
pub mod process;
pub mod projections;
pub mod queries;
pub mod recording;
