//! The rows of a moment, as a table for SQL.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Field, Schema},
    },
    datasource::MemTable,
    prelude::SessionContext,
};
use deltafold_event::{
    ColumnType,
    arrays::{Values, data_type, write_json},
};
use serde_json::{Map, Value};

use super::columns::{COLUMNS, VIEW};

/// Rows by aggregate id, each with its columns.
pub type Rows = BTreeMap<String, Map<String, Value>>;

/// A table that queries run over.
pub(super) struct Table(SessionContext);

impl Table {
    pub(super) fn of(rows: &Rows) -> Self {
        let mut context = SessionContext::new();
        datafusion_functions_json::register_all(&mut context).expect("their names are new");
        let mut keys = Values::new(&ColumnType::Text, rows.len());
        for key in rows.keys() {
            keys.append(&Value::from(key.as_str()).to_string());
        }
        let columns = COLUMNS.iter().map(|(name, kind)| {
            let mut values = Values::new(&kind.column_type(), rows.len());
            for row in rows.values() {
                match row.get(*name) {
                    Some(value) => {
                        values.append(&value.to_string());
                    }
                    None => values.append_null(),
                }
            }
            values.finish()
        });
        let arrays = columns.chain([keys.finish()]).collect();
        let fields = COLUMNS.iter().map(|(name, kind)| Field::new(*name, data_type(&kind.column_type()), true));
        let fields = fields.chain([Field::new("_key", DataType::Utf8View, false)]);
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(schema.clone(), arrays).expect("they are of the table's types");
        let table = MemTable::try_new(schema, vec![vec![batch]]).expect("they are of the table's types");
        context.register_table(VIEW, Arc::new(table)).expect("its name is new");
        Self(context)
    }

    /// What a query gives, row by row, each value as a plain text.
    ///
    /// # Panics
    /// When DataFusion does not run it.
    pub(super) async fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        let found = async { self.0.sql(sql).await?.collect().await }.await;
        let found = found.unwrap_or_else(|error| panic!("{sql}\n{error}"));
        found.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| texts(batch, row))).collect()
    }
}

fn texts(batch: &RecordBatch, row: usize) -> Vec<String> {
    let column = |array: &Arc<dyn datafusion::arrow::array::Array>| {
        let mut text = String::new();
        write_json(&mut text, array, row, &column_type(array.data_type()));
        plain(&serde_json::from_str(&text).expect("it is JSON"))
    };
    batch.columns().iter().map(column).collect()
}

/// The type that a result's values are written as.
fn column_type(of: &DataType) -> ColumnType {
    match of {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int32 => ColumnType::Int,
        DataType::Int64 => ColumnType::BigInt,
        DataType::Float64 => ColumnType::Float,
        DataType::Decimal128(precision, scale) => ColumnType::Decimal(Some((*precision, *scale))),
        DataType::Utf8View => ColumnType::Text,
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::TimestampTz,
        other => panic!("no query gives {other}"),
    }
}

/// A value as a text that is the same whatever scalar it was; floats to nine digits.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.to_string().contains(['.', 'e']) => {
            number.as_f64().map_or_else(|| number.to_string(), |float| format!("{float:.9}"))
        }
        other => other.to_string(),
    }
}
