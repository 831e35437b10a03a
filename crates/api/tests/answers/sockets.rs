//! Subscriptions, and the protocol that they go by.

use std::{ops::ControlFlow, time::Duration};

use deltafold_api::{HttpOptions, Limits};
use deltafold_event::Operation;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    server::Server,
    shop::{Shop, order},
};

/// How long anything may take to come.
const LIMIT: Duration = Duration::from_secs(30);

/// A client's side.
pub(crate) struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub(crate) async fn connect(server: &Server, protocol: &str) -> Self {
        let mut request = format!("ws://127.0.0.1:{}/graphql", server.port).into_client_request().unwrap();
        if !protocol.is_empty() {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        let (socket, _) = connect_async(request).await.unwrap();
        Self(socket)
    }

    /// One that is acknowledged.
    async fn begin(server: &Server) -> Self {
        let mut client = Self::connect(server, "graphql-transport-ws").await;
        client.say(json!({"type": "connection_init"})).await;
        assert_eq!(client.hear().await, json!({"type": "connection_ack"}));
        client
    }

    pub(crate) async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({"id": id, "type": "subscribe", "payload": {"query": query}})).await;
    }

    /// The next message, or the code and reason it was closed with.
    async fn next(&mut self) -> ControlFlow<(u16, String), Value> {
        loop {
            let message = tokio::time::timeout(LIMIT, self.0.next()).await.expect("something comes");
            match message.expect("it is closed by a message").unwrap() {
                Message::Text(text) => return ControlFlow::Continue(serde_json::from_str(&text).unwrap()),
                Message::Close(Some(frame)) => {
                    return ControlFlow::Break((frame.code.into(), frame.reason.to_string()));
                }
                _ => {}
            }
        }
    }

    pub(crate) async fn hear(&mut self) -> Value {
        match self.next().await {
            ControlFlow::Continue(message) => message,
            ControlFlow::Break(closed) => panic!("closed: {closed:?}"),
        }
    }

    /// What the next message of an operation has under its one field.
    pub(crate) async fn data(&mut self, id: &str) -> Value {
        let mut message = self.hear().await;
        assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!(id)), "{message}");
        assert!(message["payload"].get("errors").is_none(), "{message}");
        let data = message["payload"]["data"].as_object_mut().unwrap();
        data.values_mut().next().unwrap().take()
    }

    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            if let ControlFlow::Break(closed) = self.next().await {
                return closed;
            }
        }
    }
}

fn placed(lsn: u64, id: i32, status: &str) -> deltafold_event::Event {
    order(Operation::Create, lsn, id, "16:00:00", &json!({ "status": status }))
}

#[tokio::test]
async fn events_come_as_they_are_recorded_and_go_on_where_they_were_left() {
    let server = Server::start(HttpOptions::default()).await;
    let query = |after: &str| {
        format!(
            "subscription {{ events(where: {{eventType: {{_eq: \"created\"}}}}{after}) {{ aggregateId position }} }}"
        )
    };
    let mut client = Client::begin(&server).await;
    client.subscribe("1", &query("")).await;
    client.subscribe("2", &query(", after: \"0\"")).await;
    // What was there before comes to the one that asks for it.
    let mut last = Value::Null;
    for id in ["1", "2", "3", "10"] {
        let event = client.data("2").await;
        assert_eq!(event["aggregateId"], id);
        last = event["position"].clone();
    }
    server.shop.append(vec![placed(300, 5, "new"), placed(310, 6, "new")]).await;
    let mut seen = [vec![], vec![]];
    while seen.iter().any(|of| of.len() < 2) {
        let message = client.hear().await;
        let which = usize::from(message["id"] == "2");
        seen[which].push(message["payload"]["data"]["events"]["aggregateId"].clone());
    }
    assert_eq!(seen, [vec!["5", "6"], vec!["5", "6"]]);

    let mut again = Client::begin(&server).await;
    again.subscribe("a", &query(&format!(", after: {last}"))).await;
    for id in ["5", "6"] {
        assert_eq!(again.data("a").await["aggregateId"], id);
    }
}

