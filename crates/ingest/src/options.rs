//! What an ingestion is told.

use std::{sync::Arc, time::Duration};

use deltafold_cdc::DecoderConfig;

use crate::Progress;

/// What an ingestion is told.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How records become events.
    pub decoder: DecoderConfig,
    /// Whether to wait at the end of the file for more, until cancelled.
    pub follow: bool,
    /// When a commit is made.
    pub group: GroupCommit,
    /// Counters that somebody may watch.
    pub progress: Arc<Progress>,
}

/// A commit is made when one of these is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupCommit {
    /// This long after the first event that it holds was decoded.
    pub interval: Duration,
    /// This many events.
    pub events: usize,
    /// This many bytes of lines.
    pub bytes: usize,
}

impl Default for GroupCommit {
    fn default() -> Self {
        Self { interval: Duration::from_millis(250), events: 32_768, bytes: 64 << 20 }
    }
}
