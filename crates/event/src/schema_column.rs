//! The columns of a Kafka Connect struct schema.

use std::{borrow::Cow, collections::BTreeMap};

use serde::Deserialize;
use serde_json::Value;

use crate::{ColumnType, SchemaError, calendar::Unit, wire::Wire};

/// A column as a row's schema describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaColumn {
    name: String,
    column_type: ColumnType,
    wire: Wire,
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

    /// A raw JSON value of this column in canonical form; one that does not fit the schema stays as it is.
    pub fn canonical<'a>(&self, raw: &'a str) -> Cow<'a, str> {
        if self.wire == Wire::Plain {
            return Cow::Borrowed(raw);
        }
        let mut out = String::with_capacity(raw.len());
        self.wire.write(raw, &mut out);
        Cow::Owned(out)
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }
}

/// A schema as the JSON converter writes it.
#[derive(Debug, Deserialize)]
struct Node {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    #[serde(default)]
    parameters: Option<BTreeMap<String, Value>>,
    field: Option<String>,
    fields: Option<Vec<Node>>,
    items: Option<Box<Node>>,
}

impl Node {
    fn parameter<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        match self.parameters.as_ref()?.get(name)? {
            Value::String(text) => text.parse().ok(),
            other => other.to_string().parse().ok(),
        }
    }
}

/// The columns of a struct schema.
pub(crate) fn columns_of(connect: &str, connector: Option<&str>) -> Result<Vec<SchemaColumn>, SchemaError> {
    let root: Node = serde_json::from_str(connect).map_err(|error| SchemaError::Connect(error.to_string()))?;
    let escapes_enums = matches!(connector, Some("mysql" | "mariadb"));
    let fields = match root.fields {
        Some(fields) if root.kind == "struct" => fields,
        _ => return Err(SchemaError::Connect(format!("its type is \"{}\"", root.kind))),
    };
    fields
        .iter()
        .map(|field| {
            let name = field.field.clone().ok_or_else(|| SchemaError::Connect("a field has no name".to_owned()))?;
            let (column_type, wire) = read(field, &name, escapes_enums)?;
            Ok(SchemaColumn { name, column_type, wire })
        })
        .collect()
}

fn read(node: &Node, column: &str, escapes_enums: bool) -> Result<(ColumnType, Wire), SchemaError> {
    if let Some(known) = logical(node, column, escapes_enums)? {
        return Ok(known);
    }
    Ok(match node.kind.as_str() {
        "boolean" => (ColumnType::Boolean, Wire::Plain),
        "int8" | "int16" | "int32" => (ColumnType::Int, Wire::Plain),
        "int64" => (ColumnType::BigInt, Wire::Plain),
        "float" | "float32" | "double" | "float64" => (ColumnType::Float, Wire::Plain),
        "string" => (ColumnType::Text, Wire::Plain),
        "bytes" => (ColumnType::Bytes, Wire::Plain),
        "array" => match &node.items {
            Some(items) => {
                let (element, wire) = read(items, column, escapes_enums)?;
                let wire = if wire == Wire::Plain { wire } else { Wire::List(Box::new(wire)) };
                (ColumnType::List(Box::new(element)), wire)
            }
            None => (ColumnType::Json, Wire::Json),
        },
        _ => (ColumnType::Json, Wire::Json),
    })
}

