//! The connectors that read the database's log and write to Kafka.

use std::collections::BTreeMap;

use deltafold_event::{Coordinates, Event, Identity, Timestamp};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::{Value, json};

use super::{
    case::{Case, Counts},
    database::Change,
    draft::{self, Draft},
    record::{Arrival, Item, Record},
    table::{Connector, Row, TABLES, Table},
};

/// How many partitions a topic has.
const PARTITIONS: i32 = 3;

/// What a transaction is to a connector.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// `txId`, or the number in the gtid.
    pub(super) transaction: Option<u64>,
    /// In microseconds.
    pub(super) committed_at: i64,
    /// Where it ends in the log.
    pub(super) end_lsn: u64,
}

#[derive(Debug)]
pub(super) struct Connectors {
    pub(super) items: Vec<Item>,
    pub(super) counts: Counts,
    random: SmallRng,
    offsets: BTreeMap<(String, i32), i64>,
    /// What was sent from the logs, with its partition, to be sent again.
    sent: Vec<(Draft, i32)>,
    run: u32,
    /// Whether records say it.
    has_runs: bool,
    /// Whether databases are restored in this history.
    are_restored: bool,
    last_commit_lsn: Option<u64>,
    pub(super) binlog: Binlog,
    /// MariaDB's.
    server_id: u32,
}

/// The end of MariaDB's log.
#[derive(Debug, Clone)]
pub(super) struct Binlog {
    file: u64,
    pos: u64,
    row: u32,
    statement: u64,
}

impl Connectors {
    pub(super) fn new(seed: u64, restored: Option<bool>) -> Self {
        Self {
            items: Vec::new(),
            counts: Counts::default(),
            random: SmallRng::seed_from_u64(seed),
            offsets: BTreeMap::new(),
            sent: Vec::new(),
            run: 0,
            has_runs: restored.unwrap_or(true),
            are_restored: restored.is_some(),
            server_id: 1,
            last_commit_lsn: None,
            binlog: Binlog { file: 999_998, pos: 4, row: 0, statement: 0 },
        }
    }

    /// Sends what a transaction did.
    pub(super) fn send(&mut self, sent: Sent, changes: &[Change], tables: &mut [Table]) {
        for change in changes {
            let source = self.source(change, sent);
            for mut draft in draft::drafts(change, source, &mut tables[change.table]) {
                if sent.transaction.is_none() && draft.value.is_some() {
                    draft.cases.push(Case::WithoutTransaction);
                }
                let partition = self.partition(draft.key.as_deref());
                self.sent.push((draft.clone(), partition));
                self.put(draft, partition);
            }
            tables[change.table].shown_by(&change.kind);
        }
        if !changes.is_empty() && sent.transaction.is_some() {
            self.last_commit_lsn = Some(sent.end_lsn);
        }
    }

    /// Sends a row that a snapshot read.
    pub(super) fn read(&mut self, table: &Table, row: &Row, case: Case, lsn: u64, clock: i64) {
        let initial = case == Case::InitialSnapshot;
        let snapshot = if initial { "true" } else { "incremental" };
        let source = match table.definition.connector {
            Connector::Postgres => {
                let mut source =
                    postgres(table.definition.name, snapshot, clock, &json!([lsn.to_string(), lsn.to_string()]));
                source["txId"] = if initial { json!(4_999) } else { Value::Null };
                source["lsn"] = if initial { json!(lsn) } else { Value::Null };
                source
            }
            Connector::MariaDb => self.mariadb(snapshot, clock, None),
        };
        let draft = draft::read(table, row, source, case);
        let partition = self.partition(draft.key.as_deref());
        self.put(draft, partition);
    }

    /// Sends a row of a snapshot of all tables, with its marker.
    pub(super) fn read_whole(&mut self, table: &Table, row: &Row, marker: &str, lsn: u64, clock: i64) {
        let mut source = match table.definition.connector {
            Connector::Postgres => {
                postgres(table.definition.name, marker, clock, &json!([lsn.to_string(), lsn.to_string()]))
            }
            Connector::MariaDb => self.mariadb(marker, clock, None),
        };
        if table.definition.connector == Connector::Postgres {
            (source["txId"], source["lsn"]) = (json!(4_999), json!(lsn));
        }
        let draft = draft::read(table, row, source, Case::InitialSnapshot);
        let partition = self.partition(draft.key.as_deref());
        self.put(draft, partition);
    }

