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
    ColumnType, EventId, Operation, StoredEvent, Timestamp,
    arrays::{Values, data_type, write_json},
};
use deltafold_projection::Definition;
use serde_json::{Map, Value};

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

impl Batch {
    /// The rows of a query at a moment, each a JSON object.
    ///
    /// # Panics
    /// When DataFusion does not run it.
    pub fn rows(
        &self,
        definition: &Definition,
        query: &str,
        relations: &BTreeMap<String, Relation>,
        log: &[StoredEvent],
        moment: Timestamp,
    ) -> Vec<Map<String, Value>> {
        let mut context = SessionContext::new();
        datafusion_functions_json::register_all(&mut context).expect("their names are new");
        let events = self.log(relations, log, moment);
        context.register_table("events", Arc::new(events)).expect("it is a new name");
        for name in TABLES {
            let rows = relations.get(name).map(|relation| relation.at(moment)).unwrap_or_default();
            let mut columns: Vec<Values> =
                COLUMNS.iter().map(|(_, column_type)| Values::new(column_type, rows.len())).collect();
            for version in rows.values() {
                for ((column, _), values) in COLUMNS.iter().zip(&mut columns) {
                    match version.content.columns.get(*column) {
                        Some(value) => {
                            values.append(&value.to_string());
                        }
                        None => values.append_null(),
                    }
                }
            }
            let fields = COLUMNS.iter().map(|(column, of)| Field::new(*column, data_type(of), true));
            let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
            let arrays = columns.into_iter().map(Values::finish).collect();
            let rows = RecordBatch::try_new(schema.clone(), arrays).expect("they are of the table's types");
            let table = MemTable::try_new(schema, vec![vec![rows]]).expect("they are of the table's types");
            context.register_table(name, Arc::new(table)).expect("it is a new name");
        }
        let found = self.runtime.block_on(async { context.sql(query).await?.collect().await });
        let found = found.unwrap_or_else(|error| panic!("{query}: {error}"));
        found.iter().flat_map(|batch| json(batch, definition)).collect()
    }
}

impl Batch {
    /// Each event once, at its first delivery, of those that are valid at a moment.
    fn log(&self, relations: &BTreeMap<String, Relation>, log: &[StoredEvent], moment: Timestamp) -> MemTable {
        let entries = relations.values().flat_map(|relation| relation.history.values().flatten());
        let entries = entries.filter(|entry| entry.revision.is_some());
        let valid: BTreeMap<EventId, Timestamp> = entries.map(|entry| (entry.event, entry.valid_from)).collect();
        let text = |name| (name, ColumnType::Text);
        let columns = [
            ("position", ColumnType::BigInt),
            text("event_id"),
            text("aggregate_type"),
            text("aggregate_id"),
            text("event_type"),
            text("operation"),
            ("payload", ColumnType::Json),
            text("transaction_id"),
            ("occurred_at", ColumnType::TimestampTz),
        ];
        let mut values: Vec<Values> = columns.iter().map(|(_, of)| Values::new(of, log.len())).collect();
        let mut seen = BTreeSet::new();
        for StoredEvent { position, event, .. } in log.iter().filter(|stored| !stored.event.is_control()) {
            let is_truncate = event.operation == Some(Operation::Truncate);
            let valid_from = if is_truncate { Some(event.occurred_at) } else { valid.get(&event.id).copied() };
            if !seen.insert(event.id) || valid_from.is_none_or(|from| from > moment) {
                continue;
            }
            let json = |text: &str| Value::from(text).to_string();
            let row = [
                Some(position.as_i64().to_string()),
                Some(json(&event.id.to_string())),
                Some(json(&event.aggregate_type)),
                event.aggregate_id.as_deref().map(json),
                Some(json(&event.event_type)),
                event.operation.map(|operation| json(operation.letter())),
                event.after.clone(),
                event.transaction_id.as_deref().map(json),
                Some(json(&event.occurred_at.to_string())),
            ];
            for (values, value) in values.iter_mut().zip(row) {
                match value {
                    Some(value) => {
                        values.append(&value);
                    }
                    None => values.append_null(),
                }
            }
        }
        let fields = columns.iter().map(|(name, of)| Field::new(*name, data_type(of), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = values.into_iter().map(Values::finish).collect();
        let rows = RecordBatch::try_new(schema.clone(), arrays).expect("they are of the table's types");
        MemTable::try_new(schema, vec![vec![rows]]).expect("they are of the table's types")
    }
}

fn json(batch: &RecordBatch, definition: &Definition) -> Vec<Map<String, Value>> {
    let columns = definition.columns().iter().zip(batch.columns());
    let columns: Vec<(&str, &ColumnType, _)> = columns
        .map(|(column, values)| {
            let of_view = cast(values, &data_type(&column.column_type)).expect("a view can hold it");
            (column.name.as_str(), &column.column_type, of_view)
        })
        .collect();
    let row = |row: usize| {
        let value = |(name, of, values): &(&str, &ColumnType, ArrayRef)| {
            let mut text = String::new();
            write_json(&mut text, values, row, of);
            ((*name).to_owned(), serde_json::from_str(&text).expect("it is JSON"))
        };
        columns.iter().map(value).collect()
    };
    (0..batch.num_rows()).map(row).collect()
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
