//! The columns of an aggregate type, as far as they are known.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ColumnType, Position, RowSchema, SchemaColumn, SchemaId, scan::RawMembers, value::unescaped};

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
/// were first seen. Grows only, and comes out the same in whatever order events are observed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// The columns of the key now, in key order; empty while unknown.
    pub key: Vec<String>,
    /// By where they were first seen.
    known: Vec<Known>,
    /// With the position of the first event of each.
    schemas: BTreeMap<SchemaId, Position>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    name: String,
    /// The first event that showed it, and its place there.
    first: (Position, u32),
    from_schema: Option<ColumnType>,
    seen: Seen,
}

impl Columns {
    /// Takes in what the row of an event at a position and its schema show; true when something new was learnt. The
    /// first key seen becomes the key; changing it is for whoever knows which event comes last.
    pub fn observe(&mut self, canonical_json: &str, schema: Option<&RowSchema>, position: Position) -> bool {
        let mut learnt = false;
        if let Some(schema) = schema {
            if self.key.is_empty() && !schema.key().is_empty() {
                self.key = schema.key().to_vec();
                learnt = true;
            }
            if let Ok(Some(columns)) = schema.columns() {
                if self.schemas.get(&schema.id()).is_none_or(|first| position < *first) {
                    self.schemas.insert(schema.id(), position);
                    self.observe_schema(columns, position);
                    learnt = true;
                }
                return learnt;
            }
        }
        self.observe_values(canonical_json, position) || learnt
    }

    fn observe_schema(&mut self, columns: &[SchemaColumn], position: Position) {
        let mut is_sorted = true;
        for (index, column) in columns.iter().enumerate() {
            let known = self.known_at(index, column.name(), position, &mut is_sorted);
            known.from_schema = Some(match &known.from_schema {
                Some(before) => before.widen(column.column_type()),
                None => column.column_type().clone(),
            });
        }
        self.sort(is_sorted);
    }

    fn observe_values(&mut self, json: &str, position: Position) -> bool {
        let (mut learnt, mut is_sorted) = (false, true);
        for (index, (name, raw)) in RawMembers::new(json).enumerate() {
            learnt |= self.known_at(index, name, position, &mut is_sorted).seen.add(raw);
        }
        self.sort(is_sorted);
        learnt || !is_sorted
    }

    fn sort(&mut self, is_sorted: bool) {
        if !is_sorted {
            self.known.sort_by_key(|known| known.first);
        }
    }

    /// The column of this raw name, which mostly stands at this place; a new one at the end. Where it is first seen
    /// here, the columns are to be sorted again.
    fn known_at(&mut self, index: usize, raw_name: &str, position: Position, is_sorted: &mut bool) -> &mut Known {
        let first = (position, index as u32);
        let is_here = |known: &Known| known.name == raw_name;
        let place = if self.known.get(index).is_some_and(is_here) {
            index
        } else {
            let name = unescaped(raw_name);
            self.known.iter().position(|known| known.name == name).unwrap_or_else(|| {
                *is_sorted = false;
                self.known.push(Known { name: name.into_owned(), first, from_schema: None, seen: Seen::default() });
                self.known.len() - 1
            })
        };
        let known = &mut self.known[place];
        if first < known.first {
            known.first = first;
            *is_sorted = false;
        }
        known
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

    fn at(version: u64) -> Position {
        Position::new(version, 0).unwrap()
    }

    fn types(columns: &Columns, declared: &[(&str, &str)]) -> String {
        let declared = declared.iter().map(|(name, of)| ((*name).to_owned(), of.parse().unwrap())).collect();
        let columns = columns.resolve(&declared);
        let texts: Vec<_> = columns.iter().map(|column| format!("{} {}", column.name, column.column_type)).collect();
        texts.join(", ")
    }

    #[test]
    fn data_tells_types() {
        let mut columns = Columns::default();
        assert!(columns.observe(r#"{"a":1,"b":true,"c":"x","d":null,"e":[1],"f":1}"#, None, at(1)));
        assert!(!columns.observe(r#"{"a":2,"b":false,"c":"y","d":null,"e":{},"f":null}"#, None, at(2)));
        assert_eq!(types(&columns, &[]), "a bigint, b boolean, c text, d text, e json, f bigint");
        assert!(columns.observe(r#"{"f":1e3,"c":7,"new\"":1}"#, None, at(3)));
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
        assert!(columns.observe(r#"{"id":1,"x":"a"}"#, Some(&first), at(4)));
        assert_eq!(columns.key, ["id"]);
        assert!(!columns.observe(r#"{"id":1,"x":"a","unknown":1}"#, Some(&first), at(5)));
        assert_eq!(types(&columns, &[]), "id int, x text");
        assert!(columns.observe("{}", Some(&second), at(6)));
        assert_eq!(types(&columns, &[]), "id bigint, x json, y boolean");
        assert!(columns.observe(r#"{"id":"text"}"#, Some(&RowSchema::new(vec!["k".into()], None, None)), at(7)));
        assert_eq!(types(&columns, &[]), "id bigint, x json, y boolean");
        assert_eq!(columns.key, ["id"]);
    }

    #[test]
    fn the_order_of_observing_does_not_matter() {
        let schema = |fields: &str| {
            RowSchema::new(vec!["a".into()], Some(format!(r#"{{"type":"struct","fields":[{fields}]}}"#)), None)
        };
        let (first, second) = (
            schema(r#"{"field":"a","type":"int32"},{"field":"x","type":"string"}"#),
            schema(r#"{"field":"x","type":"double"},{"field":"a","type":"int64"}"#),
        );
        let events: [(&str, Option<&RowSchema>); 6] = [
            (r#"{"a":1,"b":true}"#, None),
            (r#"{"a":1,"c":1,"b":"x"}"#, None),
            ("{}", Some(&first)),
            (r#"{"d":1,"a":1.5}"#, None),
            ("{}", Some(&second)),
            ("{}", Some(&first)),
        ];
        let observed = |order: &[usize]| {
            let mut columns = Columns::default();
            for &event in order {
                columns.observe(events[event].0, events[event].1, at(event as u64));
            }
            columns
        };
        let expected = observed(&[0, 1, 2, 3, 4, 5]);
        assert_eq!(types(&expected, &[]), "a bigint, b json, c bigint, x json, d bigint");
        for order in [[5, 4, 3, 2, 1, 0], [3, 0, 4, 1, 5, 2], [2, 5, 1, 3, 0, 4]] {
            assert_eq!(observed(&order), expected);
        }
    }

    #[test]
    fn state_survives_serialisation() {
        let mut columns = Columns::default();
        columns.observe(r#"{"a":1}"#, Some(&RowSchema::new(vec!["a".into()], None, None)), at(1));
        let again: Columns = serde_json::from_str(&serde_json::to_string(&columns).unwrap()).unwrap();
        assert_eq!(again, columns);
    }
}