    /// Starts anew on databases that were restored, or replaced by others.
    pub(super) fn restore(&mut self, binlog: Binlog, last_commit_lsn: Option<u64>, is_other: bool) {
        self.run += 100;
        self.sent.clear();
        self.last_commit_lsn = last_commit_lsn;
        self.binlog = Binlog { pos: binlog.pos / 100 * 100 + self.beginning(), ..binlog };
        self.server_id += u32::from(is_other);
    }

    /// The first place in a file of the binlog. No place in a log is another's again after a restore.
    fn beginning(&self) -> u64 {
        4 + u64::from(self.restores() % 96)
    }

    /// Whether databases are restored in this history.
    pub(super) fn are_restored(&self) -> bool {
        self.are_restored
    }

    /// How often the databases were restored.
    pub(super) fn restores(&self) -> u32 {
        self.run / 100
    }

    /// The operator lets a database go on, up to an epoch.
    pub(super) fn new_epoch(&mut self, origin: &str, epoch: u32, clock: i64) {
        let number = self.items.len();
        let event = Event {
            id: Identity::domain().text(Some("$source")).text(Some(origin)).number(number as u64).id(),
            aggregate_type: "$source".into(),
            aggregate_id: Some(origin.to_owned()),
            event_type: "new_epoch".into(),
            operation: None,
            before: None,
            after: Some(json!({ "epoch": epoch, "reason": "restored", "by": "the operator" }).to_string()),
            metadata: "{}".to_owned(),
            source_position: None,
            transaction_id: None,
            occurred_at: Timestamp::from_micros(clock),
            coordinates: Coordinates { source: "".into(), topic: "".into(), partition: 0, offset: number as i64 },
            schema_id: None,
        };
        self.items.push(Item { arrival: Arrival::Domain(event), cases: Vec::new() });
    }

    /// After a crash a connector sends again what it had sent since its last flushed offset.
    pub(super) fn resend(&mut self, count: usize) {
        self.run += 1;
        let from = self.sent.len().saturating_sub(count);
        let again = self.sent[from..].to_vec();
        for (at, (mut draft, mut partition)) in again.into_iter().enumerate() {
            draft.cases = Vec::new();
            // Where the copy that a later run sent is read first, a reset takes both with it: no law says otherwise.
            if draft.key.is_none() && !self.are_restored {
                partition = self.random.random_range(0..PARTITIONS);
            }
            if let (0, Some(value)) = (at, &mut draft.value)
                && let Some(lsn) = value["source"]["lsn"].as_u64()
            {
                value["source"]["sequence"] = json!(json!([null, lsn.to_string()]).to_string());
                draft.cases.push(Case::DuplicateWithoutSequence);
            }
            self.put(draft, partition);
        }
    }

    /// A client appends an event, or appends it again.
    pub(super) fn domain_event(&mut self, id: i64, number: u16, clock: i64) {
        let own_id = format!("note-{}", number % 12);
        let identity = Identity::domain().text(Some("notes")).text(Some(&own_id)).id();
        let same = |item: &Item| match &item.arrival {
            Arrival::Domain(event) if event.id == identity => Some(event.clone()),
            _ => None,
        };
        if let Some(mut event) = self.items.iter().find_map(same) {
            event.coordinates.offset = self.items.len() as i64;
            self.items.push(Item { arrival: Arrival::Domain(event), cases: Vec::new() });
            return;
        }
        let event = Event {
            id: identity,
            aggregate_type: "notes".into(),
            aggregate_id: Some((number % 12 % 4).to_string()),
            event_type: ["written", "read"][usize::from(number % 12) % 2].into(),
            operation: None,
            before: None,
            after: Some(json!({ "note": own_id, "stars": number % 12 % 5 }).to_string()),
            metadata: "{}".to_owned(),
            source_position: None,
            transaction_id: None,
            occurred_at: Timestamp::from_micros(clock + (id - 3) * 1_000_000),
            coordinates: Coordinates {
                source: "client".into(),
                topic: "notes".into(),
                partition: 0,
                offset: self.items.len() as i64,
            },
            schema_id: None,
        };
        self.items.push(Item { arrival: Arrival::Domain(event), cases: vec![Case::DomainEvent] });
    }

