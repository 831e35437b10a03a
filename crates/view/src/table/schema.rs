//! The columns of a mirror's table.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltafold_event::{Column, ColumnType, arrays::data_type};

/// The names of the columns that every mirror's table has beside the view's own.
pub mod hidden {
    /// The aggregate id.
    pub const KEY: &str = "_key";
    /// Where the version begins, in valid time.
    pub const VALID_FROM: &str = "_valid_from";
    /// The position from which it was believed.
    pub const RECORDED_FROM: &str = "_recorded_from";
    /// The position from which it was believed no longer, or null.
    pub const RECORDED_TO: &str = "_recorded_to";
    /// The event that began it, or null.
    pub const EVENT: &str = "_event";
    /// Whether an unchanged value stands as null.
    pub const INCOMPLETE: &str = "_incomplete";
    /// The row as canonical JSON text.
    pub const ROW: &str = "_row";
}

/// Where a field's values come from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Column(Column),
    Key,
    ValidFrom,
    RecordedFrom,
    RecordedTo,
    Event,
    Incomplete,
    Row,
}

impl Source {
    /// The view's column it shows.
    pub(crate) fn column(&self) -> Option<&str> {
        match self {
            Self::Column(column) => Some(&column.name),
            _ => None,
        }
    }

    /// Its type as an Arrow column.
    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Column(column) => data_type(&column.column_type),
            Self::Key | Self::Event | Self::Row => DataType::Utf8View,
            Self::ValidFrom => data_type(&ColumnType::TimestampTz),
            Self::RecordedFrom | Self::RecordedTo => DataType::Int64,
            Self::Incomplete => DataType::Boolean,
        }
    }
}

const HIDDEN: [(&str, Source, bool); 7] = [
    (hidden::KEY, Source::Key, false),
    (hidden::VALID_FROM, Source::ValidFrom, false),
    (hidden::RECORDED_FROM, Source::RecordedFrom, false),
    (hidden::RECORDED_TO, Source::RecordedTo, true),
    (hidden::EVENT, Source::Event, true),
    (hidden::INCOMPLETE, Source::Incomplete, false),
    (hidden::ROW, Source::Row, false),
];

/// The fields of a table of these columns, and the schema of it.
pub(crate) fn of(columns: Vec<Column>) -> (Arc<[Source]>, SchemaRef) {
    let mut sources = Vec::with_capacity(columns.len() + HIDDEN.len());
    let mut fields: Vec<Field> = Vec::with_capacity(columns.len() + HIDDEN.len());
    for column in &columns {
        let taken = |name: &str| {
            HIDDEN.iter().any(|(hidden, ..)| *hidden == name)
                || fields.iter().any(|field| field.name() == name)
                || (name != column.name && columns.iter().any(|column| column.name == name))
        };
        let mut name = column.name.clone();
        while taken(&name) {
            name.push('_');
        }
        let source = Source::Column(column.clone());
        fields.push(Field::new(name, source.data_type(), true));
        sources.push(source);
    }
    for (name, source, nullable) in HIDDEN {
        fields.push(Field::new(name, source.data_type(), nullable));
        sources.push(source);
    }
    (sources.into(), Arc::new(Schema::new(fields)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_clash_with_hidden_ones() {
        let columns = ["_row", "_row_", "id"].map(|name| Column { name: name.into(), column_type: ColumnType::Text });
        let (sources, schema) = of(columns.to_vec());
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names[..4], ["_row__", "_row_", "id", "_key"]);
        assert_eq!(sources.len(), names.len());
    }
}