#[tokio::test]
async fn rows_come_as_they_change_and_go_on_where_they_were_left() {
    let server = Server::start(HttpOptions::default()).await;
    let query = |arguments: &str| {
        format!(
            "subscription {{ ordersChanged{arguments} {{ cursor before {{ status }} after {{ id status }} \
             changes {{ field before after }} }} }}"
        )
    };
    let mut client = Client::begin(&server).await;
    client.subscribe("all", &query("")).await;
    // It has begun once it is answered after this.
    client.subscribe("q", "{ store { events } }").await;
    assert!(client.data("q").await["events"].is_string());
    assert_eq!(client.hear().await, json!({"id": "q", "type": "complete"}));

    // A late event that changes the past only is no change of what is.
    let late = order(Operation::Update, 9, 1, "09:00:00", &json!({"status": "draft"}));
    server.shop.append(vec![late]).await;
    let paid = |lsn, id| order(Operation::Update, lsn, id, "17:00:00", &json!({"status": "paid", "total": "1.00"}));
    server.shop.append(vec![placed(300, 5, "new"), placed(310, 4, "new"), paid(320, 4)]).await;
    let first = client.data("all").await;
    assert_eq!(first["before"], Value::Null);
    assert_eq!(first["after"], json!({"id": 4, "status": "paid"}));
    assert_eq!(client.data("all").await["after"], json!({"id": 5, "status": "new"}));
    server.shop.append(vec![order(Operation::Delete, 330, 5, "18:00:00", &json!({}))]).await;
    let gone = client.data("all").await;
    assert_eq!((&gone["before"], &gone["after"]), (&json!({"status": "new"}), &Value::Null));

    // From the first of a moment on comes its second, though the moment has passed.
    let mut again = Client::begin(&server).await;
    again.subscribe("a", &query(&format!("(after: {})", first["cursor"]))).await;
    assert_eq!(again.data("a").await["after"], json!({"id": 5, "status": "new"}));
    assert_eq!(again.data("a").await["before"], json!({"status": "new"}));
    // From a position on come the differences between then and now.
    let everything = query("(after: \"0\", where: {status: {_eq: \"paid\"}})");
    again.subscribe("b", &everything).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let change = again.data("b").await;
        assert_eq!(change["before"], Value::Null);
        ids.push(change["after"]["id"].clone());
    }
    assert_eq!(ids, [1, 2, 4]);
    server.shop.append(vec![placed(400, 7, "new"), paid(410, 5)]).await;
    let mut rest = [again.data_of_any().await, again.data_of_any().await, again.data_of_any().await];
    rest.sort_by_key(|(id, _)| id.clone());
    let rest = rest.map(|(id, data)| format!("{id}: {}", data["after"]["id"]));
    assert_eq!(rest, ["a: 5", "a: 7", "b: 5"]);
}

impl Client {
    async fn data_of_any(&mut self) -> (String, Value) {
        let mut message = self.hear().await;
        let data = message["payload"]["data"].as_object_mut().expect("data").values_mut().next().unwrap().take();
        (message["id"].as_str().unwrap().to_owned(), data)
    }
}

#[tokio::test]
async fn a_projection_tells_its_state_and_what_becomes_of_it() {
    let server = Server::start(HttpOptions::default()).await;
    let mut client = Client::begin(&server).await;
    client.subscribe("1", "subscription { projectionProgress(name: \"orders\") { name status generation } }").await;
    assert_eq!(client.data("1").await, json!({"name": "orders", "status": "live", "generation": 1}));
    client.subscribe("2", "subscription { projectionProgress(name: \"ordrs\") { name } }").await;
    let refused = client.hear().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!("2")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "NOT_FOUND");
}

