//! The source tables that aggregate types belong to.

use serde::{Deserialize, Serialize};

/// A table of a source, as its source block names it (never as its topic does: topic names are cleaned). An
/// aggregate type belongs to the table that first fed it, which a `$table` event says.
///
/// Logical messages belong to no table: their name has all parts empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct TableName {
    /// The connector's logical name (`source.name`).
    pub server: String,
    /// The database.
    pub database: String,
    /// The schema; empty where there are none (MySQL, MariaDB).
    pub schema: String,
    /// The table.
    pub table: String,
}

impl TableName {
    /// The `after` of a `$table` event.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts are always JSON")
    }

    /// From the `after` of a `$table` event.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn from_json(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}
