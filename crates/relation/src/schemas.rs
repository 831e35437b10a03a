//! The schemas that events refer to.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{RowSchema, SchemaError, SchemaId, StoredEvent, control};

/// The row schemas known so far, from `$schema` events.
#[derive(Debug, Clone, Default)]
pub struct Schemas(BTreeMap<SchemaId, Arc<RowSchema>>);

impl Schemas {
    /// Adds a schema under its own id.
    pub fn insert(&mut self, schema: Arc<RowSchema>) {
        self.0.insert(schema.id(), schema);
    }

    /// Takes in a `$schema` event; any other event is passed over.
    ///
    /// # Errors
    /// When the event's payload is not a schema.
    pub fn observe(&mut self, event: &StoredEvent) -> Result<(), SchemaError> {
        if &*event.event.aggregate_type == control::SCHEMA {
            let json = event.event.after.as_deref().unwrap_or_default();
            self.insert(Arc::new(RowSchema::from_json(json)?));
        }
        Ok(())
    }

    /// The schema with this id.
    pub fn get(&self, id: &SchemaId) -> Option<&Arc<RowSchema>> {
        self.0.get(id)
    }
}
