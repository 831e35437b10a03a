//! What a keeper knows of its type as a whole.

use std::sync::Arc;

use deltafold_event::{Columns, EventId, OrderKey, Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::SnapshotId;

/// The first byte of [`KeeperState::to_bytes`].
const FORMAT: u8 = 3;
/// The format before, which knows of no sweeps.
const FORMAT_WITHOUT_SWEEPS: u8 = 2;

/// An event that concerns every aggregate of the type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeEvent {
    /// Its place in the order of every aggregate.
    pub order: OrderKey,
    /// The event.
    pub id: EventId,
    /// Its first delivery.
    pub position: Position,
    /// When the source says it happened.
    pub occurred_at: Timestamp,
    /// Its transaction.
    pub transaction: Option<Arc<str>>,
}

/// A stretch of the order over which the key had the same columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySpan {
    /// The key's columns, in key order.
    pub columns: Vec<String>,
    /// Where it begins: the rows on record are re-keyed there, but for the first span.
    pub from: TypeEvent,
    /// The first log event in it, where a snapshot row began it.
    pub first_log: Option<TypeEvent>,
}

/// A snapshot of an epoch after the first, which replaces what was known before it once it is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// The first of its rows that arrived; its order is before all of them.
    pub from: TypeEvent,
    /// Which snapshot.
    pub snapshot: SnapshotId,
    /// Whether all of its rows have been sent: then it ends what stands before it.
    pub is_complete: bool,
}

/// What a keeper knows of its type as a whole; small, written whole when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeeperState {
    pub(crate) truncates: Vec<TypeEvent>,
    pub(crate) keys: Vec<KeySpan>,
    pub(crate) columns: Columns,
    pub(crate) history_start: Option<Timestamp>,
    pub(crate) sweeps: Vec<Sweep>,
}

/// Why bytes are not a keeper's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Written by another version.
    #[error("keeper state of format {0}, where this build reads {FORMAT}: rebuild the view")]
    Format(u8),
    /// Damaged.
    #[error("keeper state that cannot be read: {0}: rebuild the view")]
    Damaged(String),
}

impl KeeperState {
    /// The columns seen so far; their `key` is the key's columns now.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The smallest valid time known of the type: before it, absence means unknown.
    pub fn history_start(&self) -> Option<Timestamp> {
        self.history_start
    }

    /// The truncates on record, in order.
    pub fn truncates(&self) -> &[TypeEvent] {
        &self.truncates
    }

    /// The snapshots of epochs after the first, in order.
    pub fn sweeps(&self) -> &[Sweep] {
        &self.sweeps
    }

    /// The columns of the key, span by span, in order.
    pub fn keys(&self) -> &[KeySpan] {
        &self.keys
    }

    /// A format byte and postcard.
    pub fn to_bytes(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![FORMAT]).expect("writing to memory does not fail")
    }

    /// From [`Self::to_bytes`].
    ///
    /// # Errors
    /// When the bytes are of another format, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let damaged = |error: postcard::Error| StateError::Damaged(error.to_string());
        match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(damaged),
            Some((&FORMAT_WITHOUT_SWEEPS, rest)) => {
                let (truncates, keys, columns, history_start) = postcard::from_bytes(rest).map_err(damaged)?;
                Ok(Self { truncates, keys, columns, history_start, sweeps: Vec::new() })
            }
            Some((&other, _)) => Err(StateError::Format(other)),
            None => Err(StateError::Damaged("no bytes".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_before_is_read() {
        let state = KeeperState { history_start: Some(Timestamp::from_micros(7)), ..KeeperState::default() };
        let parts = (&state.truncates, &state.keys, &state.columns, &state.history_start);
        let before = postcard::to_extend(&parts, vec![FORMAT_WITHOUT_SWEEPS]).unwrap();
        assert_eq!(KeeperState::from_bytes(&before), Ok(state.clone()));
        assert_eq!(KeeperState::from_bytes(&state.to_bytes()), Ok(state));
    }
}
