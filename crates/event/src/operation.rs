//! What an event did to its row.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The operation of a change event. A domain event and a logical message have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation {
    /// `c`: the row was inserted.
    Create,
    /// `u`: the row was changed.
    Update,
    /// `d`: the row was deleted.
    Delete,
    /// `r`: the row was read by a snapshot.
    Read,
    /// `t`: every row of the table was removed.
    Truncate,
}

impl Operation {
    /// Debezium's letter.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Read => "r",
            Self::Truncate => "t",
        }
    }

    /// From Debezium's letter.
    pub fn from_letter(letter: &str) -> Option<Self> {
        Some(match letter {
            "c" => Self::Create,
            "u" => Self::Update,
            "d" => Self::Delete,
            "r" => Self::Read,
            "t" => Self::Truncate,
            _ => return None,
        })
    }

    /// The event type of a change with this operation.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Update => "updated",
            Self::Delete => "deleted",
            Self::Read => "snapshot",
            Self::Truncate => "truncated",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letter())
    }
}
