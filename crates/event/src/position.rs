//! Where an event stands in the store.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How many bits of a position are the ordinal within its commit.
const ORDINAL_BITS: u32 = 23;

/// The total order of the store: `commit version × 2²³ + ordinal`, one signed 64-bit integer, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(i64);

/// Why a number or a text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// The version or the ordinal does not fit.
    #[error("version {version} with ordinal {ordinal} is outside the range of positions")]
    OutOfRange {
        /// The commit version.
        version: u64,
        /// The ordinal in the commit.
        ordinal: u32,
    },
    /// Not a whole number from 0 to 2⁶³−1.
    #[error("\"{0}\" is not a position: expected a whole number from 0 to 9223372036854775807")]
    NotANumber(String),
}

impl Position {
    /// Before everything.
    pub const ZERO: Self = Self(0);
    /// After everything.
    pub const MAX: Self = Self(i64::MAX);
    /// The most events one commit can hold.
    pub const COMMIT_CAPACITY: u32 = 1 << ORDINAL_BITS;

    /// The position of the event with this ordinal in the commit of this version.
    ///
    /// # Errors
    /// When the ordinal is not below [`Self::COMMIT_CAPACITY`] or the version needs more than 40 bits.
    pub fn new(version: u64, ordinal: u32) -> Result<Self, PositionError> {
        if version >= 1 << (63 - ORDINAL_BITS) || ordinal >= Self::COMMIT_CAPACITY {
            return Err(PositionError::OutOfRange { version, ordinal });
        }
        Ok(Self(((version as i64) << ORDINAL_BITS) | i64::from(ordinal)))
    }

    /// The position with this number.
    ///
    /// # Errors
    /// When the number is negative.
    pub fn from_i64(number: i64) -> Result<Self, PositionError> {
        if number < 0 { Err(PositionError::NotANumber(number.to_string())) } else { Ok(Self(number)) }
    }

    /// The number itself.
    pub fn as_i64(self) -> i64 {
        self.0
    }

    /// The version of the commit it lies in.
    pub fn version(self) -> u64 {
        (self.0 >> ORDINAL_BITS) as u64
    }

    /// Its place in the commit, in the order of arrival.
    pub fn ordinal(self) -> u32 {
        (self.0 & i64::from(Self::COMMIT_CAPACITY - 1)) as u32
    }

    /// The next number, which may lie in no commit.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Eight bytes that order as the position does.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// The position of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(i64::from_be_bytes(bytes))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<i64>()
            .ok()
            .and_then(|number| Self::from_i64(number).ok())
            .ok_or_else(|| PositionError::NotANumber(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_order_within_versions() {
        let last = Position::new(3, Position::COMMIT_CAPACITY - 1).unwrap();
        assert_eq!(last.next(), Position::new(4, 0).unwrap());
        assert!(Position::new(3, Position::COMMIT_CAPACITY).is_err());
        assert_eq!(Position::from_bytes(last.to_bytes()), last);
        assert!("-1".parse::<Position>().is_err());
    }
}
