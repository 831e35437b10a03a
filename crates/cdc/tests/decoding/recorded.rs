//! The recorded streams, against a Python decoder of forty lines that shares no code with ours: it computed the
//! counts, and the digest of all ids, coordinates, positions, times, moves and rows.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
};

use deltafold_cdc::{Decoder, DecoderConfig, LineHome, LineReader};
use deltafold_event::Event;
use flate2::read::GzDecoder;
use xxhash_rust::xxh3::xxh3_128;

use super::support::moved;

/// What a stream holds: events, digest, and how many of each kind.
struct Stream {
    counts: BTreeMap<String, usize>,
    events: Vec<String>,
    schemas: usize,
}

fn decode(name: &str) -> Stream {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name);
    let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut lines, mut decoder) = (LineReader::default(), Decoder::new(DecoderConfig::default()));
    let mut stream = Stream { counts: BTreeMap::new(), events: Vec::new(), schemas: 0 };
    let mut decoded = Vec::new();
    for (index, line) in BufReader::new(GzDecoder::new(file)).lines().enumerate() {
        let line = line.unwrap();
        let home = LineHome { topic: "file/0", line: index as i64 + 1 };
        let record = lines.read(line.as_bytes(), home).unwrap();
        if let Some(ignored) = decoder.decode(&record, &mut decoded).unwrap() {
            *stream.counts.entry(ignored.name().to_owned()).or_default() += 1;
        }
        for found in decoded.drain(..) {
            let kind = format!("{} {}", found.event.aggregate_type, found.event.event_type);
            *stream.counts.entry(kind).or_default() += 1;
            stream.schemas += usize::from(found.schema.is_some());
            assert_eq!(found.event.schema_id.is_some(), found.event.aggregate_id.is_some());
            stream.events.push(printed(&found.event));
        }
    }
    stream
}

fn printed(event: &Event) -> String {
    let position = event.source_position.as_ref().unwrap().as_bytes();
    let lsn = u64::from_be_bytes(position[1..].try_into().unwrap());
    let (from, to) = moved(event);
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    [
        event.id.to_string(),
        event.aggregate_type.to_string(),
        or_dash(event.aggregate_id.as_deref()),
        event.event_type.to_string(),
        lsn.to_string(),
        or_dash(event.transaction_id.as_deref()),
        event.occurred_at.as_micros().to_string(),
        event.coordinates.topic.to_string(),
        event.coordinates.partition.to_string(),
        event.coordinates.offset.to_string(),
        or_dash(from.as_deref()),
        or_dash(to.as_deref()),
        or_dash(event.before.as_deref()),
        or_dash(event.after.as_deref()),
    ]
    .join("\t")
}

fn check(name: &str, digest: &str, schemas: usize, counts: &[(&str, usize)]) {
    let stream = decode(name);
    let counts: BTreeMap<_, _> = counts.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    assert_eq!(stream.counts, counts);
    assert_eq!(format!("{:032x}", xxh3_128(stream.events.join("\n").as_bytes())), digest);
    assert_eq!(stream.schemas, schemas);
}

const SHOP: &[(&str, usize)] = &[
    ("customers created", 44),
    ("customers deleted", 6),
    ("customers updated", 43),
    ("order_lines created", 994),
    ("orders created", 503),
    ("orders updated", 1_036),
    ("outbox created", 1_539),
    ("products created", 12),
    ("products updated", 1_056),
    ("tombstone", 6),
];

const CORNERS: &[(&str, usize)] = &[
    ("customers created", 12),
    ("customers updated", 12),
    ("documents created", 13),
    ("documents deleted", 5),
    ("documents updated", 14),
    ("order_lines created", 69),
    ("order_lines truncated", 1),
    ("orders created", 37),
    ("orders updated", 110),
    ("outbox created", 109),
    ("products created", 14),
    ("products updated", 72),
    ("tombstone", 5),
];

#[test]
fn the_shop_with_schemas() {
    check("shop/shop.jsonl.gz", "5b8cd3b18070a54168f2704c17030cf6", 5, SHOP);
}

#[test]
fn the_shop_without_schemas() {
    // The keys `id` (three tables), `sku`, and `order_id, line_no`.
    check("shop/shop-plain.jsonl.gz", "92c6cbb41cfa21b267ffeccb3d2af3ac", 3, SHOP);
}

#[test]
fn the_corners_with_schemas() {
    let mut counts = CORNERS.to_vec();
    counts.push(("transaction", 308));
    // Six tables, one with a column added and one dropped on the way.
    check("corners/corners.jsonl.gz", "bb68f492fe5f4649778cc5be624fb13d", 8, &counts);
}

#[test]
fn the_corners_without_schemas() {
    check("corners/corners-plain.jsonl.gz", "a141a181ba08ddedc706224d14540fe1", 3, CORNERS);
}
