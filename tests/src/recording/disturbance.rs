//! A stream as a bad day would deliver it.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

/// How many of the log events come again: one in so many.
const AGAIN: u32 = 20;

/// Interleaves the partitions at random (each keeps its order), delivers one log event in twenty again, later in
/// its partition, and cuts the whole into pieces of random length.
pub fn disturb(lines: &[String], seed: u64) -> Vec<Vec<String>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut partitions: BTreeMap<(String, i64), Vec<Value>> = BTreeMap::new();
    for line in lines {
        let record: Value = serde_json::from_str(line).expect("a record is JSON");
        let topic = record["topic"].as_str().expect("a topic").to_owned();
        let partition = record["partition"].as_i64().expect("a partition");
        partitions.entry((topic, partition)).or_default().push(record);
    }
    for records in partitions.values_mut() {
        repeat_some(records, &mut random);
    }
    let mut turns: Vec<&(String, i64)> =
        partitions.iter().flat_map(|(place, records)| std::iter::repeat_n(place, records.len())).collect();
    turns.shuffle(&mut random);
    let mut next: BTreeMap<&(String, i64), usize> = BTreeMap::new();
    let mut pieces = vec![Vec::new()];
    for place in turns {
        let index = next.entry(place).or_default();
        pieces.last_mut().expect("there is a piece").push(partitions[place][*index].to_string());
        *index += 1;
        if random.random_ratio(1, lines.len() as u32 / 6) {
            pieces.push(Vec::new());
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// The copies have offsets of their own, behind all others: the producer sent them again.
fn repeat_some(records: &mut Vec<Value>, random: &mut StdRng) {
    let mut offset = records.iter().filter_map(|record| record["offset"].as_i64()).max().unwrap_or_default();
    let copies: Vec<Value> =
        records.iter().filter(|record| is_log_event(record) && random.random_ratio(1, AGAIN)).cloned().collect();
    for mut copy in copies {
        offset += 1;
        copy["offset"] = json!(offset);
        records.push(copy);
    }
}

/// A tombstone has no payload, a snapshot row no position, a transaction marker no row: none of them is one.
fn is_log_event(record: &Value) -> bool {
    let Some(payload) = record["payload"].as_str() else { return false };
    let payload: Value = serde_json::from_str(payload).expect("a payload is JSON");
    let envelope = payload.get("payload").unwrap_or(&payload);
    matches!(envelope["op"].as_str(), Some("c" | "u" | "d" | "t"))
}
