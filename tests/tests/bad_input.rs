//! What is wrong in a file becomes a dead letter with its line and the reason, and everything else is in the store;
//! what is wrong with a data directory is said, with an exit code, and nothing is lost.

use std::{
    fs,
    path::{Path, PathBuf},
};

use deltafold_tests::process::Deltafold;
use serde_json::{Value, json};
use tempfile::TempDir;

/// An event of the table `orders`.
fn envelope(id: u64) -> Value {
    json!({
        "before": null,
        "after": {"id": id, "total": "1.50"},
        "source": {
            "version": "3.5.0.Final", "connector": "postgresql", "name": "shop", "ts_ms": 1_790_582_400_000_u64,
            "snapshot": "false", "db": "shop", "sequence": format!("[null,\"{id}\"]"),
            "ts_us": 1_790_582_400_000_000_u64 + id, "schema": "public", "table": "orders", "txId": id, "lsn": id,
        },
        "op": "c", "ts_ms": 1_790_582_400_001_u64,
    })
}

fn line(key: &Value, value: &Value) -> Vec<u8> {
    json!({"key": key, "value": value}).to_string().into_bytes()
}

fn good(id: u64) -> Vec<u8> {
    line(&json!({"id": id}), &envelope(id))
}

/// The event with one member of it, or of its source block, replaced.
fn with(id: u64, pointer: &str, value: Value) -> Vec<u8> {
    let mut envelope = envelope(id);
    *envelope.pointer_mut(pointer).expect("the envelope has this member") = value;
    line(&json!({"id": id}), &envelope)
}

/// Something wrong, its code, and what its reason says.
struct Bad {
    line: Vec<u8>,
    code: &'static str,
    says: &'static str,
}

