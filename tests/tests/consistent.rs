//! The consistent moment on a recorded stream: its partitions, those of the transaction topic too, arrive interleaved at
//! random, with records that come twice, and are cut off anywhere. As of the moment, no transaction is shown in part; what
//! its parts are is counted from the lines themselves.

use std::collections::{BTreeMap, BTreeSet};

use deltafold_cdc::{Decoder, DecoderConfig, Ignored, Limits, LineHome, LineReader, transaction_end};
use deltafold_event::{Coordinates, Event, Identity, Position, StoredEvent, Timestamp, TransactionEnd, control};
use deltafold_projector::Consistent;
use deltafold_tests::{
    kept::{Kept, OnDisk},
    naive::Schemas,
    recording::{Recording, disturb},
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::Value;

const CORNERS: Recording = Recording { folder: "corners", stream: "corners", declared: "" };

/// The records of a stream as the store has them.
struct Ingested {
    reader: LineReader,
    decoder: Decoder,
    schemas: Schemas,
    version: u64,
}

impl Ingested {
    fn new() -> Self {
        let (reader, decoder) = (LineReader::default(), Decoder::new(DecoderConfig::default()));
        Self { reader, decoder, schemas: Schemas::new(), version: 0 }
    }

    /// A commit with the records of these lines.
    fn commit(&mut self, lines: &[String]) -> Vec<StoredEvent> {
        let (mut events, mut ends) = (Vec::new(), Vec::new());
        for line in lines {
            let home = LineHome { topic: "file/1", line: 1 };
            let record = self.reader.read(line.as_bytes(), home).expect("a recorded line is a record");
            let mut decoded = Vec::new();
            let ignored = self.decoder.decode(&record, &mut decoded).expect("a recorded record is understood");
            if ignored == Some(Ignored::Transaction) {
                ends.extend(transaction_end(&record, &Limits::default()));
            }
            for decoded in decoded {
                self.schemas.extend(decoded.schema.map(|schema| (schema.id(), (*schema).clone())));
                events.push(decoded.event);
            }
        }
        if !ends.is_empty() {
            events.push(ended(&ends));
        }
        self.version += 1;
        let stored = |(event, ordinal)| StoredEvent {
            position: Position::new(self.version, ordinal).expect("few events"),
            recorded_at: Timestamp::from_micros(0),
            event,
        };
        events.into_iter().zip(0..).map(stored).collect()
    }
}

/// The `$transaction` event that says so.
fn ended(ends: &[TransactionEnd]) -> Event {
    let after = TransactionEnd::to_json(ends);
    Event {
        id: Identity::domain().text(Some(&after)).id(),
        aggregate_type: control::TRANSACTION.into(),
        aggregate_id: Some("file/1".into()),
        event_type: "ended".into(),
        operation: None,
        before: None,
        after: Some(after),
        metadata: "{}".into(),
        source_position: None,
        transaction_id: None,
        occurred_at: Timestamp::from_micros(0),
        coordinates: Coordinates { source: "file".into(), topic: "file/1".into(), partition: 0, offset: 1 },
        schema_id: None,
    }
}

/// What a line says, as far as it matters here: read without anything of ours.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Change {
    transaction: u64,
    at_us: i64,
    table: String,
    op: String,
    /// Tells it from the others of its transaction.
    content: String,
}

fn change(line: &str) -> Option<Change> {
    let record: Value = serde_json::from_str(line).expect("a record is JSON");
    let payload: Value = serde_json::from_str(record["payload"].as_str()?).expect("a payload is JSON");
    let envelope = payload.get("payload").unwrap_or(&payload);
    let source = envelope.get("source")?;
    Some(Change {
        transaction: source["txId"].as_u64().expect("a transaction"),
        at_us: source["ts_us"].as_i64().expect("a time"),
        table: source["table"].as_str().expect("a table").to_owned(),
        op: envelope["op"].as_str().expect("an operation").to_owned(),
        content: format!("{} {} {}", source["lsn"], envelope["before"], envelope["after"]),
    })
}

/// A transaction: its time and its distinct changes.
#[derive(Default)]
struct Whole {
    at_us: i64,
    changes: BTreeSet<Change>,
}

impl Whole {
    fn of(lines: &[String]) -> BTreeMap<u64, Self> {
        let mut transactions: BTreeMap<u64, Self> = BTreeMap::new();
        for change in lines.iter().filter_map(|line| change(line)) {
            let whole = transactions.entry(change.transaction).or_default();
            whole.at_us = change.at_us;
            whole.changes.insert(change);
        }
        transactions
    }

    /// How many of its changes are of one aggregate: a truncate is of all.
    fn of_table(&self, table: &str) -> usize {
        self.changes.iter().filter(|change| change.table == table && change.op != "t").count()
    }
}

