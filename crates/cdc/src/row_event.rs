//! Changes of rows and tables.

use std::{borrow::Cow, sync::Arc};

use deltafold_event::{Event, Operation, RowSchema, SchemaId};

use crate::{
    DecodeError, Decoded, Decoder, TableName,
    decoder::Incoming,
    headers::struct_text,
    identity, json,
    key::{Columns, KeyTypes, RecordKey, columns_of, pick},
    metadata::MetadataText,
    position::RawPosition,
};

/// What all events of one change share.
struct Shared<'a> {
    change: &'a Incoming<'a>,
    position: Option<RawPosition<'a>>,
    transaction: Option<Cow<'a, str>>,
    aggregate_type: Arc<str>,
    table: Arc<TableName>,
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
    /// One event; two where an update moved a row to another declared key.
    pub(crate) fn row_events(
        &mut self,
        change: &Incoming<'_>,
        operation: Operation,
        decoded: &mut Vec<Decoded>,
    ) -> Result<(), DecodeError> {
        let envelope = change.envelope;
        let source = &envelope.source;
        let table = self.tables.get(source, &self.config)?;
        let (name, aggregate_type) = (table.name.clone(), table.aggregate_type.clone());
        let declared = table.declared_key.clone();
        let key = self.record_key(change.record, declared.is_some() || operation == Operation::Truncate)?;
        // Whatever its source block says, a row that was read has no position of its own.
        let position = if operation == Operation::Read { None } else { RawPosition::read(source)? };
        let shared = Shared {
            change,
            position,
            transaction: source.transaction(),
            aggregate_type,
            table: name,
            key: key.json(),
        };
        if operation == Operation::Truncate {
            decoded.push(shared.event(operation, Own::default(), None));
            return Ok(());
        }

        let names = match (&declared, &key) {
            (Some(names), _) => names.iter().map(String::as_str).collect(),
            (None, key) => shared.names_of(key)?,
        };
        let connect = envelope.schema.map(|schema| self.wrappers.row(schema)).transpose()?.flatten();
        let table = self.tables.get(source, &self.config)?;
        let (schema, schema_id) = table.shape(names.iter().copied(), connect.as_ref(), &source.connector);
        schema.columns()?;
        let key_schema = match &key {
            RecordKey::Columns { schema, .. } => schema.as_deref(),
            _ => None,
        };
        let keys = Keys { shared: &shared, names: &names, types: KeyTypes { row: &schema, key: key_schema } };
        let (before, after) = shared.rows(operation)?;
        let id = match &declared {
            Some(_) => keys.of_declared(operation, before, after, &key)?,
            None => keys.of_record(&key)?,
        };

        let moved = match operation {
            Operation::Update if declared.is_some() => before.and_then(|before| keys.in_row(before)),
            Operation::Create => keys.in_header("__debezium.oldkey"),
            Operation::Delete => keys.in_header("__debezium.newkey"),
            _ => None,
        };
        let moved = moved.filter(|other| *other != id);
        let new_schema = self.given.insert(schema_id.clone()).then(|| schema.clone());
        let schema_id = Some(schema_id);
        match (operation, moved) {
            (Operation::Update, Some(old_id)) => {
                let gone = Own {
                    aggregate_id: Some(old_id.clone()),
                    before,
                    moved_to: Some(id.clone()),
                    schema_id: schema_id.clone(),
                    ..Own::default()
                };
                let come = Own { aggregate_id: Some(id), after, moved_from: Some(old_id), schema_id, ..Own::default() };
                decoded.push(shared.event(Operation::Delete, gone, new_schema));
                decoded.push(shared.event(Operation::Create, come, None));
            }
            (_, moved) => {
                let (moved_from, moved_to) = if operation == Operation::Delete { (None, moved) } else { (moved, None) };
                let own = Own { aggregate_id: Some(id), before, after, moved_from, moved_to, schema_id };
                decoded.push(shared.event(operation, own, new_schema));
            }
        }
        Ok(())
    }
}

impl<'a> Shared<'a> {
    /// The rows before and after, checked: what the operation needs is there.
    fn rows(&self, operation: Operation) -> Result<(Option<&'a str>, Option<&'a str>), DecodeError> {
        let rows = [("before", self.change.envelope.before), ("after", self.change.envelope.after)];
        for (member, row) in rows {
            if let Some(row) = row.filter(|row| !row.starts_with('{')) {
                return Err(DecodeError::RowNotAnObject { member, found: DecodeError::found(row) });
            }
        }
        let [(_, before), (_, after)] = rows;
        match operation {
            Operation::Delete | Operation::Truncate => Ok((before, after)),
            _ if after.is_some() => Ok((before, after)),
            _ => Err(DecodeError::NoRow { operation: operation.letter(), member: "after" }),
        }
    }

    /// The columns of the record's key.
    fn names_of<'k>(&self, key: &'k RecordKey<'_>) -> Result<Vec<&'k str>, DecodeError> {
        match key {
            RecordKey::Columns { columns, .. } if !columns.is_empty() => {
                Ok(columns.iter().map(|(name, _)| &**name).collect())
            }
            RecordKey::Columns { .. } | RecordKey::Absent => Err(self.no_key()),
            RecordKey::Other(bytes) => Err(DecodeError::KeyNotAnObject {
                found: DecodeError::found(&String::from_utf8_lossy(bytes)),
                aggregate_type: self.aggregate_type.to_string(),
            }),
        }
    }

