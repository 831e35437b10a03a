//! What definitions may be over.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The rows of an aggregate type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// Its columns.
    pub schema: SchemaRef,
    /// The columns of its key, in key order.
    pub key: Vec<String>,
}

impl Relation {
    /// Of columns, each of which may be null, and the columns of its key in key order.
    pub fn new(columns: impl IntoIterator<Item = (String, DataType)>, key: Vec<String>) -> Self {
        let fields: Vec<Field> = columns.into_iter().map(|(name, of)| Field::new(name, of, true)).collect();
        Self { schema: Arc::new(Schema::new(fields)), key }
    }
}

/// All relations: those of aggregate types, by name, and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relations {
    of_types: BTreeMap<String, Relation>,
    log: Relation,
}

/// The name of the log, and the schema in which an aggregate type of that name is found.
pub(crate) const LOG: &str = "events";
pub(crate) const SOURCE: &str = "source";

impl Relations {
    /// What a name in FROM means: `events` is the log, `source.events` an aggregate type.
    pub(crate) fn named(&self, schema: Option<&str>, name: &str) -> Option<&Relation> {
        match schema {
            None if name == LOG => Some(&self.log),
            None | Some(SOURCE) => self.of_types.get(name),
            Some(_) => None,
        }
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.of_types.keys().map(String::as_str).chain([LOG])
    }
}

/// The log: each event once, at its first delivery.
fn log() -> Relation {
    let text = |name: &str| (name.to_owned(), DataType::Utf8View);
    let columns = [
        ("position".to_owned(), DataType::Int64),
        text("event_id"),
        text("aggregate_type"),
        text("aggregate_id"),
        text("event_type"),
        text("operation"),
        text("before"),
        // A domain event's payload, a row after its change.
        text("payload"),
        text("metadata"),
        text("transaction_id"),
        ("occurred_at".to_owned(), DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        text("source"),
    ];
    Relation::new(columns, vec!["event_id".to_owned()])
}

impl FromIterator<(String, Relation)> for Relations {
    fn from_iter<I: IntoIterator<Item = (String, Relation)>>(relations: I) -> Self {
        Self { of_types: relations.into_iter().collect(), log: log() }
    }
}
