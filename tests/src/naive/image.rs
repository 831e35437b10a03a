//! What one event says of its row.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// What a row shows: its columns that are not null, and whether one of the others is unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// A column that is absent here is null.
    pub columns: BTreeMap<String, Value>,
    /// Whether an unchanged value could not be found.
    pub incomplete: bool,
}

impl Content {
    /// The content of a row's JSON. What is not an object stands under the empty name.
    pub fn parse(json: &str, incomplete: bool) -> Self {
        Self::of(members(json), incomplete)
    }

    fn of(members: BTreeMap<String, Value>, incomplete: bool) -> Self {
        Self { columns: members.into_iter().filter(|(_, value)| !value.is_null()).collect(), incomplete }
    }
}

/// The row after an event.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Image {
    /// Values, nulls among them.
    pub(super) values: BTreeMap<String, Value>,
    /// Columns whose value was never seen; none of them has a value.
    pub(super) unknown: BTreeSet<String>,
}

impl Image {
    /// Reads an `after`. A value that is only called unchanged comes from the first of `sources` that has one.
    pub(super) fn read(after: &str, sources: &[&BTreeMap<String, Value>]) -> Self {
        let mut image = Self::default();
        for (name, value) in members(after) {
            if !is_unchanged(&value) {
                image.values.insert(name, value);
            } else if let Some(value) = sources.iter().find_map(|source| source.get(&name)) {
                image.values.insert(name, value.clone());
            } else {
                image.unknown.insert(name);
            }
        }
        image
    }

    pub(super) fn content(&self) -> Content {
        Content::of(self.values.clone(), !self.unknown.is_empty())
    }

    /// The id of the aggregate under these key columns; none where one of them is null or unknown.
    pub(super) fn id(&self, key: &[String]) -> Option<String> {
        let values: Vec<&Value> =
            key.iter().map(|column| self.values.get(column).filter(|value| !value.is_null())).collect::<Option<_>>()?;
        Some(match values.as_slice() {
            [Value::String(text)] => text.clone(),
            [one] => one.to_string(),
            several => Value::from_iter(several.iter().map(|value| (*value).clone())).to_string(),
        })
    }
}

/// The values of a JSON object that are not placeholders.
pub(super) fn values(json: &str) -> BTreeMap<String, Value> {
    members(json).into_iter().filter(|(_, value)| !is_unchanged(value)).collect()
}

/// The members of a JSON object; anything else as the one member with an empty name.
fn members(json: &str) -> BTreeMap<String, Value> {
    match serde_json::from_str(json).expect("the generator writes JSON") {
        Value::Object(members) => members.into_iter().collect(),
        other => BTreeMap::from([(String::new(), other)]),
    }
}

const PLACEHOLDER: &str = "__debezium_unavailable_value";

/// Whether a value is one of the forms in which Debezium says "unchanged, and I was not told".
fn is_unchanged(value: &Value) -> bool {
    let codes: Vec<u8> = PLACEHOLDER.bytes().collect();
    *value == json!(PLACEHOLDER)
        || *value == json!("X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==")
        || *value == json!([PLACEHOLDER])
        || *value == json!(["b68a35a7-17ad-35b3-af2a-ae46edb4545a"])
        || *value == json!(codes)
}
