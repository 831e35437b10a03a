//! A definition run as a batch query.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{ArrayRef, RecordBatch},
        compute::cast,
        datatypes::{Field, Schema},
    },
    datasource::MemTable,
    prelude::SessionContext,
};
use deltafold_event::{
    Column, ColumnType, EventId, Operation, StoredEvent, Timestamp,
    arrays::{Values, data_type, write_json},
};
use deltafold_projection::Definition;
use serde_json::{Map, Value, json};

use super::grammar::{COLUMNS, TABLES};
use crate::naive::Relation;

/// Runs queries over the rows of relations at moments.
pub struct Batch {
    runtime: tokio::runtime::Runtime,
}

impl Default for Batch {
    fn default() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
        Self { runtime }
    }
}

/// Rows to run a query over.
#[derive(Debug, Clone)]
pub struct Table {
    /// What the query calls it.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows; a column that is absent is null.
    pub rows: Vec<Map<String, Value>>,
}

impl Table {
    /// Of what somebody else says that a view has.
    pub fn of_view(definition: &Definition, rows: Vec<Map<String, Value>>) -> Self {
        let columns = definition.columns().iter();
        let column = |column: &deltafold_projection::Column| Column {
            name: column.name.clone(),
            column_type: column.column_type.clone(),
        };
        Self { name: definition.name().to_owned(), columns: columns.map(column).collect(), rows }
    }

    /// Its rows, with values as views have them.
    pub fn canonical(&self) -> Vec<Map<String, Value>> {
        let columns = self.columns.iter().zip(self.arrays());
        let columns = columns.map(|(column, values)| (column.name.as_str(), &column.column_type, values));
        objects(&columns.collect::<Vec<_>>(), self.rows.len())
    }

    fn arrays(&self) -> Vec<ArrayRef> {
        let mut columns: Vec<Values> =
            self.columns.iter().map(|column| Values::new(&column.column_type, self.rows.len())).collect();
        for row in &self.rows {
            for (column, values) in self.columns.iter().zip(&mut columns) {
                match row.get(&column.name) {
                    Some(value) => {
                        values.append(&value.to_string());
                    }
                    None => values.append_null(),
                }
            }
        }
        columns.into_iter().map(Values::finish).collect()
    }

    fn rows_of(&self) -> MemTable {
        let field = |column: &Column| Field::new(&column.name, data_type(&column.column_type), true);
        let schema = Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()));
        let rows = RecordBatch::try_new(schema.clone(), self.arrays()).expect("they are of the table's types");
        MemTable::try_new(schema, vec![vec![rows]]).expect("they are of the table's types")
    }

    /// The tables of generated histories, and the log, at a moment.
    pub fn at(relations: &BTreeMap<String, Relation>, log: &[StoredEvent], moment: Timestamp) -> Vec<Self> {
        let columns = || COLUMNS.map(|(name, column_type)| Column { name: name.to_owned(), column_type }).to_vec();
        let rows = |name: &str| {
            let rows = relations.get(name).map(|relation| relation.at(moment)).unwrap_or_default();
            rows.values().map(|version| version.content.columns.clone().into_iter().collect()).collect()
        };
        let tables = TABLES.map(|name| Self { name: name.to_owned(), columns: columns(), rows: rows(name) });
        tables.into_iter().chain([Self::log(relations, log, moment)]).collect()
    }

    /// Each event once, at its first delivery, of those that are valid at a moment.
    fn log(relations: &BTreeMap<String, Relation>, log: &[StoredEvent], moment: Timestamp) -> Self {
        let entries = relations.values().flat_map(|relation| relation.history.values().flatten());
        let entries = entries.filter(|entry| entry.revision.is_some());
        let valid: BTreeMap<EventId, Timestamp> = entries.map(|entry| (entry.event, entry.valid_from)).collect();
        let columns = [
            ("position", ColumnType::BigInt),
            ("event_id", ColumnType::Text),
            ("aggregate_type", ColumnType::Text),
            ("aggregate_id", ColumnType::Text),
            ("event_type", ColumnType::Text),
            ("operation", ColumnType::Text),
            ("payload", ColumnType::Json),
            ("transaction_id", ColumnType::Text),
            ("occurred_at", ColumnType::TimestampTz),
        ];
        let mut rows = Vec::new();
        let mut seen = BTreeSet::new();
        for StoredEvent { position, event, .. } in log.iter().filter(|stored| !stored.event.is_control()) {
            let is_truncate = event.operation == Some(Operation::Truncate);
            let valid_from = if is_truncate { Some(event.occurred_at) } else { valid.get(&event.id).copied() };
            if !seen.insert(event.id) || valid_from.is_none_or(|from| from > moment) {
                continue;
            }
            let payload = event.after.as_deref().map(|after| serde_json::from_str(after).expect("it is JSON"));
            let row = [
                json!(position.as_i64()),
                json!(event.id.to_string()),
                json!(&*event.aggregate_type),
                json!(event.aggregate_id),
                json!(&*event.event_type),
                json!(event.operation.map(Operation::letter)),
                payload.unwrap_or_default(),
                json!(event.transaction_id),
                json!(event.occurred_at.to_string()),
            ];
            rows.push(columns.iter().map(|(name, _)| (*name).to_owned()).zip(row).collect());
        }
        let columns = columns.map(|(name, column_type)| Column { name: name.to_owned(), column_type }).to_vec();
        Self { name: "events".to_owned(), columns, rows }
    }
}

