//! What the connectors leave in Kafka.

use deltafold_event::Event;
use serde_json::{Value, json};

use super::case::Case;

/// One record of a topic.
#[derive(Debug, Clone)]
pub struct Record {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The broker's time, in milliseconds.
    pub timestamp_ms: i64,
    /// The key.
    pub key: Option<String>,
    /// The value; none is a tombstone.
    pub value: Option<String>,
    /// The headers: a JSON array of name, value, name, value.
    pub headers: String,
}

impl Record {
    /// The record as `kcat -J` prints it.
    pub fn to_line(&self) -> String {
        let headers: Value = serde_json::from_str(&self.headers).expect("headers are written as JSON");
        let mut line = json!({ "topic": self.topic, "partition": self.partition, "offset": self.offset });
        line["tstype"] = json!("create");
        line["ts"] = json!(self.timestamp_ms);
        line["broker"] = json!(1);
        line["headers"] = headers;
        line["key"] = json!(self.key);
        line["payload"] = json!(self.value);
        line.to_string()
    }
}

/// Something that arrives.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A record of a topic.
    Record(Record),
    /// A domain event, appended by a client.
    Domain(Event),
}

/// Something that was sent, in the order in which it was, with what it is a case of.
#[derive(Debug, Clone)]
pub struct Item {
    /// What arrives.
    pub arrival: Arrival,
    /// What it is a case of.
    pub cases: Vec<Case>,
}
