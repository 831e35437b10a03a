//! What is in the topics, read by another client, and which events that is by `fold.md` alone.

use serde_json::Value;
use xtask::stack::Stack;

use crate::recording::ids;

/// An event as a record tells it.
pub(super) struct Told {
    pub(super) id: String,
    pub(super) aggregate_type: String,
    pub(super) aggregate_id: String,
}

/// All records of a connector's topics.
pub(super) fn of(stack: &Stack, name: &str) -> Vec<Value> {
    let kafka = stack.kafka().expect("the broker");
    let ours = format!("{name}.");
    let topics = kafka.topics().expect("the topics are listed");
    let topics = topics.iter().filter(|topic| topic.starts_with(&ours));
    topics.flat_map(|topic| kafka.dump(topic).expect("the topic is read")).collect()
}

/// The changes of rows among them.
pub(super) fn events(source: &str, records: &[Value]) -> Vec<Told> {
    records.iter().filter_map(|record| event(source, record)).collect()
}

fn event(source: &str, record: &Value) -> Option<Told> {
    let id = ids::of_record(source, record)?;
    let payload: Value = serde_json::from_str(record["payload"].as_str()?).expect("a payload is JSON");
    let envelope = payload.get("payload").unwrap_or(&payload);
    let key: Value = serde_json::from_str(record["key"].as_str()?).expect("a key is JSON");
    let key = key.get("payload").unwrap_or(&key).as_object()?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let aggregate_id = match key.values().collect::<Vec<_>>().as_slice() {
        [one] => text(one),
        several => serde_json::to_string(several).expect("values are JSON"),
    };
    let aggregate_type = envelope["source"]["table"].as_str()?.to_owned();
    Some(Told { id, aggregate_type, aggregate_id })
}
