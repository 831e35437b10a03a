//! Cursors: where a page goes on, and the moment it was read at.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use deltafold_event::{Position, Timestamp};
use deltafold_view::At;
use xxhash_rust::xxh3::xxh3_64;

use crate::{errors::ApiError, order::Place, reading::Moment};

/// A place in a list, with the moment that the list was first read at. As text: base64 of a JSON array.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    /// What the list is: the digest of its field, filter, order and moment asked for.
    pub(crate) list: u64,
    /// The moment it was read at, its position never open.
    pub(crate) at: At,
    /// Whether a moment was asked for.
    pub(crate) is_past: bool,
    /// The row.
    pub(crate) place: Place,
}

const LAYOUT: i64 = 1;

/// The digest of what a list is.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut text = String::new();
    for part in parts {
        text.push_str(part);
        text.push('\0');
    }
    xxh3_64(text.as_bytes())
}

impl Cursor {
    /// The text that clients get.
    pub(crate) fn encode(&self) -> String {
        let time = (self.at.time != Timestamp::MAX).then(|| self.at.time.as_micros());
        let position = self.at.position.as_i64();
        let Place { values, key } = &self.place;
        let parts = serde_json::json!([LAYOUT, format!("{:x}", self.list), time, position, self.is_past, values, key]);
        BASE64_URL_SAFE_NO_PAD.encode(parts.to_string())
    }

    /// What was encoded; none if it is no cursor of this list.
    fn decode(text: &str, list: u64) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let parts: (i64, String, Option<i64>, i64, bool, Vec<serde_json::Value>, String) =
            serde_json::from_slice(&bytes).ok()?;
        let (layout, of, time, position, is_past, values, key) = parts;
        if layout != LAYOUT || of != format!("{list:x}") {
            return None;
        }
        Some(Self {
            list,
            at: At {
                time: time.map_or(Timestamp::MAX, Timestamp::from_micros),
                position: Position::from_i64(position).ok()?,
            },
            is_past,
            place: Place { values, key },
        })
    }

    /// The cursor in an argument.
    ///
    /// # Errors
    /// When it is none of this list.
    pub(crate) fn parse(text: &str, list: u64, path: &str) -> Result<Self, ApiError> {
        Self::decode(text, list).ok_or_else(|| ApiError::BadCursor { path: path.to_owned() })
    }

    /// The moment that the page it continues was read at.
    pub(crate) fn moment(&self) -> Moment {
        Moment { at: self.at, is_past: self.is_past }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_belong_to_one_list() {
        let cursor = Cursor {
            list: digest(["orders", "{}"]),
            at: At { time: Timestamp::MAX, position: Position::from_i64(7).unwrap() },
            is_past: false,
            place: Place { values: vec!["12.50".into(), serde_json::Value::Null], key: "9\u{0}".into() },
        };
        let text = cursor.encode();
        assert_eq!(Cursor::parse(&text, cursor.list, "orders.after").unwrap(), cursor);
        assert!(Cursor::parse(&text, digest(["orders", "{a}"]), "orders.after").is_err());
        assert!(Cursor::parse("x", cursor.list, "orders.after").is_err());
        assert_ne!(digest(["a", "b"]), digest(["ab"]));
    }
}