    /// The source block of a change.
    fn source(&mut self, change: &Change, sent: Sent) -> Value {
        let definition = &TABLES[change.table];
        match definition.connector {
            Connector::Postgres => {
                let sequence = json!([self.last_commit_lsn.map(|lsn| lsn.to_string()), change.lsn.to_string()]);
                let message = matches!(change.kind, super::database::Kind::Message(_));
                let table = if message { "" } else { definition.name };
                let mut source = postgres(table, "false", sent.committed_at, &sequence);
                if message {
                    source["schema"] = json!("");
                }
                source["txId"] = json!(sent.transaction);
                source["lsn"] = json!(change.lsn);
                source
            }
            Connector::MariaDb => {
                if self.binlog.statement == change.statement {
                    self.binlog.row += 1;
                } else {
                    let turn = change.lsn.is_multiple_of(5);
                    let Binlog { file, pos, .. } = self.binlog;
                    let (file, pos) = if turn { (file + 1, self.beginning()) } else { (file, pos + 100) };
                    self.binlog = Binlog { file, pos, row: 0, statement: change.statement };
                }
                // The time at which the statement began, in whole seconds.
                self.mariadb("false", change.began_at, sent.transaction)
            }
        }
    }

    fn mariadb(&self, snapshot: &str, clock: i64, gtid: Option<u64>) -> Value {
        let seconds = clock.div_euclid(1_000_000);
        let read = snapshot != "false";
        json!({
            "version": "3.5.0.Final", "connector": "mariadb", "name": "maria", "ts_ms": seconds * 1_000,
            "snapshot": snapshot, "db": "shop", "sequence": null, "ts_us": seconds * 1_000_000,
            "ts_ns": seconds * 1_000_000_000, "table": "crates", "server_id": if read { 0 } else { self.server_id },
            "gtid": gtid.map(|gtid| format!("0-1-{gtid}")), "file": format!("bin.{}", self.binlog.file),
            "pos": self.binlog.pos, "row": self.binlog.row, "thread": null, "query": null,
        })
    }

    /// The same key, the same partition; without a key, any.
    fn partition(&mut self, key: Option<&str>) -> i32 {
        match key {
            Some(key) => {
                (key.bytes().fold(7_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte)) >> 3) as i32 % PARTITIONS
            }
            None => self.random.random_range(0..PARTITIONS),
        }
    }

    fn put(&mut self, draft: Draft, partition: i32) {
        // Transaction markers of the producer leave gaps.
        let gap = self.random.random_range(1..3);
        let offset = self.offsets.entry((draft.topic.clone(), partition)).or_default();
        *offset += gap;
        let connector_clock = 1_795_262_541_126 + self.items.len() as i64;
        let value = draft.value.map(|mut value| {
            value.insert("ts_ms".to_owned(), json!(connector_clock));
            Value::Object(value).to_string()
        });
        let mut headers: Vec<String> = Vec::new();
        headers.extend(draft.header.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        if self.has_runs {
            let run = format!("01a1fe0d-b0b2-7651-b07f-{:012}", self.run);
            headers.extend(["__debezium.context.runId".to_owned(), run]);
        }
        let record = Record {
            topic: draft.topic,
            partition,
            offset: *offset,
            timestamp_ms: connector_clock,
            key: draft.key,
            value,
            headers: json!(headers).to_string(),
        };
        self.items.push(Item { arrival: Arrival::Record(record), cases: draft.cases });
    }
}

fn postgres(table: &str, snapshot: &str, clock: i64, sequence: &Value) -> Value {
    json!({
        "version": "3.5.0.Final", "connector": "postgresql", "name": "gen", "ts_ms": clock.div_euclid(1_000),
        "snapshot": snapshot, "db": "gen", "sequence": sequence.to_string(), "ts_us": clock,
        "ts_ns": clock.saturating_mul(1_000), "schema": "public", "table": table, "txId": null, "lsn": null,
        "xmin": null, "origin": null, "origin_lsn": null,
    })
}