#[tokio::test]
async fn what_is_wrong_with_a_subscription_is_told_at_once() {
    let server = Server::start(HttpOptions::default()).await;
    let mut client = Client::begin(&server).await;
    for (query, code) in [
        ("subscription { ordersChanged { cursr } }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { ordersChanged(where: {staus: {_eq: \"a\"}}) { cursor } }", "BAD_INPUT"),
        ("subscription { ordersChanged(where: {id: {_eq: 3000000000}}) { cursor } }", "BAD_INPUT"),
        ("subscription { ordersChanged(after: \"x\") { cursor } }", "BAD_CURSOR"),
        ("subscription { ordersChanged(after: \"99999999999999\") { cursor } }", "POSITION_AHEAD"),
        ("subscription { events(after: \"99999999999999\") { id } }", "POSITION_AHEAD"),
        ("subscription { events { id } ordersChanged { cursor } }", "BAD_REQUEST"),
        ("subscription { events { id", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
    ] {
        client.subscribe("1", query).await;
        let told = client.hear().await;
        assert_eq!(told["type"], "error", "{query}: {told}");
        assert_eq!(told["payload"][0]["extensions"]["code"], code, "{query}: {told}");
    }
    // Over HTTP there are none.
    let told = server.shop.errors("subscription { events { id } }").await;
    assert!(told.starts_with("BAD_REQUEST: a subscription is sent over a WebSocket"), "{told}");
}

#[tokio::test]
async fn what_is_completed_is_over_and_its_id_is_free() {
    let server = Server::start(HttpOptions::default()).await;
    let mut client = Client::begin(&server).await;
    let query = "subscription { events { aggregateId } }";
    client.subscribe("1", query).await;
    client.say(json!({"id": "1", "type": "complete"})).await;
    client.subscribe("1", "subscription { events(after: \"0\") { aggregateId } }").await;
    for _ in 0..7 {
        assert!(client.data("1").await["aggregateId"].is_string());
    }
    client.say(json!({"type": "ping", "payload": {"n": 1}})).await;
    assert_eq!(client.hear().await, json!({"type": "pong", "payload": {"n": 1}}));
}

#[tokio::test]
async fn misbehaviour_closes_with_the_protocol_s_codes() {
    let limits = Limits { init_timeout: Duration::from_millis(50), subscriptions: 1, ..Limits::default() };
    let server = Server::over(Shop::open(limits).await, HttpOptions::default()).await;
    let mut other = Client::connect(&server, "").await;
    assert_eq!(other.closed().await.0, 4406);
    let mut late = Client::connect(&server, "graphql-transport-ws").await;
    assert_eq!(late.closed().await, (4408, "limit \"init_timeout_ms\" is 50".to_owned()));

    let init = json!({"type": "connection_init"});
    let subscribe = json!({"id": "1", "type": "subscribe", "payload": {"query": "subscription { events { id } }"}});
    for (said, code) in [
        (vec![json!({"type": "hello"})], 4400),
        (vec![json!("hello")], 4400),
        (vec![subscribe.clone()], 4401),
        (vec![init.clone(), subscribe.clone(), subscribe.clone()], 4409),
        (vec![init.clone(), init.clone()], 4429),
        (vec![json!({"type": "connection_init", "payload": "x".repeat(2 << 20)})], 1009),
    ] {
        let mut client = Client::connect(&server, "graphql-transport-ws").await;
        for message in &said {
            client.say(message.clone()).await;
        }
        let (found, reason) = client.closed().await;
        assert_eq!(found, code, "{reason}");
    }
    let mut greedy = Client::begin(&server).await;
    greedy.subscribe("1", "subscription { events { id } }").await;
    greedy.subscribe("2", "subscription { events { id } }").await;
    let refused = greedy.hear().await;
    assert_eq!(refused["payload"][0]["message"], "limit \"subscriptions\" is 1, and the request has more");
}

/// It reads nothing: the subscription stops, and then the connection ends.
#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected() {
    let limits = Limits { send_timeout: Duration::from_millis(100), ..Limits::default() };
    let shop = Shop::open(limits).await;
    let long = "x".repeat(100_000);
    for lsn in 1..=20 {
        let events = (0..10).map(|n| {
            order(Operation::Create, lsn * 10 + n, (lsn * 10 + n) as i32, "16:00:00", &json!({"status": long}))
        });
        shop.append(events.collect()).await;
    }
    let server = Server::over(shop, HttpOptions::default()).await;
    let mut client = Client::begin(&server).await;
    client.subscribe("1", "subscription { events(after: \"0\") { after } }").await;
    // What it says is not read while it reads nothing; once it is disconnected, it cannot say anything more.
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    let ended = async {
        while client.0.send(Message::Ping(Default::default())).await.is_ok() {
            pace.tick().await;
        }
    };
    tokio::time::timeout(LIMIT, ended).await.expect("it is disconnected");
}

#[tokio::test]
async fn sockets_close_when_the_server_stops() {
    let server = Server::start(HttpOptions::default()).await;
    let mut client = Client::begin(&server).await;
    client.subscribe("1", "subscription { events { id } }").await;
    server.cancel.cancel();
    assert_eq!(client.closed().await.0, 1001);
}