/// What a schema's name says beyond its base type; none of a name that says nothing to us.
fn logical(node: &Node, column: &str, escapes_enums: bool) -> Result<Option<(ColumnType, Wire)>, SchemaError> {
    let Some(name) = node.name.as_deref() else { return Ok(None) };
    Ok(Some(match name {
        "org.apache.kafka.connect.data.Decimal" => {
            let scale: i64 = node.parameter("scale").ok_or_else(|| SchemaError::NoScale(column.to_owned()))?;
            let digits = node.parameter("connect.decimal.precision").zip(i8::try_from(scale).ok());
            (ColumnType::Decimal(digits), Wire::Decimal(scale))
        }
        "io.debezium.data.VariableScaleDecimal" => (ColumnType::Decimal(None), Wire::VariableDecimal),
        "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => (ColumnType::Date, Wire::Date),
        "io.debezium.time.IsoDate" => (ColumnType::Date, Wire::IsoDate),
        "io.debezium.time.Time" | "org.apache.kafka.connect.data.Time" => time(3, Unit::Millis),
        "io.debezium.time.MicroTime" => time(6, Unit::Micros),
        "io.debezium.time.NanoTime" => time(9, Unit::Nanos),
        "io.debezium.time.IsoTime" => (ColumnType::Time(None), Wire::IsoTime),
        "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => timestamp(3, Unit::Millis),
        "io.debezium.time.MicroTimestamp" => timestamp(6, Unit::Micros),
        "io.debezium.time.NanoTimestamp" => timestamp(9, Unit::Nanos),
        "io.debezium.time.IsoTimestamp" => (ColumnType::Timestamp(None), Wire::IsoTimestamp),
        "io.debezium.time.ZonedTimestamp" => (ColumnType::TimestampTz, Wire::Zoned),
        "io.debezium.data.Json" => (ColumnType::Json, Wire::Json),
        "io.debezium.data.Bits" => (ColumnType::Text, Wire::Bits(node.parameter("length"))),
        "io.debezium.data.Enum" if escapes_enums => (ColumnType::Text, Wire::EscapedEnum),
        _ => return Ok(None),
    }))
}

fn time(digits: u8, unit: Unit) -> (ColumnType, Wire) {
    (ColumnType::Time(Some(digits)), Wire::Time(unit))
}

fn timestamp(digits: u8, unit: Unit) -> (ColumnType, Wire) {
    (ColumnType::Timestamp(Some(digits)), Wire::Timestamp(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(schema: &str) -> Result<SchemaColumn, SchemaError> {
        let fields = schema.replacen('{', r#"{"field":"x","#, 1);
        columns_of(&format!(r#"{{"type":"struct","fields":[{fields}]}}"#), Some("mariadb"))
            .map(|mut columns| columns.remove(0))
    }

    #[test]
    fn types_follow_the_schema() {
        for (schema, expected) in [
            (r#"{"type":"int16"}"#, "int"),
            (r#"{"type":"int64","name":"io.debezium.time.MicroDuration"}"#, "bigint"),
            (r#"{"type":"float"}"#, "float"),
            (r#"{"type":"string","name":"io.debezium.data.Uuid"}"#, "text"),
            (r#"{"type":"string","name":"io.debezium.data.Enum"}"#, "text"),
            (r#"{"type":"string","name":"io.debezium.data.Json"}"#, "json"),
            (
                r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2","connect.decimal.precision":"12"}}"#,
                "decimal(12,2)",
            ),
            (
                r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}"#,
                "decimal",
            ),
            (r#"{"type":"struct","name":"io.debezium.data.VariableScaleDecimal","fields":[]}"#, "decimal"),
            (r#"{"type":"struct","name":"io.debezium.data.geometry.Point","fields":[]}"#, "json"),
            (r#"{"type":"map","keys":{"type":"string"},"values":{"type":"string"}}"#, "json"),
            (r#"{"type":"array","items":{"type":"int32","name":"io.debezium.time.Date"}}"#, "date[]"),
            (r#"{"type":"int64","name":"io.debezium.time.Timestamp"}"#, "timestamp(3)"),
            (r#"{"type":"int64","name":"io.debezium.time.MicroTime"}"#, "time(6)"),
            (r#"{"type":"string","name":"io.debezium.time.ZonedTimestamp"}"#, "timestamptz"),
            (r#"{"type":"bytes","name":"io.debezium.data.Bits","parameters":{"length":"8"}}"#, "text"),
        ] {
            assert_eq!(column(schema).unwrap().column_type().to_string(), expected, "{schema}");
        }
    }

    #[test]
    fn a_decimal_without_scale_is_refused() {
        let error = column(r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal"}"#).unwrap_err();
        assert_eq!(error, SchemaError::NoScale("x".into()));
        assert!(matches!(columns_of(r#"{"type":"int32"}"#, None), Err(SchemaError::Connect(_))));
        assert!(matches!(columns_of("[", None), Err(SchemaError::Connect(_))));
    }
}
