//! What has to be read from the log again.

use deltafold_event::Position;
use serde::{Deserialize, Serialize};

use super::origin::Origin;

/// A stretch of the log to read again because an epoch began, or goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Replay {
    /// Whose events, as an index.
    pub(super) origin: u32,
    pub(super) kind: Kind,
    /// Events below it are done.
    pub(super) next: Position,
    /// Where it ends, and what it makes is believed from.
    pub(super) until: Position,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    /// Events of these epochs were folded as if they were of others, or before some that came before them: that is
    /// undone. With what was known of the origin then.
    TakeBack(Vec<u32>, Box<Origin>),
    /// Events of these epochs were held: they are folded now.
    Release(Vec<u32>),
}
