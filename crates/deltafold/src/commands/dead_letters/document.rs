//! A dead letter as these commands print it.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use deltafold_event::Timestamp;
use deltafold_store::{Outcome, RecordedLetter};
use serde_json::{Value, json};

use crate::output::shown;

/// What a server is asked of a letter.
pub(super) const FIELDS: &str = "number id state source topic partition offset file line code reason timestamp recordedAt \
     headers key value settlement { recordedAt position by reason events ignored }";

/// A letter from the store.
pub(super) fn of_store(recorded: &RecordedLetter) -> Value {
    let RecordedLetter { number, letter, settlement } = recorded;
    let settlement = settlement.as_ref().map(|settlement| {
        let (reason, events, ignored) = match &settlement.outcome {
            Outcome::Retried { events, ignored } => (None, events.as_slice(), ignored.as_deref()),
            Outcome::Discarded { reason } => (Some(reason.as_str()), &[][..], None),
        };
        json!({
            "recordedAt": settlement.recorded_at.to_string(),
            "position": settlement.position.to_string(),
            "by": settlement.by,
            "reason": reason,
            "events": events.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "ignored": ignored,
        })
    });
    let mut document = json!({
        "number": number,
        "id": letter.id().to_string(),
        "state": recorded.state().name(),
        "source": letter.source,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "file": letter.file,
        "line": letter.line,
        "code": letter.code,
        "reason": letter.reason,
        "timestamp": letter.timestamp_ms.map(|millis| Timestamp::from_millis(millis).to_string()),
        "recordedAt": letter.recorded_at.to_string(),
        "headers": serde_json::from_str::<Value>(&letter.headers).unwrap_or_default(),
        "settlement": settlement,
    });
    put_bytes(&mut document, "key", letter.key.as_deref());
    put_bytes(&mut document, "value", letter.value.as_deref());
    document
}

/// The same from what a server says, where 64-bit numbers and bytes are texts, and states are shouted.
pub(super) fn of_response(mut letter: Value) -> Value {
    for part in ["offset", "line"] {
        if let Some(number) = letter[part].as_str().and_then(|digits| digits.parse::<i64>().ok()) {
            letter[part] = number.into();
        }
    }
    letter["state"] = letter["state"].as_str().unwrap_or_default().to_lowercase().into();
    let mut ordered = json!({});
    if let Some(members) = letter.as_object_mut() {
        let bytes = ["key", "value"].map(|part| members.shift_remove(part).unwrap_or_default());
        ordered = Value::Object(std::mem::take(members));
        for (part, bytes) in ["key", "value"].into_iter().zip(bytes) {
            let bytes = bytes.as_str().and_then(|text| BASE64_STANDARD.decode(text).ok());
            put_bytes(&mut ordered, part, bytes.as_deref());
        }
    }
    ordered
}

/// Bytes as text, or else as `…Base64`.
fn put_bytes(document: &mut Value, part: &str, bytes: Option<&[u8]>) {
    let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
    document[part] = text.into();
    if let (None, Some(bytes)) = (text, bytes) {
        document[format!("{part}Base64")] = BASE64_STANDARD.encode(bytes).into();
    }
}

/// Where it came from: file and line, or topic, partition and offset.
pub(super) fn place(letter: &Value) -> String {
    match (&letter["file"], &letter["line"]) {
        (Value::String(file), Value::Number(line)) => format!("{file}:{line}"),
        _ => {
            let [source, topic, partition, offset] =
                ["source", "topic", "partition", "offset"].map(|part| shown(&letter[part]));
            format!("{source}/{topic}/{partition}@{offset}")
        }
    }
}

#[cfg(test)]
mod tests {
    use deltafold_event::{EventId, Position};
    use deltafold_store::{DeadLetter, Settlement};

    use super::*;

    fn recorded(settlement: Option<Settlement>) -> RecordedLetter {
        let letter = DeadLetter {
            source: "file".into(),
            topic: "file/0123".into(),
            partition: 0,
            offset: 7,
            file: Some("orders.jsonl".into()),
            line: Some(7),
            timestamp_ms: None,
            key: Some(b"{}".to_vec()),
            value: Some(b"{\xff".to_vec()),
            headers: "[\"a\",\"b\"]".into(),
            code: "invalid_utf8".into(),
            reason: "byte 1 of the line is not UTF-8".into(),
            recorded_at: Timestamp::from_micros(0),
        };
        RecordedLetter { number: 3, letter, settlement }
    }

    /// As the schema's types print it.
    fn response(recorded: &RecordedLetter, settlement: Value) -> Value {
        json!({
            "number": 3, "id": recorded.letter.id().to_string(), "state": recorded.state().name().to_uppercase(),
            "source": "file", "topic": "file/0123", "partition": 0, "offset": "7", "file": "orders.jsonl", "line": "7",
            "code": "invalid_utf8", "reason": "byte 1 of the line is not UTF-8", "timestamp": null,
            "recordedAt": "1970-01-01T00:00:00.000000Z", "headers": ["a", "b"], "key": "e30=", "value": "e/8=",
            "settlement": settlement,
        })
    }

    #[test]
    fn a_server_s_letter_is_printed_as_the_store_s() {
        let open = recorded(None);
        let document = of_store(&open);
        assert_eq!(of_response(response(&open, Value::Null)).to_string(), document.to_string());
        assert_eq!((&document["value"], &document["valueBase64"]), (&Value::Null, &json!("e/8=")));
        assert_eq!((&document["key"], document.get("keyBase64")), (&json!("{}"), None));
        assert_eq!(place(&document), "orders.jsonl:7");

        let retried = recorded(Some(Settlement {
            outcome: Outcome::Retried { events: vec![EventId::from_bytes([1; 16])], ignored: None },
            by: "local".into(),
            position: Position::ZERO,
            recorded_at: Timestamp::from_micros(0),
        }));
        let settlement = json!({
            "recordedAt": "1970-01-01T00:00:00.000000Z", "position": "0", "by": "local", "reason": null,
            "events": ["01010101-0101-0101-0101-010101010101"], "ignored": null,
        });
        assert_eq!(of_response(response(&retried, settlement)).to_string(), of_store(&retried).to_string());
    }
}
