//! Recorded streams, the binary that serves them, and the truth they are compared with.

mod answers;
mod disturbance;
pub(crate) mod ids;
mod truth;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use deltafold_cdc::{Decoded, Decoder, DecoderConfig, LineHome, LineReader};
use deltafold_event::{Position, StoredEvent, Timestamp};
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::server::Server;

use crate::{live::wait_until, naive::Schemas, process::Deltafold};

pub(crate) use answers::Answers;
pub use disturbance::disturb;
pub use truth::Moment;

/// Types for the streams without schemas: what `\d` says of the tables.
pub const DECLARED: &str = r#"
[aggregates.products.columns]
price = "decimal(10,2)"
attributes = "json"
tags = "text[]"
weight_kg = "float"
[aggregates.orders.columns]
total = "decimal(12,2)"
shipped_on = "date"
placed_at = "timestamptz"
[aggregates.order_lines.columns]
unit_price = "decimal(10,2)"
[aggregates.customers.columns]
created_at = "timestamptz"
updated_at = "timestamptz"
[aggregates.documents.columns]
digest = "bytes"
"#;

/// One recorded stream of `tests/data`.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// Its folder, which holds the truth too.
    pub folder: &'static str,
    /// The stream's name.
    pub stream: &'static str,
    /// Configuration: column types where the stream has none.
    pub declared: &'static str,
}

impl Recording {
    /// The records, one a line.
    pub fn lines(&self) -> Vec<String> {
        self.read(self.stream)
    }

    /// The events in commits of so many records, and the schemas that they refer to.
    ///
    /// # Panics
    /// When a record cannot be decoded.
    pub fn commits(&self, records: usize) -> (Vec<Vec<StoredEvent>>, Schemas) {
        let mut decoder = Decoder::new(DecoderConfig::default());
        let mut reader = LineReader::default();
        let mut schemas = Schemas::new();
        let mut commits = Vec::new();
        for (version, lines) in (1..).zip(self.lines().chunks(records)) {
            let mut decoded = Vec::new();
            for (number, line) in (1..).zip(lines) {
                let record = reader.read(line.as_bytes(), LineHome { topic: self.stream, line: number });
                decoder.decode(&record.expect("a record"), &mut decoded).expect("it can be decoded");
            }
            let new = decoded.iter().filter_map(|decoded| decoded.schema.as_ref());
            schemas.extend(new.map(|schema| (schema.id(), schema.as_ref().clone())));
            let recorded_at = Timestamp::from_millis(1_800_000_000_000 + version as i64);
            let stored = |(ordinal, decoded): (u32, Decoded)| {
                let position = Position::new(version, ordinal).expect("few events");
                StoredEvent { position, recorded_at, event: decoded.event }
            };
            commits.push((0..).zip(decoded).map(stored).collect());
        }
        (commits, schemas)
    }

    /// What the database said, moment by moment.
    pub fn moments(&self) -> Vec<Moment> {
        self.read("truth").iter().map(|line| Moment::parse(line)).collect()
    }

    fn read(&self, name: &str) -> Vec<String> {
        let path: PathBuf =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(self.folder).join(format!("{name}.jsonl.gz"));
        let file = fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut text = String::new();
        GzDecoder::new(file).read_to_string(&mut text).expect("the recording is whole");
        text.lines().map(str::to_owned).collect()
    }
}

/// A server on a data directory into which a recording was ingested, piece by piece.
#[derive(Debug)]
pub struct Served {
    server: Server,
    _folder: Arc<TempDir>,
}

/// Ingests the pieces, each as a file of its own, and serves what came of them.
pub fn served(recording: &Recording, pieces: &[Vec<String>]) -> Served {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let deltafold = Deltafold::on(&folder.path().join("data"));
    for (number, piece) in pieces.iter().enumerate() {
        assert_eq!(ingest(&deltafold, &folder, &format!("piece-{number}"), piece, ""), 0, "dead letters");
    }
    serve(folder, recording.declared)
}

/// Two servers on one data directory, each with an index of its own and started before there is anything, beside which
/// the pieces are ingested; half-way the second is killed and started again.
pub fn served_apart(recording: &Recording, pieces: &[Vec<String>]) -> [Served; 2] {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let deltafold = Deltafold::on(&folder.path().join("data"));
    let config = configure(&folder, recording.declared);
    let start = |index: &str| {
        let mut command = deltafold.command(["serve", "--listen", "127.0.0.1:0", "--config", &config]);
        command.arg("--index").arg(folder.path().join(index));
        Server::start(&mut command).expect("the server starts")
    };
    let (one, mut other) = (start("one"), start("other"));
    for (number, piece) in pieces.iter().enumerate() {
        if number == pieces.len() / 2 {
            drop(other);
            other = start("other");
        }
        let name = format!("piece-{number}");
        assert_eq!(ingest(&deltafold, &folder, &name, piece, recording.declared), 0, "dead letters");
    }
    let stored: Value =
        serde_json::from_str(&deltafold.succeed(["verify", "--json"]).stdout).expect("the report is JSON");
    let folder = Arc::new(folder);
    [one, other].map(|server| {
        wait_until("what another process appended is seen", || {
            let mut connection = server.connect().map_err(|error| error.to_string())?;
            let answer = connection.graphql("{ store { events } }", &Value::Null).map_err(|error| error.to_string())?;
            if answer["store"]["events"] == json!(stored["events"].to_string()) {
                Ok(())
            } else {
                Err(answer.to_string())
            }
        });
        server.wait_until_ready().expect("the views catch up");
        Served { server, _folder: folder.clone() }
    })
}

