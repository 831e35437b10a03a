//! What the database said.

use serde_json::{Map, Value};

/// Every table, as SELECT gave it at one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// RFC 3339 in UTC.
    pub at: String,
    /// The rows of each table, as `row_to_json` prints them.
    pub tables: Vec<(String, Vec<Map<String, Value>>)>,
}

impl Moment {
    pub(crate) fn parse(line: &str) -> Self {
        let moment: Value = serde_json::from_str(line).expect("the truth is JSON");
        let at = moment["at"].as_str().expect("a moment").replace("+00:00", "Z");
        let rows = |rows: &Value| -> Vec<Map<String, Value>> {
            rows.as_array().expect("rows").iter().map(|row| row.as_object().expect("a row").clone()).collect()
        };
        let tables = moment["tables"].as_object().expect("tables");
        Self { at, tables: tables.iter().map(|(name, table)| (name.clone(), rows(table))).collect() }
    }
}
