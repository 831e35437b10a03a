//! What an event carries beside its rows.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The `metadata` column: a JSON object. The first members are ours and written only where they say
/// something, so that most events start with `source`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Metadata<'a> {
    /// Of the create of a key update: the aggregate id the row had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    /// Of the delete of a key update: the aggregate id the row has after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<String>,
    /// Whether the source always sends `before` whole (MySQL and MariaDB with full row images).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole_before: bool,
    /// The source block, as given.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a RawValue>,
    /// The record's key inside its schema wrapper, as given.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a RawValue>,
    /// The record's headers: a JSON array of name, value, name, value.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<&'a RawValue>,
}

impl<'a> Metadata<'a> {
    /// Reads what matters to folding: of most events nothing, which is seen from the first bytes.
    ///
    /// # Errors
    /// When the text is not the JSON of a metadata column.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Whether folding finds nothing of its own in this text, told without parsing it.
    pub fn is_plain(text: &str) -> bool {
        !["{\"moved", "{\"whole"].iter().any(|start| text.starts_with(start))
    }

    /// Whether the text says that the event is half of a move.
    pub fn tells_move(text: &str) -> bool {
        text.starts_with("{\"moved")
    }
}
