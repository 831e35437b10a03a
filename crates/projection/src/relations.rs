//! What definitions may be over.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use deltafold_event::{Column, ColumnType, arrays::data_type};

/// The rows of an aggregate type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    columns: Arc<[Column]>,
    pub(crate) schema: SchemaRef,
    pub(crate) key: Vec<String>,
}

impl Relation {
    /// Of columns, each of which may be null, and the columns of its key in key order.
    pub fn new(columns: impl IntoIterator<Item = Column>, key: Vec<String>) -> Self {
        let columns: Arc<[Column]> = columns.into_iter().collect();
        let field = |column: &Column| Field::new(&column.name, data_type(&column.column_type), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        Self { columns, schema, key }
    }

    /// Its columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
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
    let column = |name: &str, column_type| Column { name: name.to_owned(), column_type };
    let columns = [
        column("position", ColumnType::BigInt),
        column("event_id", ColumnType::Text),
        column("aggregate_type", ColumnType::Text),
        column("aggregate_id", ColumnType::Text),
        column("event_type", ColumnType::Text),
        column("operation", ColumnType::Text),
        column("before", ColumnType::Json),
        // A domain event's payload, a row after its change.
        column("payload", ColumnType::Json),
        column("metadata", ColumnType::Json),
        column("transaction_id", ColumnType::Text),
        column("occurred_at", ColumnType::TimestampTz),
        column("source", ColumnType::Text),
    ];
    Relation::new(columns, vec!["event_id".to_owned()])
}

impl FromIterator<(String, Relation)> for Relations {
    fn from_iter<I: IntoIterator<Item = (String, Relation)>>(relations: I) -> Self {
        Self { of_types: relations.into_iter().collect(), log: log() }
    }
}
