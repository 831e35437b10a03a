//! Changes of rows and tables.

use std::{borrow::Cow, sync::Arc};

use deltafold_event::{Event, Operation, RowSchema, SchemaId};

use crate::{
    DecodeError, Decoded, Decoder, Ignored, TableName,
    decoder::Incoming,
    event_types::EventTypes,
    identity,
    key::{KeyNames, KeyTypes, RecordKey},
    metadata::MetadataText,
    position::RawPosition,
    row_key::RowKey,
};

/// What all events of one change share.
pub(crate) struct Shared<'a> {
    pub(crate) change: &'a Incoming<'a>,
    pub(crate) aggregate_type: Arc<str>,
    position: Option<RawPosition<'a>>,
    transaction: Option<Cow<'a, str>>,
    table: Arc<TableName>,
    event_types: &'a EventTypes,
    /// The record's key inside its wrapper.
    key: Option<Cow<'a, str>>,
}

/// What one of them has of its own.
#[derive(Default)]
struct Own<'a> {
    aggregate_id: Option<String>,
    before: Option<&'a str>,
    after: Option<&'a str>,
    moved_from: Option<String>,
    moved_to: Option<String>,
    schema_id: Option<SchemaId>,
}

impl Decoder {
    /// One event; two where an update moved a row to another declared key; of an outbox, what its rows tell.
    pub(crate) fn row_events(
        &mut self,
        change: &Incoming<'_>,
        operation: Operation,
        decoded: &mut Vec<Decoded>,
    ) -> Result<Option<Ignored>, DecodeError> {
        let envelope = change.envelope;
        let source = &envelope.source;
        let table = self.tables.get(source, &self.config)?;
        if let Some(columns) = table.outbox.clone() {
            let name = table.name.clone();
            return self.outbox_event(change, operation, name, &columns, decoded);
        }
        let (bytes, limits) = (change.record.key, &self.config.limits);
        let key = if table.declared_key.is_some() || operation == Operation::Truncate {
            RecordKey::read_beside(bytes, limits, &mut self.wrappers)
        } else {
            RecordKey::read(bytes, limits, &mut self.wrappers)?
        };
        let shared = Shared {
            change,
            aggregate_type: table.aggregate_type.clone(),
            // Whatever its source block says, a row that was read has no position of its own.
            position: if operation == Operation::Read { None } else { RawPosition::read(source)? },
            transaction: source.transaction(),
            table: table.name.clone(),
            event_types: &self.event_types,
            key: key.json(),
        };
        if operation == Operation::Truncate {
            decoded.push(shared.event(operation, Own::default(), None));
            return Ok(None);
        }

        let declared = table.declared_key.clone();
        let names = match &declared {
            Some(names) => KeyNames::Declared(names),
            None => shared.names_of(&key)?,
        };
        let connect = envelope.schema.map(|schema| self.wrappers.row(schema)).transpose()?.flatten();
        let (schema, schema_id) = table.shape(names.iter(), connect.as_ref(), &source.connector);
        schema.columns()?;
        let types = KeyTypes { row: &schema, key: key.schema() };
        let (before, after) = shared.rows(operation)?;
        let row_key = RowKey { shared: &shared, names, types, record: &key, limits: self.config.limits };
        let id = match &declared {
            Some(_) => row_key.of_declared(operation, before, after)?,
            None => row_key.of_record()?,
        };
        let moved = match operation {
            Operation::Update if declared.is_some() => before.and_then(|before| row_key.in_row(before)),
            Operation::Create => row_key.in_header("__debezium.oldkey"),
            Operation::Delete => row_key.in_header("__debezium.newkey"),
            _ => None,
        };
        let moved = moved.filter(|other| *other != id);
        for id in [Some(&id), moved.as_ref()].into_iter().flatten() {
            limits.check_id(id, &shared.aggregate_type)?;
        }
        let new_schema = if self.given.contains(&schema_id) {
            None
        } else {
            self.given.insert(schema_id.clone());
            Some(schema.clone())
        };
        let own = Own { aggregate_id: Some(id), before, after, schema_id: Some(schema_id), ..Own::default() };
        decoded.extend(shared.events(operation, own, moved, new_schema));
        Ok(None)
    }
}