    fn no_key(&self) -> DecodeError {
        DecodeError::NoKey {
            table: self.change.envelope.source.table_for_people(),
            aggregate_type: self.aggregate_type.to_string(),
        }
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
            event_type: operation.event_type().into(),
            operation: Some(operation),
            before: own.before.map(str::to_owned),
            after: own.after.map(str::to_owned),
            metadata: metadata.json(),
            source_position: self.position.as_ref().map(RawPosition::encoded),
            transaction_id: self.transaction.as_deref().map(str::to_owned),
            occurred_at: envelope.occurred_at,
            coordinates: self.change.coordinates.clone(),
            schema_id: own.schema_id,
        };
        Decoded { event, table: self.table.clone(), schema }
    }
}

/// Finds keys where they may stand.
struct Keys<'a> {
    shared: &'a Shared<'a>,
    names: &'a [&'a str],
    types: KeyTypes<'a>,
}

impl Keys<'_> {
    /// The aggregate id in the record's key.
    fn of_record(&self, key: &RecordKey<'_>) -> Result<String, DecodeError> {
        let RecordKey::Columns { columns, .. } = key else { return Err(self.shared.no_key()) };
        if let Some((name, _)) = columns.iter().find(|(_, raw)| *raw == "null") {
            let remedy = "declare key columns that are never null";
            return Err(self.null(name, "null", "the record's key", remedy));
        }
        self.types.aggregate_id(columns.iter().map(|(name, raw)| (&**name, *raw))).ok_or_else(|| self.shared.no_key())
    }

    /// The aggregate id in the row: in `after`, of a delete in `before`.
    fn of_declared(
        &self,
        operation: Operation,
        before: Option<&str>,
        after: Option<&str>,
        key: &RecordKey<'_>,
    ) -> Result<String, DecodeError> {
        let (row, member, remedy) = if operation == Operation::Delete {
            let remedy = "ALTER TABLE … REPLICA IDENTITY FULL makes PostgreSQL's deletes carry the whole row";
            (before, "before", remedy)
        } else {
            let remedy =
                "declare columns that are never null (on PostgreSQL the table needs REPLICA IDENTITY FULL as well)";
            (after, "after", remedy)
        };
        let columns = columns_of(row.unwrap_or("{}"), member)?;
        let values = pick(&columns, self.names);
        for (name, value) in self.names.iter().zip(&values) {
            match value {
                None => return Err(self.null(name, "missing", member, remedy)),
                Some("null") => return Err(self.null(name, "null", member, remedy)),
                Some(_) => {}
            }
        }
        let filled = operation == Operation::Delete
            && &*self.shared.change.envelope.source.connector == "postgresql"
            && is_filled(&columns, self.names, key);
        if filled {
            return Err(self.null(self.names[0], "as empty as all that the delete does not carry", member, remedy));
        }
        let pairs = self.names.iter().copied().zip(values.into_iter().flatten());
        self.types.aggregate_id(pairs).ok_or_else(|| self.shared.no_key())
    }

    /// The aggregate id in a row, if all of it is there.
    fn in_row(&self, row: &str) -> Option<String> {
        self.in_columns(&columns_of(row, "before").ok()?)
    }

    /// The aggregate id in a key header; none where there is no such header or it does not parse.
    fn in_header(&self, name: &str) -> Option<String> {
        let header = self.shared.change.record.headers.get(name)?;
        let text = struct_text(&header);
        let text = json::text(text.as_bytes(), "header", &crate::Limits::default()).ok()?;
        self.in_columns(&columns_of(text, "header").ok()?)
    }

    fn in_columns(&self, columns: &Columns<'_>) -> Option<String> {
        let values = pick(columns, self.names).into_iter().collect::<Option<Vec<_>>>()?;
        if values.contains(&"null") {
            return None;
        }
        self.types.aggregate_id(self.names.iter().copied().zip(values))
    }

    fn null(&self, column: &str, state: &'static str, member: &'static str, remedy: &'static str) -> DecodeError {
        DecodeError::NullKey {
            column: column.to_owned(),
            aggregate_type: self.shared.aggregate_type.to_string(),
            state,
            member,
            remedy,
        }
    }
}

/// Whether the `before` of a delete looks like PostgreSQL's default identity, which carries the record's key only and
/// fills every other column with null, a default, or a zero: then a declared key that is not in the record's key is
/// not the row's.
fn is_filled(before: &Columns<'_>, declared: &[&str], key: &RecordKey<'_>) -> bool {
    let RecordKey::Columns { columns: key, .. } = key else { return false };
    let in_key = |name: &str| key.iter().any(|(found, _)| found == name);
    declared.iter().any(|name| !in_key(name))
        && before
            .iter()
            .filter(|(name, _)| !in_key(name))
            .all(|(_, raw)| matches!(*raw, "null" | "\"\"" | "0" | "0.0" | "false" | "[]"))
}