fn bad_lines() -> Vec<Bad> {
    let bad = |line: Vec<u8>, code, says| Bad { line, code, says };
    let whole = good(901);
    let mut invalid = good(902);
    let at = invalid.windows(4).position(|four| four == b"1.50").expect("the total");
    invalid[at] = 0xFF;
    let mut deep = vec![b'['; 10_000];
    deep.extend(vec![b']'; 10_000]);
    let deep =
        [br#"{"key":{"id":903},"value":{"op":"c","after":{"id":903,"nested":"#.as_slice(), &deep, b"}}}"].concat();
    let without_key = line(&Value::Null, &envelope(904));
    let outside = [("/source/lsn", "99999999999999999999999"), ("/source/lsn", "-7"), ("/source/lsn", "1.5")];
    let outside = outside.map(|(pointer, number)| {
        let number: Value = serde_json::from_str(number).expect("a number");
        bad(with(905, pointer, number), "position_out_of_range", "lsn")
    });
    let mut lines = vec![
        bad(whole[..whole.len() / 2].to_vec(), "truncated_json", "cut off"),
        bad(invalid, "invalid_utf8", "UTF-8"),
        bad(deep, "too_deep", "nested"),
        bad(without_key, "no_key", "[aggregates.orders] key"),
        bad(decimal_without_scale(), "decimal_without_scale", "total"),
        bad(with(906, "/source/db", json!("other_shop")), "table_conflict", "other_shop"),
        bad(b"not JSON at all".to_vec(), "not_an_object", "not a JSON object"),
        bad(with(907, "/op", json!("x")), "unknown_operation", "\"x\""),
    ];
    lines.extend(outside);
    lines
}

/// With a schema that says Decimal and not which.
fn decimal_without_scale() -> Vec<u8> {
    let row = |field: &str| {
        json!({"type": "struct", "optional": true, "field": field, "name": "shop.public.orders.Value", "fields": [
            {"type": "int64", "optional": false, "field": "id"},
            {"type": "bytes", "optional": true, "name": "org.apache.kafka.connect.data.Decimal", "version": 1, "field": "total"},
        ]})
    };
    let schema = json!({"type": "struct", "optional": false, "name": "shop.public.orders.Envelope",
        "fields": [row("before"), row("after")]});
    let mut payload = envelope(908);
    payload["after"]["total"] = json!("D5Y=");
    line(&json!({"id": 908}), &json!({"schema": schema, "payload": payload}))
}

/// A record whose header should name the key that its row had before, and does not.
fn broken_header(id: u64) -> Vec<u8> {
    let record = json!({
        "topic": "shop.public.orders", "partition": 0, "offset": 7, "ts": 1_790_582_400_000_u64,
        "headers": ["__debezium.oldkey", "{\"id\":", "plain", "text"],
        "key": json!({"id": id}).to_string(), "payload": envelope(id).to_string(),
    });
    record.to_string().into_bytes()
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary directory") }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn deltafold(&self) -> Deltafold {
        Deltafold::on(&self.data())
    }

    fn file(&self, name: &str, lines: &[Vec<u8>]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, lines.join(b"\n".as_slice())).expect("the file is written");
        path
    }

    /// Ingests a file; the summary.
    fn ingest(&self, file: &Path) -> Value {
        let ended = self.deltafold().succeed(["ingest", "--json", "--file", text(file)]);
        serde_json::from_str(&ended.stdout).expect("the summary is JSON")
    }

    fn dead_letters(&self) -> Vec<Value> {
        let ended = self.deltafold().succeed(["dead-letters", "list", "--json"]);
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("a dead letter is JSON")).collect()
    }

    /// The ids of all rows of `orders`.
    fn orders(&self) -> Vec<u64> {
        let query = "{ orders(first: 1000, orderBy: [{id: ASC}]) { nodes { id } } }";
        let ended = self.deltafold().succeed(["query", query]);
        let answer: Value = serde_json::from_str(&ended.stdout).expect("the response is JSON");
        let nodes = answer["data"]["orders"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
        nodes.iter().map(|node| text_of(&node["id"]).parse().expect("an id")).collect()
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// A BigInt is text, an Int a number.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn each_bad_line_is_a_dead_letter_and_the_rest_is_in_the_store() {
    let place = Place::new();
    let mut lines = vec![good(1)];
    let mut expected = Vec::new();
    for (number, bad) in bad_lines().into_iter().enumerate() {
        lines.push(bad.line.clone());
        expected.push((lines.len(), bad));
        lines.push(good(2 + number as u64));
    }
    let headers_at = 100;
    lines.push(broken_header(headers_at));
    let file = place.file("orders.jsonl", &lines);
    let summary = place.ingest(&file);
    let good_ids: Vec<u64> = (1..=expected.len() as u64 + 1).chain([headers_at]).collect();
    assert_eq!(summary["appended"], json!(good_ids.len()), "{summary}");
    assert_eq!(summary["deadLetters"], json!(expected.len()), "{summary}");

    let letters = place.dead_letters();
    assert_eq!(letters.len(), expected.len(), "{letters:#?}");
    for (letter, (number, bad)) in letters.iter().zip(&expected) {
        assert_eq!((&letter["line"], &letter["code"]), (&json!(number), &json!(bad.code)), "{letter}");
        assert!(letter["file"].as_str().is_some_and(|file| file.ends_with("orders.jsonl")), "{letter}");
        assert!(letter["reason"].as_str().is_some_and(|reason| reason.contains(bad.says)), "{letter}");
    }
    assert_eq!(place.orders(), good_ids);

    // Read again, the file adds neither events nor dead letters.
    let again = place.ingest(&file);
    assert_eq!((&again["appended"], &again["deadLetters"]), (&json!(0), &json!(0)), "{again}");
    assert_eq!(place.dead_letters().len(), expected.len());
}

/// The dead letter holds the bytes as they came, so that what is repaired can be retried.
#[test]
fn a_dead_letter_is_whole() {
    let place = Place::new();
    let cut = br#"{"key":{"id":1},"value":{"op":"c","after":{"id":1,"note":"\u00e4"#.to_vec();
    place.ingest(&place.file("cut.jsonl", &[cut.clone(), good(2)]));
    let shown = place.deltafold().succeed(["dead-letters", "show", "1", "--json"]);
    let letter: Value = serde_json::from_str(&shown.stdout).expect("a dead letter is JSON");
    assert_eq!(letter["value"].as_str().map(str::as_bytes), Some(cut.as_slice()), "{letter}");
}

#[test]
fn a_line_of_fifty_megabytes_does_not_end_the_file() {
    let place = Place::new();
    let mut huge = envelope(2);
    huge["after"]["note"] = json!("x".repeat(50 << 20));
    let file = place.file("huge.jsonl", &[good(1), line(&json!({"id": 2}), &huge), good(3)]);
    let summary = place.ingest(&file);
    assert_eq!((&summary["appended"], &summary["deadLetters"]), (&json!(2), &json!(1)), "{summary}");
    let letters = place.dead_letters();
    assert_eq!(letters[0]["line"], json!(2));
    assert!(letters[0]["reason"].as_str().is_some_and(|reason| reason.contains("bytes")), "the reason says how long");
    assert_eq!(place.orders(), [1, 3]);
}

/// A table of the same name in another database: its events wait as dead letters that name the setting.
#[test]
fn a_table_of_the_same_name_is_told_how_to_be_named() {
    let place = Place::new();
    place.ingest(&place.file("one.jsonl", &[good(1)]));
    let other = place.file("other.jsonl", &[with(2, "/source/db", json!("other_shop")), good(3)]);
    place.ingest(&other);
    let letters = place.dead_letters();
    let reason = letters[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("[aggregates]") && reason.contains("name"), "{reason}");
    assert_eq!(place.orders(), [1, 3]);
}

#[test]
fn a_data_directory_of_another_version_is_left_alone() {
    let place = Place::new();
    let file = place.file("orders.jsonl", &[good(1)]);
    place.ingest(&file);
    let mark = place.data().join("deltafold.json");
    let ours = fs::read(&mark).expect("a data directory has its mark");
    fs::write(&mark, r#"{"format": 99, "created_by": "deltafold 9.9.9"}"#).expect("the mark is written");
    let before = listing(&place.data());
    let more = place.file("more.jsonl", &[good(2)]);
    for arguments in [vec!["ingest", "--file", text(&more)], vec!["query", "{ orders { totalCount } }"], vec!["verify"]]
    {
        let ended = place.deltafold().run(&arguments);
        assert!(ended.code.is_some_and(|code| code != 0), "{arguments:?}: {ended:#?}");
        assert!(ended.stderr.contains("format 99") && ended.stderr.contains("format 1"), "{arguments:?}: {ended:#?}");
    }
    assert_eq!(listing(&place.data()), before, "nothing was written");
    fs::write(&mark, ours).expect("the mark is written");
    assert_eq!(place.orders(), [1]);
}

/// The files of the store below a directory, with their lengths.
fn listing(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).expect("a folder can be listed");
    for entry in entries.map(|entry| entry.expect("a folder can be listed")) {
        let kind = entry.file_type().expect("a file has a kind");
        if kind.is_dir() && entry.file_name() != "index" {
            found.extend(listing(&entry.path()));
        } else if kind.is_file() {
            found.push((entry.path(), entry.metadata().expect("a file has a length").len()));
        }
    }
    found.sort();
    found
}
