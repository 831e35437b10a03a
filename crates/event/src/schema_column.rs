//! The columns of a Kafka Connect struct schema.

use crate::{ColumnType, SchemaError, wire::Wire};

/// A column as a row's schema describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaColumn {
    pub(crate) name: String,
    pub(crate) column_type: ColumnType,
    pub(crate) wire: Wire,
}

impl SchemaColumn {
    /// The source's name of it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type of its canonical values.
    pub fn column_type(&self) -> &ColumnType {
        &self.column_type
    }
}

pub(crate) fn columns_of(connect: &str, connector: Option<&str>) -> Result<Vec<SchemaColumn>, SchemaError> {
    let _ = (connect, connector);
    Ok(Vec::new())
}
