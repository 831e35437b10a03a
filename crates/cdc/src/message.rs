//! Logical messages (`pg_logical_emit_message`).

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use deltafold_event::Event;

use crate::{
    DecodeError, Decoded, Decoder, Limits, decoder::Incoming, identity, json, key::RecordKey, metadata::MetadataText,
    position::RawPosition,
};

/// The aggregate type of all logical messages.
const AGGREGATE_TYPE: &str = "message";

impl Decoder {
    /// A message is an event of the aggregate that its prefix names; its content is the payload.
    pub(crate) fn message_event(
        &mut self,
        change: &Incoming<'_>,
        decoded: &mut Vec<Decoded>,
    ) -> Result<(), DecodeError> {
        let envelope = change.envelope;
        let no_message = DecodeError::NoSource { what: "message with a prefix" };
        let Some(block) = envelope.message.filter(|block| block.starts_with('{')) else { return Err(no_message) };
        let (mut prefix, mut content) = (None, None);
        json::members(block, "message", &self.config.limits, |name, value| match &*name {
            "prefix" => prefix = json::string(value.raw()),
            "content" => content = json::given(Some(value.raw())),
            _ => {}
        })?;
        let Some(prefix) = prefix else { return Err(no_message) };
        self.config.limits.check_id(&prefix, AGGREGATE_TYPE)?;
        let key = RecordKey::read_beside(change.record.key, &self.config.limits, &mut self.wrappers).json();
        let transaction = envelope.source.transaction();
        let position = RawPosition::read(&envelope.source)?;
        let id = match &position {
            Some(position) => identity::of_log(change, position, transaction.as_deref(), "m", None, Some(block)),
            None => identity::of_read(change),
        };
        let metadata = MetadataText {
            source: envelope.source.raw,
            key: key.as_deref(),
            headers: change.headers,
            ..MetadataText::default()
        };
        let event = Event {
            id,
            aggregate_type: AGGREGATE_TYPE.into(),
            aggregate_id: Some(prefix.clone().into_owned()),
            event_type: prefix.into(),
            operation: None,
            before: None,
            after: content.map(|raw| payload(raw, &self.config.limits)),
            metadata: metadata.json(),
            source_position: position.map(|position| position.encoded()),
            transaction_id: transaction.map(Into::into),
            occurred_at: envelope.occurred_at,
            coordinates: change.coordinates.clone(),
            schema_id: None,
        };
        decoded.push(Decoded { event, table: self.messages.clone(), schema: None });
        Ok(())
    }
}

/// A message's content as JSON: an object or an array as it is, any other text as a JSON string, bytes that are no text
/// in base64, as they came.
fn payload(raw: &str, limits: &Limits) -> String {
    let bytes = json::string(raw).and_then(|base64| BASE64.decode(&*base64).ok());
    let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else { return raw.to_owned() };
    let trimmed = text.trim_ascii();
    let is_json = trimmed.starts_with(['{', '[']) && json::is_valid(trimmed, limits);
    if is_json { trimmed.to_owned() } else { serde_json::to_string(&text).expect("a text is always JSON") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_becomes_json() {
        for (content, expected) in [
            ("{\"a\": 1}", "{\"a\": 1}"),
            (" [1,2] ", "[1,2]"),
            ("hello \"you\"", "\"hello \\\"you\\\"\""),
            ("123", "\"123\""),
            ("{\"a\":", "\"{\\\"a\\\":\""),
            ("[1] [2]", "\"[1] [2]\""),
            ("", "\"\""),
        ] {
            let raw = format!("\"{}\"", BASE64.encode(content));
            assert_eq!(payload(&raw, &Limits::default()), expected, "{content}");
        }
        assert_eq!(payload("\"/w==\"", &Limits::default()), "\"/w==\"");
    }
}
