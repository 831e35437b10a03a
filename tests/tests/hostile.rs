//! Requests and connections that mean harm: each ends in an error that names the limit it met, and the process stays small.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    fs::{self, File},
    io::{BufWriter, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use deltafold_tests::process::Deltafold;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::{
    generator::{Config, Keys, generate},
    server::Server,
};

const MOST_BYTES: u64 = 1 << 30;

/// Limits that a test reaches at once; the others are the default.
const LIMITS: [(&str, &str); 7] = [
    ("DEPTH", "5"),
    ("GROUPS", "3"),
    ("MIN_POSITION_WAIT_MS", "200"),
    ("SUBSCRIPTIONS", "10"),
    ("INIT_TIMEOUT_MS", "500"),
    ("SEND_TIMEOUT_MS", "500"),
    ("PAST_SCANS", "1"),
];

fn served(limits: &[(&str, &str)]) -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let stream = folder.path().join("stream.jsonl");
    let config = Config { seed: 41, events: 20_000, keys: Keys::Uniform };
    generate(&config, &mut BufWriter::new(File::create(&stream).unwrap())).unwrap();
    let deltafold = Deltafold::on(&folder.path().join("data"));
    deltafold.succeed(["ingest", "--file", &stream.display().to_string()]);
    let mut command = deltafold.command(["serve", "--listen", "127.0.0.1:0"]);
    for (limit, value) in limits {
        command.env(format!("DELTAFOLD_HTTP__LIMITS__{limit}"), value);
    }
    let server = Server::start(&mut command).unwrap();
    server.wait_until_ready().unwrap();
    (server, folder)
}

/// What is answered to a body, as text; nothing where the connection just ends.
fn post(address: SocketAddr, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // Whoever refuses a body may close before it has come.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn ask(address: SocketAddr, query: &str) -> String {
    post(address, json!({ "query": query }).to_string().as_bytes())
}

/// The most memory that the process has had.
fn peak_bytes(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// A socket that has said so much already.
fn socket(address: SocketAddr, messages: &[Value]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "GET /graphql HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: graphql-transport-ws\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    for message in messages {
        let text = message.to_string();
        // Masked with zeros, which leave it as it is.
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend((text.len() as u16).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        // It may have been closed in between.
        let _ = stream.write_all(&frame);
    }
    stream
}

fn requests(address: SocketAddr) {
    let history = "_history(first: 1000) { nodes { id eventType } }";
    let aliases: String = (0..5_000).map(|n| format!("a{n}: __typename ")).collect();
    let bomb: String = (0..32).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} }} ", n + 1)).collect();
    let many: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let deep = |depth: usize| format!("{}id: {{_eq: 1}}{}", "_not: {".repeat(depth), "}".repeat(depth));
    for (what, query, limit) in [
        ("deep fields", "{ orders { nodes { _history { nodes { event { id } } } } } }".to_owned(), "depth"),
        ("pages of pages", format!("{{ orders(first: 1000) {{ nodes {{ {history} }} }} }}"), "cost"),
        ("a page too large", "{ orders(first: 100000) { nodes { id } } }".to_owned(), "page_max"),
        ("aliases", format!("{{ {aliases} }}"), "aliases"),
        ("fields", format!("{{ {} }}", "__typename ".repeat(5_000)), "fields"),
        ("directives", format!("{{ __typename {} }}", "@include(if: true) ".repeat(2_000)), "directives"),
        ("fragments", format!("{{ ...f0 }} {bomb} fragment f32 on Query {{ __typename }}"), "fields"),
        ("tokens", format!("{{ {} }}", "a ".repeat(100_000)), "tokens"),
        ("brackets", "{".repeat(50_000), "nesting"),
        (
            "a filter of many",
            format!("{{ orders(where: {{id: {{_in: [{}]}}}}) {{ totalCount }} }}", many.join(", ")),
            "filter_size",
        ),
        ("a filter in a filter", format!("{{ orders(where: {{{}}}) {{ totalCount }} }}", deep(20)), "filter_depth"),
        ("groups", "{ ordersAggregate(groupBy: [status]) { count } }".to_owned(), "groups"),
        (
            "endless introspection",
            "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
                .to_owned(),
            "introspection_lists",
        ),
    ] {
        let answer = ask(address, &query);
        assert!(answer.contains("LIMIT_EXCEEDED"), "{what}: {answer}");
        assert!(answer.contains(&format!("\\\"{limit}\\\"")), "{what}: expected the limit {limit}: {answer}");
    }
    let answer = ask(
        address,
        "{ store { events } a: aggregate(type: \"orders\", id: \"1\") { history { nodes { event { metadata } } } } }",
    );
    assert!(answer.contains("\"data\""), "what is within the limits is answered: {answer}");

    let one = json!({ "query": "{ __typename }" });
    let batch = post(address, Value::Array(vec![one; 10_000]).to_string().as_bytes());
    assert!(batch.contains("limit \\\"batch\\\" is 10"), "{batch}");
    let large = post(address, format!("{{\"query\": \"{}\"}}", "x".repeat(20 << 20)).as_bytes());
    // The error is lost where the connection is reset before it is read.
    assert!(large.is_empty() || large.contains("limit \\\"body_bytes\\\""), "{large}");
    let deep = post(address, format!("{{\"query\": \"{{a}}\", \"variables\": {}", "[".repeat(500_000)).as_bytes());
    assert!(deep.contains("BAD_REQUEST"), "{deep}");
    let waiting = json!({"query": "{ __typename }", "extensions": {"deltafold": {"minPosition": "99999999999999"}}});
    let waiting = post(address, waiting.to_string().as_bytes());
    assert!(waiting.contains("POSITION_NOT_REACHED") && waiting.contains("within 200 ms"), "{waiting}");
}

