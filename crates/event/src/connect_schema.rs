//! The schemas of rows.

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::schema_column::{SchemaColumn, columns_of};

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
    /// Not a Kafka Connect struct schema.
    #[error("the schema of the row is not a Kafka Connect struct: {0}")]
    Connect(String),
    /// A Decimal whose scale nobody knows.
    #[error(
        "column {0} is a Decimal whose schema has no scale, so its bytes mean no number: set decimal.handling.mode=string \
         or keep the schema's parameters in the converter"
    )]
    NoScale(String),
}

/// What is known of a row's shape: the columns of its key and, where the stream carries it, the Kafka Connect
/// schema of the row. Read once, on first use.
#[derive(Clone, Serialize, Deserialize)]
pub struct RowSchema {
    key: Vec<String>,
    connect: Option<String>,
    connector: Option<String>,
    #[serde(skip)]
    columns: OnceLock<Result<Option<Vec<SchemaColumn>>, SchemaError>>,
    #[serde(skip)]
    id: OnceLock<SchemaId>,
}

impl RowSchema {
    /// Of the key's columns in key order, the struct schema of the row (the `after` field's, raw JSON as given) and
    /// the connector's name (`postgresql`, `mysql`, `mariadb`, …).
    pub fn new(key: Vec<String>, connect: Option<String>, connector: Option<String>) -> Self {
        Self { key, connect, connector, columns: OnceLock::new(), id: OnceLock::new() }
    }

    /// The key's columns, in key order.
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// The struct schema of the row, raw JSON as given.
    pub fn connect(&self) -> Option<&str> {
        self.connect.as_deref()
    }

    /// The connector's name.
    pub fn connector(&self) -> Option<&str> {
        self.connector.as_deref()
    }

    /// The row's columns; none where the stream has no schemas.
    ///
    /// # Errors
    /// When the schema is not a struct, or one of its columns cannot be read with it.
    pub fn columns(&self) -> Result<Option<&[SchemaColumn]>, SchemaError> {
        let columns = self.columns.get_or_init(|| {
            self.connect.as_deref().map(|connect| columns_of(connect, self.connector.as_deref())).transpose()
        });
        match columns {
            Ok(columns) => Ok(columns.as_deref()),
            Err(error) => Err(error.clone()),
        }
    }

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
        self.id.get_or_init(|| SchemaId(format!("{:032x}", xxh3_128(self.to_json().as_bytes())).into())).clone()
    }
}

impl PartialEq for RowSchema {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.connect == other.connect && self.connector == other.connector
    }
}

impl Eq for RowSchema {}

impl fmt::Debug for RowSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowSchema")
            .field("key", &self.key)
            .field("connect", &self.connect)
            .field("connector", &self.connector)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_round_trip_with_their_id() {
        let schema = RowSchema::new(vec!["id".into()], Some(r#"{"type":"struct","fields":[]}"#.into()), None);
        let again = RowSchema::from_json(&schema.to_json()).unwrap();
        assert_eq!((&again, again.id()), (&schema, schema.id()));
        assert_eq!(schema.id().to_string().parse(), Ok(schema.id()));
        assert_ne!(RowSchema::new(vec!["id".into()], None, None).id(), schema.id());
        assert!("xyz".parse::<SchemaId>().is_err());
    }

    /// Frozen: the ids of schemas stand in stored events.
    #[test]
    fn ids_never_change() {
        let schema = RowSchema::new(vec!["id".into()], None, Some("postgresql".into()));
        assert_eq!(schema.to_json(), r#"{"key":["id"],"connect":null,"connector":"postgresql"}"#);
        assert_eq!(schema.id().as_str(), "e4878b3e9eeb20cc5060489a7caf0925");
    }
}