impl Batch {
    /// The rows of a query, each a JSON object.
    ///
    /// # Panics
    /// When DataFusion does not run it.
    pub fn rows(&self, definition: &Definition, query: &str, tables: &[Table]) -> Vec<Map<String, Value>> {
        let mut context = SessionContext::new();
        datafusion_functions_json::register_all(&mut context).expect("their names are new");
        for table in tables {
            context.register_table(&table.name, Arc::new(table.rows_of())).expect("it is a new name");
        }
        let found = self.runtime.block_on(async { context.sql(query).await?.collect().await });
        let found = found.unwrap_or_else(|error| panic!("{query}: {error}"));
        found.iter().flat_map(|batch| rows_of(batch, definition)).collect()
    }
}

fn rows_of(batch: &RecordBatch, definition: &Definition) -> Vec<Map<String, Value>> {
    let columns = definition.columns().iter().zip(batch.columns());
    let columns: Vec<(&str, &ColumnType, _)> = columns
        .map(|(column, values)| {
            let of_view = cast(values, &data_type(&column.column_type)).expect("a view can hold it");
            (column.name.as_str(), &column.column_type, of_view)
        })
        .collect();
    objects(&columns, batch.num_rows())
}

fn objects(columns: &[(&str, &ColumnType, ArrayRef)], rows: usize) -> Vec<Map<String, Value>> {
    let row = |row: usize| {
        let value = |(name, of, values): &(&str, &ColumnType, ArrayRef)| {
            let mut text = String::new();
            write_json(&mut text, values, row, of);
            ((*name).to_owned(), serde_json::from_str(&text).expect("it is JSON"))
        };
        columns.iter().map(value).collect()
    };
    (0..rows).map(row).collect()
}

/// How the rows of a view differ from those that were expected, if they do: sums and averages of floats may by 10⁻⁹.
pub fn difference(found: &BTreeMap<Arc<str>, Arc<str>>, expected: &[Map<String, Value>]) -> Option<String> {
    let parse = |row: &Arc<str>| serde_json::from_str::<Map<String, Value>>(row).expect("a row is an object");
    let mut found: Vec<Map<String, Value>> = found.values().map(parse).collect();
    let mut missing = Vec::new();
    for row in expected {
        match found.iter().position(|other| is_same(other, row)) {
            Some(at) => drop(found.swap_remove(at)),
            None => missing.push(Value::Object(row.clone()).to_string()),
        }
    }
    let found: Vec<String> = found.into_iter().map(|row| Value::Object(row).to_string()).collect();
    let is_same = found.is_empty() && missing.is_empty();
    (!is_same).then(|| format!("expected\n  {}\nfound\n  {}\n", missing.join("\n  "), found.join("\n  ")))
}

fn is_same(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let is_near = |(one, other): (&Value, &Value)| {
        let floats = one.as_f64().filter(|_| one.is_f64()).zip(other.as_f64());
        one == other || floats.is_some_and(|(one, other)| (one - other).abs() <= 1e-9 * one.abs().max(100.0))
    };
    one.len() == other.len()
        && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| is_near((value, other))))
}
