//! A view that is built anew, while events arrive and readers read, and the process is killed in the middle of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use deltafold_tests::process::Deltafold;
use serde_json::{Value, json};
use xtask::{
    expected::plain,
    generator::{Config, Generated, Keys, generate},
    http::Connection,
    server::Server,
};

const TOTALS: &str = "-- How many orders are in which state, and what are they worth?
    CREATE MATERIALIZED VIEW totals WITH (key = 'status') AS
    SELECT status, count(*) AS orders, sum(items) AS items, max(total) AS most, count(DISTINCT customer_id) AS customers
    FROM orders GROUP BY status";

const LIMIT: Duration = Duration::from_secs(300);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LIMIT, "waited in vain until {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Reads until it is told to stop, and then says how often it has: the groups of a view and the rows they are of, in one
/// response, always fit.
fn read(address: SocketAddr, is_over: &AtomicBool) -> Result<u64> {
    let mut connection = Connection::open(address)?;
    let document = "{ totals { nodes { orders customers } } orders(first: 1) { totalCount } }";
    let mut reads = 0;
    while !is_over.load(Ordering::SeqCst) {
        let data = connection.graphql(document, &json!({}))?;
        let groups = data["totals"]["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
        let sum: u64 = groups.iter().map(|group| plain(&group["orders"]).parse::<u64>().unwrap()).sum();
        let rows = data["orders"]["totalCount"].as_u64().unwrap();
        ensure!(sum == rows, "the groups have {sum} orders, and there are {rows}");
        reads += 1;
    }
    Ok(reads)
}

fn projection(connection: &mut Connection) -> Value {
    let document = "{ projection(name: \"totals\") { status error generation build { aggregates ofAggregates } }
        projectionDiff(name: \"totals\") { same added removed changed inThePast } }";
    connection.graphql(document, &json!({})).unwrap()
}

fn serve(deltafold: &Deltafold) -> Server {
    let server = Server::start(&mut deltafold.command(["serve", "--listen", "127.0.0.1:0"])).unwrap();
    server.wait_until_ready().unwrap();
    server
}

#[test]
fn a_rebuild_beside_what_goes_on_and_through_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let all = folder.path().join("all.jsonl");
    let config = Config { seed: 11, events: 200_000, keys: Keys::Zipf };
    let generated = generate(&config, &mut BufWriter::new(File::create(&all).unwrap())).unwrap();
    let most = folder.path().join("most.jsonl");
    let lines = generated.counts.lines as usize * 9 / 10;
    let mut out = BufWriter::new(File::create(&most).unwrap());
    for line in BufReader::new(File::open(&all).unwrap()).split(b'\n').take(lines) {
        out.write_all(&line.unwrap()).unwrap();
        out.write_all(b"\n").unwrap();
    }
    out.flush().unwrap();
    fs::create_dir(folder.path().join("projections")).unwrap();
    fs::write(folder.path().join("projections/totals.sql"), TOTALS).unwrap();
    let deltafold = Deltafold::on(&folder.path().join("data"));
    let ingest = |file: &Path| ["ingest".to_owned(), "--file".to_owned(), file.display().to_string()];
    deltafold.succeed(ingest(&most));

    let server = serve(&deltafold);
    let mut connection = server.connect().unwrap();
    // A server says which definitions there are once it is up.
    until("the view is there", || {
        let found = connection.graphql("{ projection(name: \"totals\") { status } }", &json!({})).unwrap();
        found["projection"]["status"] == "live"
    });
    let (address, is_over) = (server.address(), AtomicBool::new(false));
    let begun = thread::scope(|scope| {
        let arriving = scope.spawn(|| deltafold.succeed(ingest(&all)));
        let readers = [(); 2].map(|()| scope.spawn(|| read(address, &is_over)));
        let order = "mutation { rebuildProjection(name: \"totals\", hold: true, reason: \"a test\") { position } }";
        connection.graphql(order, &json!({})).unwrap();
        let mut begun = 0;
        until("the build is in the middle", || {
            let found = projection(&mut connection);
            let build = &found["projection"]["build"];
            assert_eq!(found["projection"]["generation"], 1, "{found}");
            begun = plain(&build["aggregates"]).parse().unwrap_or(0_u64);
            // Reading, which counts one half, is done again; what was folded is not.
            plain(&build["ofAggregates"]).parse().is_ok_and(|of: u64| 2 * begun > of)
        });
        is_over.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.join().unwrap().unwrap() > 0, "nobody read");
        }
        drop(server);
        arriving.join().unwrap();
        begun
    });

    let server = serve(&deltafold);
    let address = server.address();
    let mut connection = server.connect().unwrap();
    let found = projection(&mut connection);
    let goes_on = plain(&found["projection"]["build"]["aggregates"]).parse::<u64>();
    assert!(goes_on.is_ok_and(|goes_on| goes_on >= begun) || !found["projectionDiff"].is_null(), "{begun}: {found}");
    is_over.store(false, Ordering::SeqCst);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read(address, &is_over));
        until("it is built", || !projection(&mut connection)["projectionDiff"].is_null());
        is_over.store(true, Ordering::SeqCst);
        reader.join().unwrap().unwrap();
    });
    server.wait_until_ready().unwrap();
    let found = projection(&mut connection);
    let same = json!({ "same": "6", "added": "0", "removed": "0", "changed": "0", "inThePast": "0" });
    assert_eq!(found["projectionDiff"], same, "the old generation and the new one");
    connection.graphql("mutation { swapProjection(name: \"totals\") { position } }", &json!({})).unwrap();
    until("it is shown", || projection(&mut connection)["projection"]["generation"] == 2);
    check(&mut connection, &generated).unwrap();
}

/// The groups are those of the database that the stream speaks of.
fn check(connection: &mut Connection, generated: &Generated) -> Result<()> {
    let mut expected: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for order in &generated.model.orders {
        let row: Value = serde_json::from_str(&order.to_json())?;
        let (orders, items) = expected.entry(plain(&row["status"])).or_default();
        *orders += 1;
        *items += row["items"].as_u64().unwrap();
    }
    let data = connection.graphql("{ totals { nodes { status orders items } } }", &json!({}))?;
    let groups = data["totals"]["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    let number = |value: &Value| plain(value).parse::<u64>().unwrap();
    let found: BTreeMap<String, (u64, u64)> = groups
        .iter()
        .map(|group| (plain(&group["status"]), (number(&group["orders"]), number(&group["items"]))))
        .collect();
    ensure!(found == expected, "{found:?}, should be {expected:?}");
    Ok(())
}
