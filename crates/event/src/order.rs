//! The order of events within one aggregate.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Position, SourcePosition};

/// Where an event stands among the events of its aggregate (`fold.md`, "Order within an aggregate").
///
/// A log event has its own epoch, source position and offset, and `arrival` none. An event without a position
/// takes those of the event it stands after, and its own position as `arrival`: so it stands directly after
/// that event and before any log event whose source position is greater.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct OrderKey {
    /// The stretch of the origin's life; positions are not compared across.
    pub epoch: u32,
    /// Empty before the first log event.
    pub source_position: SourcePosition,
    /// The offset in its partition, the lowest among its deliveries.
    pub offset: i64,
    /// The position of an event that has no source position.
    pub arrival: Option<Position>,
}

impl OrderKey {
    /// Of a log event in the first epoch.
    pub fn log(source_position: SourcePosition, offset: i64) -> Self {
        Self { epoch: 0, source_position, offset, arrival: None }
    }

    /// Directly after `self`, for an event without a source position that arrived at `position`.
    #[must_use]
    pub fn then(&self, position: Position) -> Self {
        Self { arrival: Some(position), ..self.clone() }
    }

    /// Bytes that order as the key does: epoch u32, source position with `00` escaped as `00 FF` and ended by
    /// `00 00`, offset with its sign flipped, arrival u64 or 0 (positions are stored plus one).
    pub fn to_bytes(&self) -> SmallVec<[u8; 48]> {
        let raw = self.source_position.as_bytes();
        let mut bytes = SmallVec::new();
        bytes.extend_from_slice(&self.epoch.to_be_bytes());
        for &byte in raw {
            bytes.push(byte);
            if byte == 0 {
                bytes.push(0xFF);
            }
        }
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&((self.offset as u64) ^ (1 << 63)).to_be_bytes());
        let arrival = self.arrival.map_or(0, |position| position.as_i64() as u64 + 1);
        bytes.extend_from_slice(&arrival.to_be_bytes());
        bytes
    }

    /// From [`Self::to_bytes`]; none of other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, mut rest) = bytes.split_first_chunk()?;
        let mut raw: SmallVec<[u8; 32]> = SmallVec::new();
        let rest = loop {
            rest = match rest {
                [0, 0, after @ ..] => break after,
                [0, 0xFF, rest @ ..] => {
                    raw.push(0);
                    rest
                }
                [0, ..] | [] => return None,
                [byte, rest @ ..] => {
                    raw.push(*byte);
                    rest
                }
            };
        };
        let (offset, rest) = rest.split_first_chunk()?;
        let arrival = u64::from_be_bytes(rest.try_into().ok()?);
        let arrival = arrival.checked_sub(1).map(|position| Position::from_i64(position as i64)).transpose().ok()?;
        Some(Self {
            epoch: u32::from_be_bytes(*epoch),
            source_position: SourcePosition::from_bytes(&raw),
            offset: (u64::from_be_bytes(*offset) ^ (1 << 63)) as i64,
            arrival,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_order_as_keys_do() {
        let at = |lsn, offset| OrderKey::log(SourcePosition::postgres(lsn), offset);
        let position = |n| Position::from_i64(n).unwrap();
        let keys = [
            OrderKey::default(),
            OrderKey::default().then(position(0)),
            OrderKey::default().then(position(9)),
            at(1, 5),
            at(1, 5).then(position(3)),
            at(1, 6),
            at(255, -1),
            at(256, 0),
            OrderKey { epoch: 1, ..at(0, 0) },
        ];
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
            assert!(pair[0].to_bytes() < pair[1].to_bytes(), "{pair:?}");
        }
        for key in keys {
            let bytes = key.to_bytes();
            assert_eq!(OrderKey::from_bytes(&bytes), Some(key));
            for cut in 0..bytes.len() {
                assert_eq!(OrderKey::from_bytes(&bytes[..cut]), None);
            }
        }
    }
}
