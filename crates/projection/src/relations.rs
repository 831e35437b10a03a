//! What definitions may be over.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

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

/// All relations, by the name of their aggregate type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relations(BTreeMap<String, Relation>);

impl Relations {
    /// The relation of this name.
    pub fn get(&self, name: &str) -> Option<&Relation> {
        self.0.get(name)
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl FromIterator<(String, Relation)> for Relations {
    fn from_iter<I: IntoIterator<Item = (String, Relation)>>(relations: I) -> Self {
        Self(relations.into_iter().collect())
    }
}
