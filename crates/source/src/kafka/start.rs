//! Where partitions start that the store has not seen.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// Where to start in partitions that the store has not seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Start {
    /// At the oldest record that is still there.
    #[default]
    Earliest,
    /// At what comes from now on.
    Latest,
    /// At the first record of this time (milliseconds since 1970) or later.
    Time(i64),
    /// At these offsets, by `topic/partition`; a partition that is not named starts at its oldest record.
    Offsets(BTreeMap<String, i64>),
}

/// Why a text says no place to start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no place to start: earliest, latest, or an RFC 3339 time (2026-09-28T08:00:00Z)")]
pub struct StartError(String);

impl FromStr for Start {
    type Err = StartError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            other => match chrono::DateTime::parse_from_rfc3339(other) {
                Ok(time) => Ok(Self::Time(time.timestamp_millis())),
                Err(_) => Err(StartError(other.to_owned())),
            },
        }
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Time(millis) => match chrono::DateTime::from_timestamp_millis(*millis) {
                Some(time) => f.write_str(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
                None => write!(f, "{millis} ms"),
            },
            Self::Offsets(offsets) => write!(f, "{offsets:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        for text in ["earliest", "latest", "2026-09-28T08:00:00Z", "2026-09-28T08:00:00.250Z"] {
            assert_eq!(text.parse::<Start>().unwrap().to_string(), text);
        }
        let error = "yesterday".parse::<Start>().unwrap_err();
        assert!(error.to_string().contains("earliest, latest"), "{error}");
    }
}
