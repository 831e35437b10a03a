//! The event ids of a stream, worked out from `fold.md` ("Identity") and nothing of ours.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

/// A line as `kcat -J` writes it; of another record there is nothing in it.
#[derive(Deserialize)]
struct Line {
    payload: Option<String>,
}

/// A change event, maybe inside a schema wrapper. Transaction markers and heartbeats have no source block.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Option<Box<Envelope<'a>>>,
    #[serde(borrow)]
    before: Option<&'a RawValue>,
    #[serde(borrow)]
    after: Option<&'a RawValue>,
    source: Option<Source>,
    op: Option<String>,
}

/// The source block of PostgreSQL's connector.
#[derive(Deserialize)]
struct Source {
    connector: String,
    name: String,
    db: String,
    schema: String,
    table: String,
    lsn: u64,
    #[serde(rename = "txId")]
    transaction: u64,
}

/// The distinct ids of the log events in the lines; every change in a recording is one.
pub(super) fn of(lines: &[String]) -> BTreeSet<String> {
    lines.iter().filter_map(|line| id(line)).collect()
}

fn id(line: &str) -> Option<String> {
    let line: Line = serde_json::from_str(line).expect("a record is JSON");
    let payload = line.payload?;
    let outer: Envelope<'_> = serde_json::from_str(&payload).expect("a payload is JSON");
    let event = outer.payload.as_deref().unwrap_or(&outer);
    let source = event.source.as_ref()?;
    let op = event.op.as_deref().expect("a change says what it did");
    assert!(["c", "u", "d", "t"].contains(&op), "{op} has another kind of identity");
    let digest = |row: Option<&RawValue>| row.map(|row| format!("{:032x}", xxh3_128(row.get().as_bytes())));
    let fields = [
        Some("log".to_owned()),
        Some(source.connector.clone()),
        Some(source.name.clone()),
        Some(source.db.clone()),
        Some(source.schema.clone()),
        Some(source.table.clone()),
        Some(source.lsn.to_string()),
        Some(source.transaction.to_string()),
        Some(op.to_owned()),
        digest(event.before),
        digest(event.after),
    ];
    let mut identity = Vec::new();
    for field in fields {
        let length = field.as_ref().map_or(u32::MAX, |field| field.len() as u32);
        identity.extend(length.to_be_bytes());
        identity.extend(field.unwrap_or_default().into_bytes());
    }
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"deltafold");
    Some(Uuid::new_v5(&namespace, &identity).to_string())
}
