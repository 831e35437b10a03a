//! The columns of an aggregate type, as far as they are known.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{ColumnType, RowSchema, SchemaColumn, SchemaId, scan::RawMembers, value::unescaped};

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

impl Seen {
    /// Takes in a raw value; true when it is of a new kind.
    fn add(&mut self, raw: &str) -> bool {
        let kind = match raw.as_bytes().first() {
            Some(b't' | b'f') => &mut self.boolean,
            Some(b'"') => &mut self.text,
            Some(b'[' | b'{') => &mut self.nested,
            Some(b'-' | b'0'..=b'9') if raw.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => &mut self.float,
            Some(b'-' | b'0'..=b'9') => &mut self.integer,
            _ => return false,
        };
        !std::mem::replace(kind, true)
    }

    /// The type of a column that holds these. Nothing but nulls is text.
    pub fn column_type(self) -> ColumnType {
        match self {
            Self { boolean: false, integer: false, float: false, nested: false, .. } => ColumnType::Text,
            Self { boolean: true, integer: false, float: false, text: false, nested: false } => ColumnType::Boolean,
            Self { boolean: false, integer: true, float: false, text: false, nested: false } => ColumnType::BigInt,
            Self { boolean: false, float: true, text: false, nested: false, .. } => ColumnType::Float,
            _ => ColumnType::Json,
        }
    }
}

/// The columns of an aggregate type: what its rows and their schemas have shown so far, in the order in which they
/// were first seen. Grows only.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// The columns of the key now, in key order; empty while unknown.
    pub key: Vec<String>,
    known: Vec<Known>,
    schemas: BTreeSet<SchemaId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    name: String,
    from_schema: Option<ColumnType>,
    seen: Seen,
}

impl Columns {
    /// Takes in what a row and its schema show; true when something new was learnt. The first key seen becomes the key;
    /// changing it is for whoever knows which event comes last.
    pub fn observe(&mut self, canonical_json: &str, schema: Option<&RowSchema>) -> bool {
        let mut learnt = false;
        if let Some(schema) = schema {
            if self.key.is_empty() && !schema.key().is_empty() {
                self.key = schema.key().to_vec();
                learnt = true;
            }
            if let Ok(Some(columns)) = schema.columns() {
                if !self.schemas.contains(&schema.id()) {
                    self.schemas.insert(schema.id());
                    self.observe_schema(columns);
                    learnt = true;
                }
                return learnt;
            }
        }
        self.observe_values(canonical_json) || learnt
    }

    fn observe_schema(&mut self, columns: &[SchemaColumn]) {
        for (index, column) in columns.iter().enumerate() {
            let known = self.known_at(index, column.name());
            known.from_schema = Some(match &known.from_schema {
                Some(before) => before.widen(column.column_type()),
                None => column.column_type().clone(),
            });
        }
    }

    fn observe_values(&mut self, json: &str) -> bool {
        let mut learnt = false;
        for (index, (name, raw)) in RawMembers::new(json).enumerate() {
            let count = self.known.len();
            learnt |= self.known_at(index, name).seen.add(raw);
            learnt |= self.known.len() > count;
        }
        learnt
    }

    /// The column of this raw name, which mostly stands at this place; a new one at the end.
    fn known_at(&mut self, index: usize, raw_name: &str) -> &mut Known {
        let is_here = |known: &Known| known.name == raw_name;
        let place = if self.known.get(index).is_some_and(is_here) {
            index
        } else {
            let name = unescaped(raw_name);
            self.known.iter().position(|known| known.name == name).unwrap_or_else(|| {
                self.known.push(Known { name, from_schema: None, seen: Seen::default() });
                self.known.len() - 1
            })
        };
        &mut self.known[place]
    }

    /// The columns with their types: declared ones first of all, then the schemas', widened where they differ, then
    /// the data's.
    pub fn resolve(&self, declared: &BTreeMap<String, ColumnType>) -> Vec<Column> {
        self.known
            .iter()
            .map(|known| Column {
                name: known.name.clone(),
                column_type: declared
                    .get(&known.name)
                    .or(known.from_schema.as_ref())
                    .cloned()
                    .unwrap_or_else(|| known.seen.column_type()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(columns: &Columns, declared: &[(&str, &str)]) -> String {
        let declared = declared.iter().map(|(name, of)| ((*name).to_owned(), of.parse().unwrap())).collect();
        let columns = columns.resolve(&declared);
        let texts: Vec<_> = columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect();
        texts.join(", ")
    }

    #[test]
    fn data_tells_types() {
        let mut columns = Columns::default();
        assert!(columns.observe(r#"{"a":1,"b":true,"c":"x","d":null,"e":[1],"f":1}"#, None));
        assert!(!columns.observe(r#"{"a":2,"b":false,"c":"y","d":null,"e":{},"f":null}"#, None));
        assert_eq!(types(&columns, &[]), "a bigint, b boolean, c text, d text, e json, f bigint");
        assert!(columns.observe(r#"{"f":1e3,"c":7,"new\"":1}"#, None));
        assert_eq!(
            types(&columns, &[("c", "decimal(12,2)"), ("nowhere", "int")]),
            "a bigint, b boolean, c decimal(12,2), d text, e json, f float, new\" bigint"
        );
    }

    #[test]
    fn schemas_count_more_than_data_and_widen() {
        let schema = |fields: &str| {
            let connect = format!(r#"{{"type":"struct","fields":[{fields}]}}"#);
            RowSchema::new(vec!["id".into()], Some(connect), None)
        };
        let (first, second) = (
            schema(r#"{"field":"id","type":"int32"},{"field":"x","type":"string"}"#),
            schema(r#"{"field":"id","type":"int64"},{"field":"y","type":"boolean"},{"field":"x","type":"double"}"#),
        );
        let mut columns = Columns::default();
        assert!(columns.observe(r#"{"id":1,"x":"a"}"#, Some(&first)));
        assert_eq!(columns.key, ["id"]);
        assert!(!columns.observe(r#"{"id":1,"x":"a","unknown":1}"#, Some(&first)));
        assert_eq!(types(&columns, &[]), "id int, x text");
        assert!(columns.observe("{}", Some(&second)));
        assert_eq!(types(&columns, &[]), "id bigint, x json, y boolean");
        assert!(columns.observe(r#"{"id":"text"}"#, Some(&RowSchema::new(vec!["k".into()], None, None))));
        assert_eq!(types(&columns, &[]), "id bigint, x json, y boolean");
        assert_eq!(columns.key, ["id"]);
    }

    #[test]
    fn state_survives_serialisation() {
        let mut columns = Columns::default();
        columns.observe(r#"{"a":1}"#, Some(&RowSchema::new(vec!["a".into()], None, None)));
        let again: Columns = serde_json::from_str(&serde_json::to_string(&columns).unwrap()).unwrap();
        assert_eq!(again, columns);
    }
}