fn scans_of_the_past(address: SocketAddr) {
    let scan = "{ orders(asOf: {time: \"2100-01-01T00:00:00Z\"}, orderBy: [{id: DESC}], first: 1) { nodes { id } totalCount } }";
    let answers: Vec<String> = thread::scope(|scope| {
        let all: Vec<_> = (0..40).map(|_| scope.spawn(|| ask(address, scan))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let refused = answers.iter().filter(|answer| answer.contains("limit \\\"past_scans\\\" is 1")).count();
    let answered = answers.iter().filter(|answer| answer.contains("\"totalCount\":")).count();
    assert!(refused + answered == answers.len() && answered > 0, "{answers:?}");
}

fn sockets(address: SocketAddr) {
    let init = json!({"type": "connection_init"});
    let everything = |id: usize| {
        let query = "subscription { events(after: \"0\") { id before after metadata } }";
        json!({"id": id.to_string(), "type": "subscribe", "payload": {"query": query}})
    };
    // They begin and say nothing.
    let silent: Vec<TcpStream> = (0..100).map(|_| socket(address, &[])).collect();
    // They ask for everything, many times, and read nothing.
    let deaf: Vec<TcpStream> = (0..50)
        .map(|_| socket(address, &[init.clone()].into_iter().chain((0..10).map(everything)).collect::<Vec<_>>()))
        .collect();
    // They ask for more than they may.
    let mut greedy = socket(address, &[init].into_iter().chain((0..50).map(everything)).collect::<Vec<_>>());
    let mut told = Vec::new();
    let mut piece = [0; 65_536];
    greedy.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    while !String::from_utf8_lossy(&told).contains("limit \\\"subscriptions\\\" is 10") {
        let read = greedy.read(&mut piece).expect("it is told before it is disconnected");
        assert!(read > 0, "{}", String::from_utf8_lossy(&told));
        told.extend(&piece[..read]);
    }
    for mut one in silent {
        let mut said = Vec::new();
        one.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        one.read_to_end(&mut said).expect("it is closed");
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("limit \"init_timeout_ms\" is 500"), "{said}");
    }
    for mut one in deaf {
        // What was on its way comes, and then the end.
        one.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        while one.read(&mut piece).is_ok_and(|read| read > 0) {}
    }
}

fn connections(address: SocketAddr) {
    // More than are served at once; none of them finishes what it begins to say.
    let begun: Vec<TcpStream> = (0..600)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"POST /graphql HTTP/1.1\r\nhost: ").unwrap();
            stream
        })
        .collect();
    drop(begun);
}

#[test]
fn what_means_harm_ends_in_an_error_that_names_the_limit() {
    let (server, _folder) = served(&LIMITS);
    let address = server.address();
    requests(address);
    println!("peak {} MiB after requests", peak_bytes(&server) >> 20);
    scans_of_the_past(address);
    println!("peak {} MiB after scans of the past", peak_bytes(&server) >> 20);
    sockets(address);
    println!("peak {} MiB after sockets", peak_bytes(&server) >> 20);
    connections(address);
    let after = ask(address, "{ ordersByKey(id: 1) { id } store { events } }");
    assert!(after.contains("\"data\""), "it still answers: {after}");
    let peak = peak_bytes(&server);
    assert!(peak < MOST_BYTES, "it took {} MiB", peak >> 20);
    println!("peak {} MiB", peak >> 20);
}

#[test]
fn what_takes_more_memory_than_there_is_for_lists_is_refused() {
    let (server, _folder) = served(&[("MEMORY_BYTES", "60000")]);
    let all = "{ orders(orderBy: [{total: ASC}, {status: ASC}, {items: DESC}], first: 1000) { nodes { id } } }";
    let answer = ask(server.address(), all);
    assert!(answer.contains("limit \\\"memory_bytes\\\" is used up"), "{answer}");
    assert!(ask(server.address(), "{ orders(first: 3) { nodes { id } } }").contains("\"data\""));
}
