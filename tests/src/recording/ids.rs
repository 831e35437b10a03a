//! The event ids of a stream, worked out from `fold.md` ("Identity") and nothing of ours.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

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

/// The source block of PostgreSQL's or MariaDB's connector. That of a schema change names no connector.
#[derive(Deserialize)]
struct Source {
    connector: Option<String>,
    name: Option<String>,
    db: Option<String>,
    schema: Option<String>,
    table: Option<String>,
    lsn: Option<u64>,
    #[serde(rename = "txId")]
    transaction: Option<u64>,
    server_id: Option<u64>,
    file: Option<String>,
    pos: Option<u64>,
    row: Option<u64>,
    gtid: Option<String>,
}

/// The distinct ids of the log events in the lines; every change in a recording is one.
pub(super) fn of(lines: &[String]) -> BTreeSet<String> {
    let record = |line: &String| serde_json::from_str::<Value>(line).expect("a record is JSON");
    lines.iter().filter_map(|line| of_record("file", &record(line))).collect()
}

/// The id of the change in a record as `kcat -J` writes it; none where it holds no change. `source` read it.
pub(crate) fn of_record(source: &str, record: &Value) -> Option<String> {
    let payload = record["payload"].as_str()?;
    let outer: Envelope<'_> = serde_json::from_str(payload).expect("a payload is JSON");
    let event = outer.payload.as_deref().unwrap_or(&outer);
    let block = event.source.as_ref()?;
    let (op, connector) = (event.op.as_deref()?, block.connector.as_deref()?);
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let digest = |text: &str| format!("{:032x}", xxh3_128(text.as_bytes()));
    if op == "r" {
        let place = |name: &str| record[name].as_i64().map(|number| number.to_string());
        return Some(uuid(&[
            Some("read".to_owned()),
            Some(source.to_owned()),
            record["topic"].as_str().map(str::to_owned),
            place("partition"),
            place("offset"),
            Some(digest(payload)),
        ]));
    }
    assert!(["c", "u", "d", "t"].contains(&op), "{op} has another kind of identity");
    let mut fields = vec![
        Some("log".to_owned()),
        Some(connector.to_owned()),
        block.name.clone(),
        block.db.clone(),
        block.schema.clone(),
        block.table.clone(),
    ];
    match connector {
        "postgresql" => fields.extend([number(block.lsn), number(block.transaction)]),
        _ => fields.extend([
            number(block.server_id),
            block.file.clone(),
            number(block.pos),
            number(block.row),
            block.gtid.clone(),
        ]),
    }
    fields.push(Some(op.to_owned()));
    fields.extend([event.before, event.after].map(|row| row.map(|row| digest(row.get()))));
    Some(uuid(&fields))
}

fn uuid(fields: &[Option<String>]) -> String {
    let mut identity = Vec::new();
    for field in fields {
        let length = field.as_ref().map_or(u32::MAX, |field| field.len() as u32);
        identity.extend(length.to_be_bytes());
        identity.extend(field.iter().flat_map(|field| field.bytes()));
    }
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"deltafold");
    Uuid::new_v5(&namespace, &identity).to_string()
}
