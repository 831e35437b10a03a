//! Domain events from the rows of an outbox table.

use std::sync::Arc;

use deltafold_event::{Event, Identity, Operation};

use crate::{
    DecodeError, Decoded, Decoder, Ignored, Limits, OutboxColumns, TableName, decoder::Incoming, json, key::RecordKey,
    metadata::MetadataText,
};

impl Decoder {
    /// The event that a row tells. Rows are only ever inserted there for somebody to read: what changes or removes them
    /// later tells nothing.
    pub(crate) fn outbox_event(
        &mut self,
        change: &Incoming<'_>,
        operation: Operation,
        table: Arc<TableName>,
        columns: &OutboxColumns,
        decoded: &mut Vec<Decoded>,
    ) -> Result<Option<Ignored>, DecodeError> {
        if !matches!(operation, Operation::Create | Operation::Read) {
            return Ok(Some(Ignored::OutboxRow));
        }
        let envelope = change.envelope;
        let limits = &self.config.limits;
        let Some(after) = envelope.after else {
            return Err(DecodeError::NoRow { operation: operation.letter(), member: "after" });
        };
        if !after.starts_with('{') {
            return Err(DecodeError::RowNotAnObject { member: "after", found: DecodeError::found(after) });
        }
        let mut values: [Option<&str>; 5] = [None; 5];
        let names =
            [&columns.id, &columns.aggregate_type, &columns.aggregate_id, &columns.event_type, &columns.payload];
        json::members(after, "value", limits, |name, value| {
            if let Some(at) = names.iter().position(|known| **known == *name) {
                values[at] = json::given(Some(value.raw()));
            }
        })?;
        let [id, aggregate_type, aggregate_id, event_type, payload] = values;
        let text = |raw: Option<&str>, name: &str| {
            let absent =
                || DecodeError::NoOutboxColumn { table: envelope.source.table_for_people(), column: name.to_owned() };
            let raw = raw.ok_or_else(absent)?;
            Ok::<_, DecodeError>(json::string(raw).map_or_else(|| raw.to_owned(), |text| text.into_owned()))
        };
        let id = text(id, &columns.id)?;
        let aggregate_type = text(aggregate_type, &columns.aggregate_type)?;
        let aggregate_id = text(aggregate_id, &columns.aggregate_id)?;
        let event_type = text(event_type, &columns.event_type)?;
        if aggregate_type.starts_with('$') {
            return Err(DecodeError::ReservedName { table: envelope.source.table_for_people(), aggregate_type });
        }
        limits.check_id(&aggregate_id, &aggregate_type)?;
        let payload = payload.map(|raw| payload_of(raw, limits));
        let key = RecordKey::read_beside(change.record.key, limits, &mut self.wrappers).json();
        let metadata = MetadataText {
            source: envelope.source.raw,
            key: key.as_deref(),
            headers: change.headers,
            ..MetadataText::default()
        };
        let event = Event {
            id: Identity::domain().text(Some(&aggregate_type)).text(Some(&id)).id(),
            aggregate_type: aggregate_type.into(),
            aggregate_id: Some(aggregate_id),
            event_type: event_type.into(),
            operation: None,
            before: None,
            after: payload,
            metadata: metadata.json(),
            source_position: None,
            transaction_id: envelope.source.transaction().map(Into::into),
            occurred_at: envelope.occurred_at,
            coordinates: change.coordinates.clone(),
            schema_id: None,
        };
        decoded.push(Decoded { event, table, schema: None });
        Ok(None)
    }
}

/// A payload as JSON: Debezium sends that of a JSON column as its text.
fn payload_of(raw: &str, limits: &Limits) -> String {
    match json::string(raw) {
        Some(text) if json::is_valid(text.trim_ascii(), limits) => text.trim_ascii().to_owned(),
        _ => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_json() {
        for (raw, expected) in [
            (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (r#""hello""#, r#""hello""#),
            (r#""17""#, "17"),
        ] {
            assert_eq!(payload_of(raw, &Limits::default()), expected);
        }
    }
}
