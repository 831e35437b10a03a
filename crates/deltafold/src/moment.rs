//! Moments, as people write them on the command line.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use deltafold_event::{Position, Timestamp};
use serde_json::{Value, json};

/// A MOMENT: a time, or a position in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// What was so at this time.
    At(Timestamp),
    /// What was so this long ago, counted from when the command runs.
    Ago(std::time::Duration),
    /// What was known when the store had been read up to here.
    Position(Position),
}

/// Why a text is not a MOMENT.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a moment: expected a time (2026-10-12T09:30:00Z), a date (2026-10-12, its start in UTC), \
     a while ago (15m, 2h, 3d) or a position (position:8388608)"
)]
pub(crate) struct MomentError(String);

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || MomentError(text.to_owned());
        if let Some(position) = text.strip_prefix("position:") {
            return position.parse().map(Self::Position).map_err(|_| error());
        }
        if let Ok(date) = text.parse::<NaiveDate>() {
            let midnight = date.and_hms_opt(0, 0, 0).expect("every day has a midnight in UTC");
            return Ok(Self::At(Timestamp::from(midnight.and_utc())));
        }
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(Timestamp::from(moment.with_timezone(&Utc))));
        }
        // "3d ago" is what the help says of "3d"; both are understood.
        let ago = text.strip_suffix(" ago").unwrap_or(text);
        humantime::parse_duration(ago).map(Self::Ago).map_err(|_| error())
    }
}

impl Moment {
    /// The moment as GraphQL's `AsOf`, counted from `now`.
    pub(crate) fn as_of(self, now: DateTime<Utc>) -> Value {
        match self {
            Self::At(time) => json!({ "time": time.to_string() }),
            Self::Ago(ago) => {
                let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
                let time = Timestamp::from(now).as_micros().saturating_sub(micros);
                json!({ "time": Timestamp::from_micros(time).to_string() })
            }
            Self::Position(position) => json!({ "position": position.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_of(text: &str) -> String {
        let now = DateTime::parse_from_rfc3339("2026-11-21T14:00:00Z").unwrap().with_timezone(&Utc);
        match text.parse::<Moment>() {
            Ok(moment) => moment.as_of(now).to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_way_to_say_it_is_understood() {
        assert_eq!(as_of("2026-10-12T09:30:00+02:00"), r#"{"time":"2026-10-12T07:30:00.000000Z"}"#);
        assert_eq!(as_of("2026-10-12"), r#"{"time":"2026-10-12T00:00:00.000000Z"}"#);
        assert_eq!(as_of("15m"), r#"{"time":"2026-11-21T13:45:00.000000Z"}"#);
        assert_eq!(as_of("2h ago"), r#"{"time":"2026-11-21T12:00:00.000000Z"}"#);
        assert_eq!(as_of("3d"), r#"{"time":"2026-11-18T14:00:00.000000Z"}"#);
        assert_eq!(as_of("position:8388608"), r#"{"position":"8388608"}"#);
    }

    #[test]
    fn anything_else_says_what_was_expected() {
        for text in ["yesterday", "position:-1", "2026-13-01", "", "12"] {
            assert!(as_of(text).starts_with(&format!("\"{text}\" is not a moment: expected a time")), "{text}");
        }
    }
}