/// Ingests the lines when `config` is configured, and serves what came of it.
pub fn served_with(lines: &[String], config: &str) -> Served {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let deltafold = Deltafold::on(&folder.path().join("data"));
    assert_eq!(ingest(&deltafold, &folder, "lines", lines, config), 0, "dead letters");
    serve(folder, config)
}

/// Ingests the lines when `before` is configured, which makes dead letters of some, then retries those when `after` is,
/// and serves what came of it.
pub fn served_after_retry(lines: &[String], before: &str, after: &str) -> Served {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let deltafold = Deltafold::on(&folder.path().join("data"));
    let letters = ingest(&deltafold, &folder, "lines", lines, before);
    assert!(letters > 0, "nothing is wrong with them");
    let config = configure(&folder, after);
    let ended = deltafold.succeed(["dead-letters", "retry", "--all", "--json", "--config", &config]);
    let told: Value = serde_json::from_str(&ended.stdout).expect("what was done is JSON");
    assert_eq!((&told["retried"], &told["failed"]), (&letters.into(), &0.into()), "{told}");
    serve(folder, after)
}

/// Ingests the lines as one file; how many dead letters there were.
fn ingest(deltafold: &Deltafold, folder: &TempDir, name: &str, lines: &[String], config: &str) -> u64 {
    let path = folder.path().join(format!("{name}.jsonl"));
    let mut file = fs::File::create(&path).expect("a piece is made");
    for line in lines {
        writeln!(file, "{line}").expect("a piece is written");
    }
    let (path, config) = (path.to_str().expect("its path is text"), configure(folder, config));
    let ended = deltafold.succeed(["ingest", "--json", "--file", path, "--config", &config]);
    let summary: Value = serde_json::from_str(&ended.stdout).expect("the summary is JSON");
    summary["deadLetters"].as_u64().expect("a count")
}

fn configure(folder: &TempDir, config: &str) -> String {
    let path = folder.path().join("deltafold.toml");
    fs::write(&path, config).expect("the configuration is written");
    path.to_str().expect("its path is text").to_owned()
}

fn serve(folder: TempDir, config: &str) -> Served {
    let config = configure(&folder, config);
    let mut command = Deltafold::on(&folder.path().join("data")).command(["run", "--listen", "127.0.0.1:0"]);
    command.arg("--config").arg(&config);
    let server = Server::start(&mut command).expect("the server starts");
    server.wait_until_ready().expect("the views catch up");
    Served { server, _folder: Arc::new(folder) }
}

impl Served {
    /// Compares every table at every moment of the truth.
    pub fn compare_with_truth(&self, recording: &Recording) {
        let mut answers = Answers::of(&self.server);
        let moments = recording.moments();
        assert!(moments.len() >= 19, "the truth has its moments");
        for moment in &moments {
            for (table, rows) in &moment.tables {
                let found = answers.table(table, &moment.at);
                let expected = answers.expected(table, rows);
                assert_eq!(found.len(), expected.len(), "{} at {}", table, moment.at);
                for (found, expected) in found.iter().zip(&expected) {
                    assert_eq!(found, expected, "{} at {}", table, moment.at);
                }
            }
        }
    }

    /// Compares the store's distinct events, but for its own, with those of the lines.
    pub fn compare_with_lines(&self, lines: &[String]) {
        let listed = Answers::of(&self.server).event_ids();
        let found: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!(found.len(), listed.len(), "an event is listed once");
        assert_eq!(found, ids::of(lines));
    }
}

/// Asserts that two stores have the same views: the versions that are shown now and at every moment of the truth,
/// with their intervals and events.
pub fn assert_same_views(one: &Served, other: &Served, recording: &Recording) {
    let (mut one, mut other) = (Answers::of(&one.server), Answers::of(&other.server));
    let views = one.views();
    assert!(views.len() > 3, "there are views to compare: {views:?}");
    assert_eq!(views, other.views());
    let moments = recording.moments().into_iter().map(|moment| moment.at);
    for at in moments.chain(["9999-01-01T00:00:00Z".to_owned()]) {
        for view in &views {
            assert_eq!(one.versions(view, &at), other.versions(view, &at), "{view} at {at}");
        }
    }
}