/// How many transactions a moment shows in part, with the first of them.
fn in_part(kept: &OnDisk, all: &BTreeMap<u64, Whole>, at: Timestamp) -> (usize, Option<String>) {
    let tables: BTreeSet<&str> =
        all.values().flat_map(|whole| &whole.changes).map(|change| change.table.as_str()).collect();
    let shown: BTreeMap<&str, BTreeMap<String, usize>> =
        tables.iter().map(|&table| (table, kept.events_as_of(table, at))).collect();
    let (mut in_part, mut first) = (0, None);
    for (id, whole) in all {
        let counts = tables.iter().map(|table| (shown[table].get(&id.to_string()).copied().unwrap_or(0), *table));
        let counts: Vec<_> = counts.map(|(shown, table)| (shown, whole.of_table(table))).collect();
        let is_whole = counts.iter().all(|(shown, of)| shown == of);
        let is_absent = counts.iter().all(|(shown, _)| *shown == 0);
        if !is_whole && !is_absent {
            in_part += 1;
            first.get_or_insert_with(|| format!("of {id} there are (shown, of all) {counts:?} at {at}"));
        }
    }
    (in_part, first)
}

#[test]
fn no_transaction_is_shown_in_part() {
    let lines = CORNERS.lines();
    let all = Whole::of(&lines);
    assert!(all.values().filter(|whole| whole.changes.len() > 1).count() > 50, "transactions have several events");
    let (mut halves, mut held) = (0, 0);
    for seed in 0..12 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut ingested = Ingested::new();
        let commits: Vec<Vec<StoredEvent>> = cut(&disturb(&lines, seed).concat(), &mut random)
            .iter()
            .map(|piece| ingested.commit(piece))
            .filter(|commit| !commit.is_empty())
            .collect();
        let mut kept = OnDisk::new(&ingested.schemas);
        let mut newest = Timestamp::MIN;
        for (turn, commit) in commits.iter().enumerate() {
            kept.fold(commit);
            if random.random_ratio(1, 5) {
                kept.restart();
            }
            let logged = commit.iter().filter(|stored| stored.event.source_position.is_some());
            newest = logged.map(|stored| stored.event.occurred_at).max().max(Some(newest)).expect("at least this");
            let Some(consistent) = kept.consistent() else { continue };
            assert!(consistent.at <= newest);
            if !consistent.estimated {
                let (_, first) = in_part(&kept, &all, consistent.at);
                assert_eq!(first, None, "seed {seed}, after {} commits", turn + 1);
            }
            halves += in_part(&kept, &all, newest).0;
            held += usize::from(consistent.at < newest);
        }
        // In the end all are whole.
        assert_eq!(kept.consistent(), Some(Consistent { at: newest, estimated: false }));
        assert_eq!(in_part(&kept, &all, newest), (0, None));
        for transaction in all.values() {
            assert!(transaction.at_us <= newest.as_micros());
        }
    }
    assert!(halves > 100 && held > 100, "it was put to the test: {halves} in part now, held back {held} times");
}

/// What is loaded aggregate by aggregate knows the same of transactions, to the byte; and so does what is folded at once.
#[test]
fn a_load_by_aggregate_knows_the_same() {
    let lines = CORNERS.lines();
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut stream = disturb(&lines, seed).concat();
        stream.truncate(random.random_range(1..stream.len()));
        let mut ingested = Ingested::new();
        let commits: Vec<Vec<StoredEvent>> =
            cut(&stream, &mut random).iter().map(|piece| ingested.commit(piece)).collect();
        let commits: Vec<Vec<StoredEvent>> = commits.into_iter().filter(|commit| !commit.is_empty()).collect();
        let mut by_commit = OnDisk::new(&ingested.schemas);
        for commit in &commits {
            by_commit.fold(commit);
            if random.random_ratio(1, 5) {
                by_commit.restart();
            }
        }
        let all = commits.concat();
        let mut at_once = OnDisk::new(&ingested.schemas);
        at_once.fold(&all);
        assert_eq!(at_once.consistent(), by_commit.consistent());
        assert_eq!(at_once.transactions(), by_commit.transactions());
        // With little to be held, some types are folded by position after all.
        for held_events in [usize::MAX, 3] {
            let mut loaded = OnDisk::load(&ingested.schemas, &all, held_events);
            if loaded.checkpoint() == Position::ZERO {
                assert_eq!(held_events, 3);
                loaded.fold(&all);
            }
            loaded.end_bulk();
            assert_eq!(loaded.consistent(), by_commit.consistent());
            assert_eq!(loaded.transactions(), by_commit.transactions());
        }
    }
}

/// Without the transaction topic it is just before the newest transaction, and said to be estimated.
#[test]
fn without_ends_it_is_estimated() {
    let lines: Vec<String> =
        CORNERS.lines().into_iter().filter(|line| !line.contains("\"corners.transaction\"")).collect();
    let mut ingested = Ingested::new();
    let commits: Vec<Vec<StoredEvent>> = lines.chunks(20).map(|piece| ingested.commit(piece)).collect();
    let mut kept = OnDisk::new(&ingested.schemas);
    let mut newest = Timestamp::MIN;
    for commit in commits.iter().filter(|commit| !commit.is_empty()) {
        kept.fold(commit);
        newest = commit.iter().map(|stored| stored.event.occurred_at).max().max(Some(newest)).expect("not empty");
        let before = Timestamp::from_micros(newest.as_micros() - 1);
        assert_eq!(kept.consistent(), Some(Consistent { at: before, estimated: true }));
    }
    // In the order in which it was recorded, that is right.
    let at = kept.consistent().expect("some were read").at;
    assert_eq!(in_part(&kept, &Whole::of(&lines), at), (0, None));
}

fn cut(lines: &[String], random: &mut StdRng) -> Vec<Vec<String>> {
    let mut pieces = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(random.random_range(1..=rest.len().min(40)));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}
