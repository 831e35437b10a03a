//! What the payloads of appended events have to be, by JSON Schema (<https://json-schema.org>).

use std::{collections::BTreeMap, fs, path::Path};

use jsonschema::Validator;
use serde_json::Value;

use crate::config::Aggregates;

/// Schemas by aggregate type and event type. What has none may be anything.
#[derive(Debug, Default)]
pub(crate) struct EventSchemas(BTreeMap<(String, String), Validator>);

/// What is wrong with a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongEvent {
    /// Where in the payload, as a JSON Pointer.
    pub(crate) pointer: String,
    /// What.
    pub(crate) what: String,
}

impl EventSchemas {
    /// Reads those that a configuration names.
    ///
    /// # Errors
    /// When one cannot be read, or is none: which, and why.
    pub(crate) fn read(aggregates: &Aggregates) -> Result<Self, String> {
        let mut schemas = BTreeMap::new();
        for (aggregate_type, aggregate) in &aggregates.types {
            for (event_type, path) in &aggregate.events {
                let schema = compiled(path).map_err(|error| {
                    format!("aggregates.{aggregate_type}.events.{event_type}: {}: {error}", path.display())
                })?;
                schemas.insert((aggregate_type.clone(), event_type.clone()), schema);
            }
        }
        Ok(Self(schemas))
    }

    /// Checks a payload.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn check(&self, aggregate_type: &str, event_type: &str, payload: &Value) -> Result<(), WrongEvent> {
        let Some(schema) = self.0.get(&(aggregate_type.to_owned(), event_type.to_owned())) else { return Ok(()) };
        schema.validate(payload).map_err(|error| WrongEvent {
            pointer: error.instance_path().to_string(),
            what: format!("{error} (by the schema of {event_type})"),
        })
    }
}

fn compiled(path: &Path) -> Result<Validator, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let schema: Value = serde_json::from_str(&text).map_err(|error| format!("it is not JSON: {error}"))?;
    jsonschema::validator_for(&schema).map_err(|error| format!("it is no JSON Schema: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(schema: &str) -> Result<EventSchemas, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("item_added.json");
        fs::write(&path, schema).unwrap();
        let toml = format!("name = \"{{table}}\"\n[carts.events]\nitem_added = {path:?}\n");
        EventSchemas::read(&toml::from_str(&toml).unwrap())
    }

    #[test]
    fn payloads_are_checked_by_their_type_s_schema() {
        let schemas = read(
            r#"{"type": "object", "required": ["item"], "properties": {"item": {"type": "string"}, "price": {"type": "number", "minimum": 0}}}"#,
        )
        .unwrap();
        let wrong = |payload: Value| schemas.check("carts", "item_added", &payload).unwrap_err();
        assert_eq!(schemas.check("carts", "item_added", &json!({"item": "tea", "price": 0.1})), Ok(()));
        assert_eq!(schemas.check("carts", "emptied", &json!(7)), Ok(()));
        assert_eq!(schemas.check("orders", "item_added", &json!(7)), Ok(()));
        let found = wrong(json!({"item": "tea", "price": -1}));
        assert_eq!(found.pointer, "/price");
        assert!(
            found.what.contains("minimum") && found.what.ends_with("(by the schema of item_added)"),
            "{}",
            found.what
        );
        assert_eq!(wrong(json!({})).pointer, "");
    }

    #[test]
    fn what_is_no_schema_is_told_at_the_start() {
        let told = read("{").unwrap_err();
        assert!(told.starts_with("aggregates.carts.events.item_added: ") && told.contains("it is not JSON"), "{told}");
        assert!(read(r#"{"type": 7}"#).unwrap_err().contains("it is no JSON Schema"));
    }
}
