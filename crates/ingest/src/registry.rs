//! What is on record in the store about types: their tables and schemas.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use deltafold_cdc::{Decoded, TableName};
use deltafold_event::{Coordinates, Event, Identity, RowSchema, SchemaId, control};
use deltafold_store::EventStore;

use crate::{IngestError, clock::now};

/// The tables that aggregate types belong to, and the schemas that are on record, as the store had them when it was asked
/// and as this pipeline has added to them since. What others add meanwhile, the commit will tell.
pub(crate) struct Registry {
    store: EventStore,
    tables: HashMap<Arc<str>, Arc<TableName>>,
    schemas: HashSet<SchemaId>,
    /// Schemas that came with an event which was refused: a decoder gives each once, and the next event may be of
    /// another table with the same.
    withheld: HashMap<SchemaId, Arc<RowSchema>>,
}

/// An event whose type belongs to another table.
pub(crate) struct Claimed {
    pub(crate) reason: String,
}

impl Claimed {
    pub(crate) const CODE: &'static str = "table_conflict";
}

impl Registry {
    /// What the store has now.
    pub(crate) async fn read(store: &EventStore) -> Result<Self, IngestError> {
        let mut tables = HashMap::new();
        for stored in store.control(control::TABLE).await? {
            let Some(aggregate_type) = stored.event.aggregate_id else { continue };
            let table = TableName::from_json(stored.event.after.as_deref().unwrap_or_default()).map_err(|error| {
                IngestError::Claim { aggregate_type: aggregate_type.clone(), what: error.to_string() }
            })?;
            // The first claim is the one that counts.
            tables.entry(aggregate_type.into()).or_insert_with(|| Arc::new(table));
        }
        Ok(Self { store: store.clone(), tables, schemas: HashSet::new(), withheld: HashMap::new() })
    }

    /// Takes an event in: before it go the `$table` and `$schema` events that its commit needs.
    pub(crate) fn admit(&mut self, decoded: Decoded, events: &mut Vec<Event>) -> Result<(), Claimed> {
        let Decoded { event, table, mut schema } = decoded;
        match self.tables.get(&event.aggregate_type) {
            Some(owner) if Arc::ptr_eq(owner, &table) || *owner == table => {}
            Some(owner) => {
                if let (Some(id), Some(schema)) = (event.schema_id, schema) {
                    self.withheld.insert(id, schema);
                }
                return Err(Claimed { reason: conflict(&event.aggregate_type, owner, &table) });
            }
            None => {
                events.push(table_event(&event, &table));
                self.tables.insert(Arc::clone(&event.aggregate_type), table);
            }
        }
        if !self.withheld.is_empty() {
            schema = schema.or_else(|| self.withheld.remove(event.schema_id.as_ref()?));
        }
        if let Some(schema) = schema {
            let id = schema.id();
            if !self.schemas.contains(&id) {
                if !self.store.has_control(control::SCHEMA, id.as_str()) {
                    events.push(schema_event(&event, &schema, &id));
                }
                self.schemas.insert(id);
            }
        }
        events.push(event);
        Ok(())
    }
}

fn conflict(aggregate_type: &str, owner: &TableName, table: &TableName) -> String {
    format!(
        "aggregate type {aggregate_type} belongs to table {}, and this event is of table {}: set [aggregates] name so that \
         they differ (\"{{schema}}_{{table}}\", \"{{server}}_{{table}}\", …), then retry",
        path(owner),
        path(table)
    )
}

/// A table as its database would write it, with the server in front.
fn path(table: &TableName) -> String {
    let parts = [&table.server, &table.database, &table.schema, &table.table];
    parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(".")
}

fn table_event(first: &Event, table: &TableName) -> Event {
    let id = Identity::domain().text(Some(control::TABLE)).text(Some(&first.aggregate_type)).id();
    Event {
        aggregate_id: Some(first.aggregate_type.to_string()),
        event_type: "claimed".into(),
        after: Some(table.to_json()),
        ..control_event(control::TABLE, &first.coordinates, id)
    }
}

fn schema_event(first: &Event, schema: &RowSchema, schema_id: &SchemaId) -> Event {
    let id = Identity::domain().text(Some(control::SCHEMA)).text(Some(schema_id.as_str())).id();
    Event {
        aggregate_id: Some(schema_id.to_string()),
        event_type: "seen".into(),
        after: Some(schema.to_json()),
        ..control_event(control::SCHEMA, &first.coordinates, id)
    }
}

/// A control event that stands at the coordinates of the event which made it necessary.
fn control_event(aggregate_type: &str, coordinates: &Coordinates, id: deltafold_event::EventId) -> Event {
    Event {
        id,
        aggregate_type: aggregate_type.into(),
        aggregate_id: None,
        event_type: "".into(),
        operation: None,
        before: None,
        after: None,
        metadata: "{}".to_owned(),
        source_position: None,
        transaction_id: None,
        occurred_at: now(),
        coordinates: coordinates.clone(),
        schema_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_names_both_tables_and_the_setting() {
        let table = |server: &str, schema: &str| TableName {
            server: server.into(),
            database: "db".into(),
            schema: schema.into(),
            table: "orders".into(),
        };
        assert_eq!(
            conflict("orders", &table("shop", "public"), &table("crm", "")),
            "aggregate type orders belongs to table shop.db.public.orders, and this event is of table crm.db.orders: set [aggregates] \
             name so that they differ (\"{schema}_{table}\", \"{server}_{table}\", …), then retry"
        );
    }
}
