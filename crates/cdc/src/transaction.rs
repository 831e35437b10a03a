//! Records of Debezium's transaction topic.

use deltafold_event::{Timestamp, TransactionEnd};

use crate::{Limits, Record, envelope::unwrapped, json};

/// Whose transactions the records of a topic tell of: the topic's name without this, for it is the only place where
/// such a record says whose it is.
const TOPIC_END: &str = ".transaction";

/// The end that a record tells of which the decoder passed over as [`crate::Ignored::Transaction`]; none if it tells of a
/// beginning. Renamed topics (`topic.transaction`) are taken for their part before the last dot.
pub fn transaction_end(record: &Record<'_>, limits: &Limits) -> Option<TransactionEnd> {
    let (members, _) = unwrapped(record, limits).ok()??;
    if !members.has_status("END") {
        return None;
    }
    let id = json::string(members.id?)?;
    let topic = record.topic;
    let origin = topic.strip_suffix(TOPIC_END).or_else(|| topic.rsplit_once('.').map(|(origin, _)| origin));
    let ended_at = members.ts_ms.and_then(|millis| millis.parse().ok()).or(record.timestamp_ms)?;
    Some(TransactionEnd {
        origin: origin.unwrap_or(topic).to_owned(),
        transaction: of_events(&id).to_owned(),
        events: members.event_count?.parse().ok()?,
        ended_at: Timestamp::from_millis(ended_at),
    })
}

/// A transaction's id as its events have it in their source blocks. PostgreSQL's connector gives the number of the
/// transaction and a position here, which is another one at the beginning, at the end and at each event; the colons in
/// other databases' ids are part of them.
fn of_events(id: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match id.split_once(':') {
        Some((number, position)) if is_number(number) && is_number(position) => number,
        _ => id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    fn end(topic: &str, value: &str) -> Option<TransactionEnd> {
        let record = Record {
            topic,
            partition: 0,
            offset: 0,
            timestamp_ms: Some(5),
            key: None,
            value: Some(value.as_bytes()),
            headers: Headers::None,
        };
        transaction_end(&record, &Limits::default())
    }

    #[test]
    fn an_end_says_how_many_events_whose_transaction_has() {
        let value = r#"{"status":"END","id":"2725:41425976","event_count":3,"data_collections":[{"data_collection":
            "public.orders","event_count":3}],"ts_ms":1794297600017}"#;
        let expected = TransactionEnd {
            origin: "my.shop".into(),
            transaction: "2725".into(),
            events: 3,
            ended_at: Timestamp::from_millis(1_794_297_600_017),
        };
        assert_eq!(end("my.shop.transaction", value), Some(expected.clone()));
        let wrapped = format!(r#"{{"schema":{{"type":"struct"}},"payload":{value}}}"#);
        assert_eq!(end("my.shop.transaction", &wrapped), Some(expected.clone()));
        assert_eq!(end("my.shop.ends", value), Some(expected));
    }

    #[test]
    fn what_else_the_topic_holds_is_no_end() {
        for value in [
            r#"{"status":"BEGIN","id":"2725:1","event_count":null,"data_collections":null,"ts_ms":1}"#,
            r#"{"status":"END","id":"2725:1","event_count":null,"ts_ms":1}"#,
            r#"{"status":"END","id":"2725:1","event_count":-1,"ts_ms":1}"#,
            r#"{"status":"END","id":7,"event_count":1,"ts_ms":1}"#,
            "null",
            "[]",
        ] {
            assert_eq!(end("shop.transaction", value), None, "{value}");
        }
    }

    #[test]
    fn only_postgresql_s_ids_lose_what_follows_the_colon() {
        let gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:23";
        for (id, expected) in [("730:26492464", "730"), ("0-5401-641", "0-5401-641"), (gtid, gtid), ("7:", "7:")] {
            assert_eq!(of_events(id), expected);
        }
    }
}
