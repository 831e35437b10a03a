//! Moments.

use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// A moment: microseconds since 1970-01-01T00:00:00Z, may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// Why a text is not a moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a moment: expected RFC 3339, as in 2026-11-21T14:00:00Z")]
pub struct TimestampError(String);

impl Timestamp {
    /// Before every moment.
    pub const MIN: Self = Self(i64::MIN);
    /// After every moment: "now", as far as a view is concerned.
    pub const MAX: Self = Self(i64::MAX);

    /// From microseconds since the epoch.
    pub fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// From milliseconds since the epoch, held within what microseconds can say.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Eight bytes that order as the moment does.
    pub fn to_bytes(self) -> [u8; 8] {
        ((self.0 as u64) ^ (1 << 63)).to_be_bytes()
    }

    /// The moment of [`Self::to_bytes`].
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self((u64::from_be_bytes(bytes) ^ (1 << 63)) as i64)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.timestamp_micros())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_micros(self.0) {
            Some(moment) => f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Micros, true)),
            None if self.0 < 0 => f.write_str("-infinity"),
            None => f.write_str("infinity"),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .map(|moment| Self(moment.timestamp_micros()))
            .map_err(|_| TimestampError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_order_as_moments_do() {
        let moments = [i64::MIN, -1, 0, 1, i64::MAX].map(Timestamp::from_micros);
        for pair in moments.windows(2) {
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
        }
        for moment in moments {
            assert_eq!(Timestamp::from_bytes(moment.to_bytes()), moment);
        }
    }

    #[test]
    fn prints_and_parses() {
        let moment = Timestamp::from_micros(1_790_582_400_029_070);
        assert_eq!(moment.to_string(), "2026-09-28T08:00:00.029070Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
    }
}
