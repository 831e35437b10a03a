//! The schemas of rows.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The fingerprint of a row's schema: xxh3-128 of [`RowSchema::to_json`], as 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SchemaId(Arc<str>);

impl SchemaId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SchemaId {
    type Err = SchemaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.into()))
        } else {
            Err(SchemaError::Id(text.to_owned()))
        }
    }
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Not 32 hex digits.
    #[error("\"{0}\" is not a schema id: expected 32 hex digits")]
    Id(String),
    /// Not the JSON of a schema event.
    #[error("not a schema: {0}")]
    Json(String),
}

/// What is known of a row's shape: the columns of its key and, where the stream carries it, the Kafka Connect
/// schema of the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowSchema {
    /// The key's columns, in key order.
    pub key: Vec<String>,
    /// The struct schema of the row (the `after` field's), raw JSON as given.
    pub connect: Option<String>,
    /// The connector's name (`postgresql`, `mysql`, `mariadb`, …).
    pub connector: Option<String>,
}

impl RowSchema {
    /// The text a `$schema` event keeps.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings and lists are always JSON")
    }

    /// From the text of a `$schema` event.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn from_json(json: &str) -> Result<Self, SchemaError> {
        serde_json::from_str(json).map_err(|error| SchemaError::Json(error.to_string()))
    }

    /// Its fingerprint.
    pub fn id(&self) -> SchemaId {
        SchemaId(format!("{:032x}", xxh3_128(self.to_json().as_bytes())).into())
    }
}
