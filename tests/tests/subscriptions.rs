//! Subscriptions that are cut off again and again while events arrive, and taken up where they were left.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, BufWriter},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use deltafold_tests::process::Deltafold;
use futures::{SinkExt, StreamExt};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use xtask::{
    generator::{Config, Keys, generate},
    http::Connection,
    server::Server,
};

/// How long anything may take to come.
const LIMIT: Duration = Duration::from_secs(120);

const EVENTS: u64 = 20_000;
/// In so many files, which are appended one after the other.
const FILES: usize = 20;
const KILLS: usize = 100;

/// Whether a stream's events, and the changes of a view, come once and in order.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_a_hundred_times_comes_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    let deltafold = Deltafold::on(&folder.path().join("data"));
    let ingest = |file: &PathBuf| ["ingest".to_owned(), "--file".to_owned(), file.display().to_string()];
    // The first file makes the view.
    deltafold.succeed(ingest(&files[0]));
    let server = Server::start(&mut deltafold.command(["serve", "--listen", "127.0.0.1:0"])).unwrap();
    server.wait_until_ready().unwrap();
    let address = server.address();

    let arriving =
        tokio::task::spawn_blocking(move || files[1..].iter().for_each(|file| drop(deltafold.succeed(ingest(file)))));
    let events = "subscription ($after: Position) { events(after: $after) { id position } }";
    let changes = "subscription ($after: String) { ordersChanged(after: $after) { cursor before { id } after { id status total } } }";
    let events = tokio::spawn(async move { Cut::new(address, events, "position", 1).cut().await });
    let changes = tokio::spawn(async move { Cut::new(address, changes, "cursor", 2).cut().await });
    let (mut events, mut changes) = (events.await.unwrap(), changes.await.unwrap());
    arriving.await.unwrap();
    server.wait_until_ready().unwrap();

    let mut connection = server.connect().unwrap();
    let expected = pages(&mut connection, "events", "id position");
    events.up_to(expected.len()).await;
    assert_eq!(events.received, expected);
    assert!(expected.len() as u64 > EVENTS * 9 / 10, "{}", expected.len());

    // What changed, one after the other, makes the view.
    let rows = pages(&mut connection, "orders", "id status total");
    let expected: BTreeMap<String, Value> = rows.into_iter().map(|row| (row["id"].to_string(), row)).collect();
    let mut folded: BTreeMap<String, Value> = BTreeMap::new();
    let mut taken = 0;
    while folded != expected {
        changes.up_to(taken + 1).await;
        for change in &changes.received[taken..] {
            let (before, after) = (&change["before"]["id"], &change["after"]["id"]);
            let key = if after.is_null() { before } else { after }.to_string();
            assert_eq!(folded.contains_key(&key), !before.is_null(), "what was before is what there was: {change}");
            match after.is_null() {
                true => folded.remove(&key),
                false => folded.insert(key, change["after"].clone()),
            };
        }
        taken = changes.received.len();
    }
    let mut cursors: Vec<String> = changes.received.iter().map(|change| change["cursor"].to_string()).collect();
    cursors.sort();
    cursors.dedup();
    assert_eq!(cursors.len(), changes.received.len(), "none came twice");
}

/// A stream, in several files.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = folder.join("all.jsonl");
    let config = Config { seed: 21, events: EVENTS, keys: Keys::Zipf };
    let lines = generate(&config, &mut BufWriter::new(File::create(&all).unwrap())).unwrap().counts.lines as usize;
    let lines_each = lines.div_ceil(FILES);
    // Not all of it is text.
    let lines: Vec<Vec<u8>> = BufReader::new(File::open(&all).unwrap()).split(b'\n').map(Result::unwrap).collect();
    let file = |(number, lines): (usize, &[Vec<u8>])| {
        let path = folder.join(format!("{number}.jsonl"));
        fs::write(&path, [lines.join(&b'\n'), b"\n".to_vec()].concat()).unwrap();
        path
    };
    lines.chunks(lines_each).enumerate().map(file).collect()
}

/// All nodes of a list, page by page.
fn pages(connection: &mut Connection, list: &str, fields: &str) -> Vec<Value> {
    let document = format!(
        "query ($after: String) {{ {list}(first: 1000, after: $after) {{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let mut nodes = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut page = connection.graphql(&document, &json!({ "after": after })).unwrap()[list].take();
        nodes.append(page["nodes"].as_array_mut().unwrap());
        if page["pageInfo"]["hasNextPage"] == false {
            return nodes;
        }
        after = page["pageInfo"]["endCursor"].take();
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A subscription that is cut off.
struct Cut {
    address: SocketAddr,
    query: &'static str,
    /// What an item is gone on after.
    cursor: &'static str,
    random: StdRng,
    received: Vec<Value>,
}

impl Cut {
    fn new(address: SocketAddr, query: &'static str, cursor: &'static str, seed: u64) -> Self {
        Self { address, query, cursor, random: StdRng::seed_from_u64(seed), received: Vec::new() }
    }

    /// Cuts it off [`KILLS`] times, in the middle of whatever comes.
    async fn cut(mut self) -> Self {
        for _ in 0..KILLS {
            let mut socket = self.begin().await;
            for _ in 0..self.random.random_range(0..100) {
                // What there is may have come to its end.
                match tokio::time::timeout(Duration::from_millis(500), socket.next()).await {
                    Ok(message) => self.take(message.unwrap().unwrap()),
                    Err(_) => break,
                }
            }
            // Without a word, perhaps with more on the way.
            drop(socket);
        }
        self
    }

    /// Goes on until so many were received.
    async fn up_to(&mut self, count: usize) {
        let mut socket = self.begin().await;
        while self.received.len() < count {
            let message = tokio::time::timeout(LIMIT, socket.next()).await;
            let message = message.unwrap_or_else(|_| panic!("{} of {count} came", self.received.len()));
            self.take(message.unwrap().unwrap());
        }
    }

    async fn begin(&self) -> Socket {
        let mut request = format!("ws://{}/graphql", self.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (mut socket, _) = connect_async(request).await.unwrap();
        let after = self.received.last().map_or_else(|| json!("0"), |last| last[self.cursor].clone());
        let subscribe = json!({ "query": self.query, "variables": { "after": after } });
        for message in
            [json!({"type": "connection_init"}), json!({"id": "1", "type": "subscribe", "payload": subscribe})]
        {
            socket.send(Message::text(message.to_string())).await.unwrap();
        }
        socket
    }

    fn take(&mut self, message: Message) {
        let Message::Text(text) = message else { return };
        let mut message: Value = serde_json::from_str(&text).unwrap();
        if message["type"] == "connection_ack" {
            return;
        }
        assert!(message["type"] == "next" && message["payload"]["errors"].is_null(), "{message}");
        let item = message["payload"]["data"].as_object_mut().unwrap().values_mut().next().unwrap().take();
        self.received.push(item);
    }
}
