//! From an event to the record that folding works out.

use std::sync::Arc;

use deltafold_event::{Metadata, Operation, OrderKey, Position, Row, RowSchema, StoredEvent, Timestamp, canonical_row};

use crate::{
    FoldError, Given, Record, RecordKind, Schemas, Since, Stack,
    image::{push_member, value_of},
};

/// An event as far as it can be read without knowing what stands before it.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Its order, valid time, revision, rows and since are still to be worked out; `rows` holds what it says of its
    /// row, as [`crate::stand::stand`] wants it.
    pub(crate) record: Record,
    pub(crate) schema: Option<Arc<RowSchema>>,
}

impl Incoming {
    /// Reads an event that belongs to an aggregate, in an epoch of its origin.
    pub(crate) fn read<E>(stored: &StoredEvent, epoch: u32, schemas: &Schemas) -> Result<Self, FoldError<E>> {
        let (position, event) = (stored.position, &stored.event);
        let schema = match &event.schema_id {
            None => None,
            Some(id) => match schemas.get(id) {
                Some(schema) => Some(Arc::clone(schema)),
                None => return Err(FoldError::Schema { position, schema: id.clone() }),
            },
        };
        let kind = match (&event.source_position, event.operation) {
            (Some(_), _) => RecordKind::Log,
            (None, Some(_)) => RecordKind::Read,
            (None, None) => RecordKind::Domain,
        };
        let order = match &event.source_position {
            Some(source_position) => {
                OrderKey { epoch, ..OrderKey::log(source_position.clone(), event.coordinates.offset) }
            }
            None => OrderKey::default(),
        };
        let mut record = Record {
            order,
            valid_from: event.occurred_at,
            recorded_from: position,
            position,
            id: event.id,
            revision: 0,
            kind,
            operation: event.operation,
            event_type: Arc::clone(&event.event_type),
            occurred_at: event.occurred_at,
            log_valid_from: Timestamp::MIN,
            transaction: event.transaction_id.clone(),
            given: None,
            rows: Stack::new(),
            moved_from: None,
            moved_to: None,
            took: None,
            since: Since { valid_from: event.occurred_at, recorded_from: position, id: event.id },
        };
        let mut whole_before = false;
        if !Metadata::is_plain(&event.metadata) {
            let metadata = Metadata::parse(&event.metadata)
                .map_err(|error| FoldError::Metadata { position, reason: error.to_string() })?;
            record.moved_from = metadata.moved_from;
            record.moved_to = metadata.moved_to;
            whole_before = metadata.whole_before;
        }
        if matches!(event.operation, Some(Operation::Create | Operation::Update | Operation::Read)) {
            let before = event.before.as_deref().filter(|_| whole_before);
            let given = given(event.after.as_deref(), before, schema.as_deref(), position)?;
            if given.unchanged.is_empty() {
                record.rows.push(Row::new(given.json));
            } else {
                record.given = Some(given);
            }
        }
        Ok(Self { record, schema })
    }

    /// What the event says of its row, for learning its columns; those it left out stand as null.
    pub(crate) fn said(&self) -> Option<std::borrow::Cow<'_, str>> {
        match (&self.record.given, self.record.rows.last()) {
            (Some(given), _) => {
                let mut json = given.json.clone();
                for column in &given.unchanged {
                    push_member(&mut json, column, "null");
                }
                Some(json.into())
            }
            (None, row) => row.map(|row| row.json.as_str().into()),
        }
    }
}

/// The event's row; what it left out as unchanged is taken from a whole `before`, as far as that has it.
fn given<E>(
    after: Option<&str>,
    before: Option<&str>,
    schema: Option<&RowSchema>,
    position: Position,
) -> Result<Given, FoldError<E>> {
    let canonical = |json| canonical_row(json, schema).map_err(|reason| FoldError::Row { position, reason });
    let row = canonical(after.unwrap_or("null"))?;
    let mut given = Given { json: row.json, unchanged: row.unchanged };
    if let Some(before) = before.filter(|_| !given.unchanged.is_empty()) {
        let before = canonical(before)?;
        let Given { json, unchanged } = &mut given;
        unchanged.retain(|column| match value_of(&before.json, column) {
            Some(value) => {
                push_member(json, column, value);
                false
            }
            None => true,
        });
    }
    Ok(given)
}