impl<'a> Shared<'a> {
    /// The rows before and after, checked: what the operation needs is there.
    fn rows(&self, operation: Operation) -> Result<(Option<&'a str>, Option<&'a str>), DecodeError> {
        let (before, after) = (self.change.envelope.before, self.change.envelope.after);
        for (member, row) in [("before", before), ("after", after)] {
            if let Some(row) = row.filter(|row| !row.starts_with('{')) {
                return Err(DecodeError::RowNotAnObject { member, found: DecodeError::found(row) });
            }
        }
        if after.is_none() && operation != Operation::Delete {
            return Err(DecodeError::NoRow { operation: operation.letter(), member: "after" });
        }
        Ok((before, after))
    }

    /// The columns of the record's key.
    fn names_of<'k>(&self, key: &'k RecordKey<'k>) -> Result<KeyNames<'k>, DecodeError> {
        match key {
            RecordKey::Columns { columns, .. } if !columns.is_empty() => Ok(KeyNames::OfRecord(columns)),
            RecordKey::Columns { .. } | RecordKey::Absent => Err(self.no_key()),
            RecordKey::Other(bytes) => Err(DecodeError::KeyNotAnObject {
                found: DecodeError::found(&String::from_utf8_lossy(bytes)),
                aggregate_type: self.aggregate_type.to_string(),
            }),
        }
    }

    pub(crate) fn no_key(&self) -> DecodeError {
        DecodeError::NoKey {
            table: self.change.envelope.source.table_for_people(),
            aggregate_type: self.aggregate_type.to_string(),
        }
    }

    /// The event; of an update that moved its row here from another id, the delete there and the create here.
    fn events(
        &self,
        operation: Operation,
        own: Own<'_>,
        moved: Option<String>,
        schema: Option<Arc<RowSchema>>,
    ) -> impl Iterator<Item = Decoded> {
        let (first, second) = match (operation, moved) {
            (Operation::Update, Some(old_id)) => {
                let gone = Own {
                    aggregate_id: Some(old_id.clone()),
                    moved_to: own.aggregate_id.clone(),
                    after: None,
                    schema_id: own.schema_id.clone(),
                    ..own
                };
                let come = Own { before: None, moved_from: Some(old_id), ..own };
                (self.event(Operation::Delete, gone, schema), Some(self.event(Operation::Create, come, None)))
            }
            (Operation::Delete, moved_to) => (self.event(operation, Own { moved_to, ..own }, schema), None),
            (_, moved_from) => (self.event(operation, Own { moved_from, ..own }, schema), None),
        };
        std::iter::once(first).chain(second)
    }

    fn event(&self, operation: Operation, own: Own<'_>, schema: Option<Arc<RowSchema>>) -> Decoded {
        let envelope = self.change.envelope;
        let id = match &self.position {
            Some(position) => {
                let transaction = self.transaction.as_deref();
                identity::of_log(self.change, position, transaction, operation.letter(), own.before, own.after)
            }
            None => identity::of_read(self.change),
        };
        let metadata = MetadataText {
            moved_from: own.moved_from.as_deref(),
            moved_to: own.moved_to.as_deref(),
            whole_before: envelope.source.has_whole_before(),
            source: envelope.source.raw,
            key: self.key.as_deref(),
            headers: self.change.headers,
        };
        let event = Event {
            id,
            aggregate_type: self.aggregate_type.clone(),
            aggregate_id: own.aggregate_id,
            event_type: self.event_types.of(operation),
            operation: Some(operation),
            before: own.before.map(str::to_owned),
            after: own.after.map(str::to_owned),
            metadata: metadata.json(),
            source_position: self.position.as_ref().map(RawPosition::encoded),
            transaction_id: self.transaction.as_deref().map(Into::into),
            occurred_at: envelope.occurred_at,
            coordinates: self.change.coordinates.clone(),
            schema_id: own.schema_id,
        };
        Decoded { event, table: self.table.clone(), schema }
    }
}
