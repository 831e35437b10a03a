//! The columns of the tables, for Arrow and for Delta.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde_json::json;

/// Names of the event table's columns that the store itself looks at.
pub(crate) mod column {
    pub(crate) const EVENT_ID: &str = "event_id";
    pub(crate) const AGGREGATE_TYPE: &str = "aggregate_type";
    pub(crate) const AGGREGATE_ID: &str = "aggregate_id";
    pub(crate) const EVENT_TYPE: &str = "event_type";
    pub(crate) const BEFORE: &str = "before";
    pub(crate) const AFTER: &str = "after";
    pub(crate) const METADATA: &str = "metadata";
    pub(crate) const SOURCE_POSITION: &str = "source_position";
    pub(crate) const TRANSACTION_ID: &str = "transaction_id";
    pub(crate) const OCCURRED_AT: &str = "occurred_at";
    pub(crate) const OFFSET: &str = "offset";
    pub(crate) const ORDINAL: &str = "ordinal";
    pub(crate) const POSITION: &str = "position";
    pub(crate) const COMMITTED_AT: &str = "committed_at";
}

fn moment() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The event table (`architecture.md`, "Event table").
pub(crate) static EVENTS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new(column::EVENT_ID, DataType::Utf8, false),
        Field::new(column::AGGREGATE_TYPE, DataType::Utf8, false),
        Field::new(column::AGGREGATE_ID, DataType::Utf8, true),
        Field::new(column::EVENT_TYPE, DataType::Utf8, false),
        Field::new("operation", DataType::Utf8, true),
        Field::new(column::BEFORE, DataType::Utf8, true),
        Field::new(column::AFTER, DataType::Utf8, true),
        Field::new(column::METADATA, DataType::Utf8, false),
        Field::new(column::SOURCE_POSITION, DataType::Binary, true),
        Field::new(column::TRANSACTION_ID, DataType::Utf8, true),
        Field::new(column::OCCURRED_AT, moment(), false),
        Field::new("source", DataType::Utf8, false),
        Field::new("topic", DataType::Utf8, false),
        Field::new("partition", DataType::Int32, false),
        Field::new(column::OFFSET, DataType::Int64, false),
        Field::new("schema_id", DataType::Utf8, true),
        Field::new(column::ORDINAL, DataType::Int32, false),
        Field::new(column::POSITION, DataType::Int64, true),
        Field::new(column::COMMITTED_AT, moment(), true),
    ]))
});

/// The table of dead letters.
pub(crate) static DEAD_LETTERS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("source", DataType::Utf8, false),
        Field::new("topic", DataType::Utf8, false),
        Field::new("partition", DataType::Int32, false),
        Field::new(column::OFFSET, DataType::Int64, false),
        Field::new("file", DataType::Utf8, true),
        Field::new("line", DataType::Int64, true),
        Field::new("key", DataType::Binary, true),
        Field::new("value", DataType::Binary, true),
        Field::new("headers", DataType::Utf8, false),
        Field::new("code", DataType::Utf8, false),
        Field::new("reason", DataType::Utf8, false),
        Field::new("recorded_at", moment(), false),
        Field::new("timestamp_ms", DataType::Int64, true),
        Field::new(column::ORDINAL, DataType::Int32, false),
        Field::new(column::POSITION, DataType::Int64, true),
        Field::new(column::COMMITTED_AT, moment(), true),
    ]))
});

/// A schema as the JSON of Delta's metadata.
pub(crate) fn delta_json(schema: &Schema) -> String {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = match field.data_type() {
                DataType::Int32 => "integer",
                DataType::Int64 => "long",
                DataType::Binary => "binary",
                DataType::Timestamp(..) => "timestamp",
                _ => "string",
            };
            json!({"name": field.name(), "type": data_type, "nullable": field.is_nullable(), "metadata": {}})
        })
        .collect();
    json!({"type": "struct", "fields": fields}).to_string()
}
