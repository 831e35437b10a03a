//! Pages that are walked while events arrive.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use deltafold_tests::process::Deltafold;
use serde_json::{Value, json};
use xtask::{
    generator::{Config, Keys, generate},
    http::Connection,
    server::{Running, Server},
};

/// What is there before, and what arrives.
const EVENTS: u64 = 60_000;
const BEFORE: usize = 20_000;
const PER_SECOND: usize = 1_000;

fn ask(connection: &mut Connection, address: SocketAddr, document: &str, variables: &Value) -> Value {
    let body = json!({"query": document, "variables": variables}).to_string();
    connection.send(&Connection::request(address, "/graphql", &body)).unwrap();
    let answer: Value = serde_json::from_slice(connection.receive().unwrap().unwrap()).unwrap();
    assert!(answer["errors"].is_null(), "{document}: {answer}");
    answer
}

/// All rows of a list from end to end, in pages of so many, and the positions of the first and the last answer.
fn walk(address: SocketAddr, arguments: &str, size: usize, backward: bool) -> (Vec<Value>, [u64; 2]) {
    let mut connection = Connection::open(address).unwrap();
    let (count, cursor, more, end) = match backward {
        false => ("first", "after", "hasNextPage", "endCursor"),
        true => ("last", "before", "hasPreviousPage", "startCursor"),
    };
    let document = format!(
        "query ($n: Int!, $cursor: String) {{ orders({arguments}{count}: $n, {cursor}: $cursor) {{
            nodes {{ id status total _version {{ recordedFrom }} }} pageInfo {{ {more} {end} }} }} }}"
    );
    let (mut pages, mut at, mut positions) = (Vec::new(), Value::Null, Vec::new());
    loop {
        let mut answer = ask(&mut connection, address, &document, &json!({ "n": size, "cursor": at }));
        positions.push(answer["extensions"]["deltafold"]["position"].as_str().unwrap().parse().unwrap());
        let list = &mut answer["data"]["orders"];
        pages.push(list["nodes"].as_array_mut().unwrap().drain(..).collect::<Vec<_>>());
        at = list["pageInfo"][end].take();
        if list["pageInfo"][more] == false {
            break;
        }
    }
    if backward {
        pages.reverse();
    }
    (pages.concat(), [positions[0], positions[positions.len() - 1]])
}

#[test]
fn pages_show_each_row_of_the_frozen_moment_once_while_events_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all.jsonl");
    let config = Config { seed: 31, events: EVENTS, keys: Keys::Zipf };
    generate(&config, &mut BufWriter::new(File::create(&all).unwrap())).unwrap();
    let lines: Vec<Vec<u8>> = BufReader::new(File::open(&all).unwrap()).split(b'\n').map(Result::unwrap).collect();
    let grows = folder.path().join("grows.jsonl");
    let text = |lines: &[Vec<u8>]| [lines.join(&b'\n'), b"\n".to_vec()].concat();
    fs::write(&grows, text(&lines[..BEFORE])).unwrap();

    let deltafold = Deltafold::on(&folder.path().join("data"));
    let file = grows.display().to_string();
    deltafold.succeed(["ingest", "--file", &file]);
    // The orders below are walked by these, while what they are of changes.
    let indexes = folder.path().join("deltafold.toml");
    fs::write(&indexes, "[views.orders]\nindexes = [\"total\", [\"status\", \"total\"]]\n").unwrap();
    let mut serve = deltafold.command(["serve", "--listen", "127.0.0.1:0", "--config"]);
    let server = Server::start(serve.arg(&indexes)).unwrap();
    server.wait_until_ready().unwrap();
    let address = server.address();
    let _following = Running(deltafold.command(["ingest", "--file", &file, "--follow"]).spawn().unwrap());

    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let arriving = scope.spawn(|| {
            let mut out = OpenOptions::new().append(true).open(&grows).unwrap();
            let (began, mut next) = (Instant::now(), BEFORE);
            while !is_over.load(Ordering::SeqCst) && next < lines.len() {
                let due = BEFORE + (began.elapsed().as_secs_f64() * PER_SECOND as f64) as usize;
                let due = due.min(lines.len());
                if due > next {
                    out.write_all(&text(&lines[next..due])).unwrap();
                    next = due;
                }
                thread::park_timeout(Duration::from_millis(20));
            }
            next
        });
        let mut went_on = 0;
        for (arguments, size, backward) in [
            ("", 97, false),
            ("", 251, true),
            ("orderBy: [{total: DESC_NULLS_LAST}], ", 130, false),
            ("orderBy: [{status: ASC}, {total: ASC_NULLS_FIRST}], ", 130, true),
            ("where: {status: {_neq: \"new\"}}, orderBy: [{total: ASC}], ", 89, false),
        ] {
            let (walked, [frozen, last]) = walk(address, arguments, size, backward);
            assert!(walked.len() > size, "only {} rows with {arguments}", walked.len());
            went_on += u32::from(last > frozen);
            let (at_once, _) = walk(address, &format!("{arguments}asOf: {{position: \"{frozen}\"}}, "), 1000, false);
            let keys = |rows: &[Value]| rows.iter().map(|row| row["id"].clone()).collect::<Vec<_>>();
            assert_eq!(keys(&walked), keys(&at_once), "with {arguments}");
            assert_eq!(walked, at_once, "with {arguments}");
        }
        is_over.store(true, Ordering::SeqCst);
        let arrived = arriving.join().unwrap();
        assert!(went_on >= 4, "nothing arrived while pages were walked ({went_on} of 5)");
        assert!(arrived > BEFORE + PER_SECOND, "only {arrived} lines arrived");
    });
}
