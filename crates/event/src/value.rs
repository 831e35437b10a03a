//! From a source's rows to canonical ones.

use std::borrow::Cow;

use crate::{
    RowSchema, SchemaColumn,
    scan::RawMembers,
    unchanged,
    wire::{Wire, text_of},
};

/// A row after conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// The members whose values are known.
    pub json: String,
    /// The columns that the source left out as unchanged.
    pub unchanged: Vec<String>,
}

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The text is not a JSON object.
    #[error("the row is not a JSON object: {0}")]
    NotAnObject(String),
}

/// Converts a raw row by its schema: decimals into plain digits, dates and times into ISO texts, bits into `0` and
/// `1`, structs and maps into JSON text. A value that does not fit its schema stays as it is; without a schema all
/// do, for nothing is guessed. Values that the source marked as unchanged are left out and named.
///
/// The row is taken to be valid JSON (the decoder has seen to that).
///
/// # Errors
/// When the text is not a JSON object.
pub fn canonical_row(after: &str, schema: Option<&RowSchema>) -> Result<Canonical, ValueError> {
    let trimmed = after.trim_ascii();
    if !(trimmed.starts_with('{') && trimmed.ends_with('}')) {
        return Err(ValueError::NotAnObject(after.chars().take(40).collect()));
    }
    // A schema that cannot be read was refused when its event was decoded.
    let columns = schema.and_then(|schema| schema.columns().ok().flatten()).unwrap_or_default();
    let converts = columns.iter().any(|column| *column.wire() != Wire::Plain);
    let may_be_unchanged = unchanged::may_occur(trimmed);
    if !converts && !may_be_unchanged {
        return Ok(Canonical { json: trimmed.to_owned(), unchanged: Vec::new() });
    }
    let mut json = String::with_capacity(trimmed.len() + 32);
    let mut unchanged = Vec::new();
    json.push('{');
    for (index, (name, raw)) in RawMembers::new(trimmed).enumerate() {
        if may_be_unchanged && unchanged::is_placeholder(raw) {
            unchanged.push(unescaped(name).into_owned());
            continue;
        }
        if json.len() > 1 {
            json.push(',');
        }
        json.push('"');
        json.push_str(name);
        json.push_str("\":");
        match column_at(columns, index, name) {
            Some(column) => column.wire().write(raw, &mut json),
            None => json.push_str(raw),
        }
    }
    json.push('}');
    Ok(Canonical { json, unchanged })
}

/// The column of this name, which mostly stands where the row's member does.
fn column_at<'a>(columns: &'a [SchemaColumn], index: usize, raw_name: &str) -> Option<&'a SchemaColumn> {
    if columns.is_empty() {
        return None;
    }
    if let Some(column) = columns.get(index)
        && column.name() == raw_name
    {
        return Some(column);
    }
    let name = unescaped(raw_name);
    columns.iter().find(|column| column.name() == name)
}

/// The name of one of [`RawMembers`] without its escapes.
pub fn unescaped(raw_name: &str) -> Cow<'_, str> {
    match raw_name.contains('\\') {
        true => text_of(&format!("\"{raw_name}\"")).map_or(raw_name.into(), |name| name.into_owned().into()),
        false => raw_name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> RowSchema {
        let connect = r#"{"type":"struct","fields":[
            {"type":"int32","field":"id"},
            {"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"field":"price"},
            {"type":"string","field":"body"},
            {"type":"int32","name":"io.debezium.time.Date","field":"dé\"y"}]}"#;
        RowSchema::new(vec!["id".into()], Some(connect.into()), Some("postgresql".into()))
    }

    #[test]
    fn values_follow_the_schema() {
        let row = canonical_row(r#"{"id":1,"price":"D5Y=","body":"x","dé\"y":0}"#, Some(&schema())).unwrap();
        assert_eq!(row.json, r#"{"id":1,"price":"39.90","body":"x","dé\"y":"1970-01-01"}"#);
        assert!(row.unchanged.is_empty());
    }

    #[test]
    fn columns_are_found_by_name_where_the_order_differs() {
        let row = canonical_row(r#"{"price":"D5Y=","new":[1],"id":1}"#, Some(&schema())).unwrap();
        assert_eq!(row.json, r#"{"price":"39.90","new":[1],"id":1}"#);
    }

    #[test]
    fn unchanged_values_are_left_out_and_named() {
        let raw = r#"{"body":"__debezium_unavailable_value","id":1,"c\"x":["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]}"#;
        for schema in [None, Some(&schema())] {
            let row = canonical_row(raw, schema).unwrap();
            assert_eq!((row.json.as_str(), row.unchanged), (r#"{"id":1}"#, vec!["body".to_owned(), "c\"x".to_owned()]));
        }
    }

    #[test]
    fn without_a_schema_nothing_is_guessed() {
        let raw = r#" {"price":"D5Y=","day":20729} "#;
        assert_eq!(canonical_row(raw, None).unwrap().json, raw.trim());
        assert!(canonical_row("[1]", None).is_err());
        assert!(canonical_row("", None).is_err());
    }
}
