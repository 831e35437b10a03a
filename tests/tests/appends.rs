//! Several processes append to the same aggregates at once.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    thread,
};

use deltafold_tests::process::Deltafold;
use serde_json::{Value, json};
use xtask::{http::Connection, server::Server};

const PROCESSES: usize = 4;
const WRITERS_EACH: usize = 4;
const AGGREGATES: usize = 10;
const APPENDS_EACH: usize = 20;

/// What came of a writer's attempts.
#[derive(Default)]
struct Written {
    /// By aggregate: at which revision each of its events is, by id.
    successes: Vec<(usize, u64, String)>,
    /// By aggregate: what was expected, and what it was told there is.
    conflicts: Vec<(usize, u64, u64)>,
    /// Where the last of them stands.
    position: u64,
}

/// A whole answer.
fn ask(connection: &mut Connection, address: SocketAddr, request: &Value) -> Value {
    connection.send(&Connection::request(address, "/graphql", &request.to_string())).unwrap();
    serde_json::from_slice(connection.receive().unwrap().unwrap()).unwrap()
}

/// One after the other, each to another aggregate, as often as it takes.
fn write(address: SocketAddr, writer: usize) -> Written {
    let mut connection = Connection::open(address).unwrap();
    let mut written = Written::default();
    let document = "mutation ($cart: ID!, $exact: Int!, $events: [NewEvent!]!) {
        appendEvents(aggregate: {type: \"carts\", id: $cart}, expectedRevision: {exact: $exact}, events: $events) {
            position revision ids wereThere
        }
    }";
    let mut revisions = [0_u64; AGGREGATES];
    for number in 0..APPENDS_EACH {
        let cart = (number + writer) % AGGREGATES;
        let event = json!({"id": format!("{writer}-{number}"), "type": "item_added", "payload": {"by": writer}});
        loop {
            let exact = revisions[cart];
            let variables = json!({"cart": cart.to_string(), "exact": exact, "events": [event]});
            let answer = ask(&mut connection, address, &json!({"query": document, "variables": variables}));
            let appended = &answer["data"]["appendEvents"];
            if let Some(revision) = appended["revision"].as_u64() {
                assert_eq!((revision, &appended["wereThere"]), (exact + 1, &json!(false)), "{answer}");
                written.successes.push((cart, revision, appended["ids"][0].as_str().unwrap().to_owned()));
                written.position = appended["position"].as_str().unwrap().parse().unwrap();
                revisions[cart] = revision;
                break;
            }
            let extensions = &answer["errors"][0]["extensions"];
            assert_eq!(extensions["code"], "CONFLICT", "{answer}");
            let found = extensions["revision"].as_u64().unwrap();
            assert!(found > exact, "it lost to nobody: {answer}");
            written.conflicts.push((cart, exact, found));
            revisions[cart] = found;
        }
    }
    written
}

#[test]
fn of_sixteen_writers_in_four_processes_one_wins_each_revision() {
    let folder = tempfile::tempdir().unwrap();
    let deltafold = Deltafold::on(&folder.path().join("data"));
    let servers: Vec<Server> = (0..PROCESSES)
        .map(|process| {
            let index = folder.path().join(format!("index-{process}")).display().to_string();
            let server = Server::start(&mut deltafold.command(["serve", "--listen", "127.0.0.1:0", "--index", &index]));
            server.unwrap()
        })
        .collect();
    servers.iter().for_each(|server| server.wait_until_ready().unwrap());
    let written: Vec<Written> = thread::scope(|scope| {
        let writers = servers.iter().enumerate().flat_map(|(process, server)| {
            let address = server.address();
            (0..WRITERS_EACH).map(move |writer| scope.spawn(move || write(address, process * WRITERS_EACH + writer)))
        });
        writers.collect::<Vec<_>>().into_iter().map(|writer| writer.join().unwrap()).collect()
    });

    let mut successes: BTreeMap<usize, BTreeMap<u64, &str>> = BTreeMap::new();
    for (cart, revision, id) in written.iter().flat_map(|written| &written.successes) {
        let before = successes.entry(*cart).or_default().insert(*revision, id);
        assert_eq!(before, None, "two writers were told that they have revision {revision} of cart {cart}");
    }
    let last = written.iter().map(|written| written.position).max().unwrap();
    for server in &servers {
        // What another process has committed may not have come here yet.
        let extensions = json!({"deltafold": {"minPosition": last.to_string()}});
        let mut connection = server.connect().unwrap();
        let mut ids = BTreeSet::new();
        for cart in 0..AGGREGATES {
            let document = "query ($id: ID!) { aggregate(type: \"carts\", id: $id) {
                revision history(first: 1000) { nodes { id revision } } } }";
            let variables = json!({ "id": cart.to_string() });
            let request = json!({"query": document, "variables": variables, "extensions": extensions});
            let found = ask(&mut connection, server.address(), &request)["data"].take();
            let log: BTreeMap<u64, &str> = found["aggregate"]["history"]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| (event["revision"].as_u64().unwrap(), event["id"].as_str().unwrap()))
                .collect();
            assert_eq!(log, successes[&cart], "cart {cart}");
            assert!(log.keys().copied().eq(1..=log.len() as u64), "a gap in cart {cart}: {log:?}");
            assert_eq!(found["aggregate"]["revision"], log.len());
            ids.extend(log.values().map(|id| (*id).to_owned()));
        }
        assert_eq!(ids.len(), PROCESSES * WRITERS_EACH * APPENDS_EACH, "every success is in the log once");
    }
    let conflicts: Vec<_> = written.iter().flat_map(|written| &written.conflicts).collect();
    assert!(conflicts.len() > 10, "only {} attempts lost", conflicts.len());
    for (cart, expected, found) in conflicts {
        // What it was told has beaten it: somebody's success.
        assert!((expected + 1..=*found).all(|revision| successes[cart].contains_key(&revision)));
    }
    deltafold.succeed(["verify"]);
}
