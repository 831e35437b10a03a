//! The server.

use std::{sync::Arc, time::Duration};

use deltafold_api::{AllowedOperations, HttpOptions, Limits, serve};
use deltafold_event::Operation;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    server::{JSON, Server, status},
    shop::{Shop, order, schema_event},
};

#[tokio::test]
async fn what_is_posted_is_json() {
    let server = Server::start(HttpOptions::default()).await;
    let body = json!({ "query": "{ ordersByKey(id: 1) { status } }" }).to_string();
    let good = server.send("POST /graphql", &[JSON], &body).await;
    assert_eq!(status(&good), "200");
    assert!(good.contains("content-type: application/json"), "{good}");
    assert!(good.contains(r#"{"data":{"ordersByKey":{"status":"paid"}},"extensions":{"deltafold":{"#), "{good}");

    assert_eq!(status(&server.send("POST /graphql", &[("content-type", "text/plain")], &body).await), "415");
    assert_eq!(status(&server.send("POST /graphql", &[], &body).await), "415");
    let put = server.send("PUT /graphql", &[JSON], &body).await;
    assert_eq!(status(&put), "405");
    assert!(put.contains("allow: GET, POST"), "{put}");
    let broken = server.send("POST /graphql", &[JSON], "{\"query\":").await;
    assert_eq!(status(&broken), "400");
    assert!(broken.contains("\"code\":\"BAD_REQUEST\""), "{broken}");
    let large = server.send("POST /graphql", &[JSON], &format!("{{\"query\":\"{}\"}}", "x".repeat(2 << 20))).await;
    assert!(large.is_empty() || status(&large) == "413", "{large}");
}

#[tokio::test]
async fn what_is_got_only_reads() {
    let server = Server::start(HttpOptions::default()).await;
    let query = "query=query%20(%24id%3AInt!)%7BordersByKey(id%3A%24id)%7Bstatus%7D%7D";
    let get = server.send(&format!("GET /graphql?{query}&variables=%7B%22id%22%3A1%7D&operationName="), &[], "").await;
    assert_eq!(status(&get), "200");
    assert!(get.contains(r#"{"data":{"ordersByKey":{"status":"paid"}}"#), "{get}");

    let mutation = "query=mutation+%7BpauseProjection(name%3A%22a%22)%7Bposition%7D%7D";
    let refused = server.send(&format!("GET /graphql?{mutation}"), &[], "").await;
    assert_eq!(status(&refused), "405");
    assert!(refused.contains("allow: POST\r\n") && refused.contains("METHOD_NOT_ALLOWED"), "{refused}");
    for parameters in ["", "?query=%7Ba%7D&query=%7Bb%7D", "?query=%7Ba%7D&variables=1", "?query=%7Ba%7D&variables=x"] {
        let refused = server.send(&format!("GET /graphql{parameters}"), &[], "").await;
        assert_eq!(status(&refused), "400", "{refused}");
        assert!(refused.contains("\"code\":\"BAD_REQUEST\""), "{refused}");
    }
}

/// The entity tag of a response.
fn tag(response: &str) -> Option<&str> {
    response.lines().find_map(|line| line.strip_prefix("etag: "))
}

#[tokio::test]
async fn what_does_not_change_any_more_has_a_tag() {
    let server = Server::start(HttpOptions::default()).await;
    let ask = async |query: &str, known: &str| {
        let query = query.replace(' ', "%20").replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        server.send(&format!("GET /graphql?query={query}"), &[("if-none-match", known)], "").await
    };
    let position = server.shop.data("{ store { position } }").await["store"]["position"].as_str().unwrap().to_owned();
    let last: i64 = position.parse().unwrap();
    let recorded = server.shop.data("{ events(last: 1) { nodes { recordedAt } } }").await["events"]["nodes"][0].take();
    let recorded = recorded["recordedAt"].as_str().unwrap();
    for (moment, has_tag) in [
        (format!("{{position: \"{last}\"}}"), true),
        (format!("{{position: \"{last}\", time: \"2026-11-21T14:00:00Z\"}}"), true),
        ("{recordedAt: \"2026-11-21T14:00:00Z\"}".to_owned(), true),
        // More may come that was recorded then.
        (format!("{{recordedAt: \"{recorded}\"}}"), false),
        ("{time: \"2026-11-21T14:00:00Z\"}".to_owned(), false),
        ("{consistent: true}".to_owned(), false),
    ] {
        let list = format!("{{ orders(asOf: {moment}) {{ nodes {{ id status }} }} }}");
        let response = ask(&list, "").await;
        assert_eq!(status(&response), "200");
        assert_eq!(tag(&response).is_some(), has_tag, "{moment}: {response}");
        if let Some(tag) = tag(&response) {
            let unchanged = ask(&list, &format!("\"x\", {tag}")).await;
            assert_eq!(status(&unchanged), "304", "{unchanged}");
            assert!(unchanged.contains(&format!("etag: {tag}")) && unchanged.ends_with("\r\n\r\n"), "{unchanged}");
        }
    }
    let as_of = format!("asOf: {{position: \"{last}\"}}");
    let row = format!("{{ ordersByKey(id: 1, {as_of}) {{ status }} }}");
    let before = ask(&row, "").await;
    for other in [
        format!("{{ ordersByKey(id: 1, {as_of}) {{ status _version {{ recordedTo }} }} }}"),
        format!("{{ ordersByKey(id: 1, {as_of}) {{ status }} store {{ events }} }}"),
        format!("{{ ordersByKey(id: 1, {as_of}) {{ status }} now: ordersByKey(id: 1) {{ status }} }}"),
        format!(
            "{{ aggregate(type: \"orders\", id: \"1\", {as_of}) {{ diff(from: {{time: \"2026-11-21T10:00:00Z\"}}) {{ field }} }} }}"
        ),
    ] {
        assert_eq!(tag(&ask(&other, "").await), None, "{other}");
    }

    // What comes later changes nothing of it; what changes what is believed may.
    server.shop.append(vec![order(Operation::Update, 300, 1, "16:00:00", &json!({"status": "sent"}))]).await;
    assert_eq!(tag(&ask(&row, "").await), tag(&before));
    let schema = deltafold_event::RowSchema::new(vec!["id".to_owned()], None, Some("other".to_owned()));
    server.shop.append(vec![schema_event(&schema)]).await;
    assert_ne!(tag(&ask(&row, "").await), tag(&before));
}

#[tokio::test]
async fn requests_may_come_in_batches_of_a_limit() {
    let shop = Shop::open(Limits { batch: 2, ..Limits::default() }).await;
    let server = Server::over(shop, HttpOptions::default()).await;
    let one = json!({ "query": "{ store { events } }" });
    let answers = server.send("POST /graphql", &[JSON], &json!([one, {}]).to_string()).await;
    assert_eq!(status(&answers), "200");
    let (_, body) = answers.split_once("\r\n\r\n").unwrap();
    let answers: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(answers[0]["data"]["store"]["events"], json!("0"));
    assert_eq!(answers[1]["errors"][0]["message"], "query: the request has none");
    let refused = server.send("POST /graphql", &[JSON], &json!([one, one, one]).to_string()).await;
    assert!(refused.contains("limit \\\"batch\\\" is 2, and the request has 3"), "{refused}");
}

/// As Apollo's clients ask: by hash, then with the text, then by hash.
#[tokio::test]
async fn texts_are_known_by_their_hashes_once_they_were_told() {
    let server = Server::start(HttpOptions::default()).await;
    let hash = "7fb5a6d9d1c1d8c5b6c9f1f8fb3ed0f8b0c1b4f9d7a4a2c3e1f6b8d2c4a6e8f0";
    let told = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let unknown = server.send("POST /graphql", &[JSON], &json!({ "extensions": told }).to_string()).await;
    assert!(unknown.contains("\"message\":\"PersistedQueryNotFound\""), "{unknown}");
    let query = "{ ordersByKey(id: 1) { status } }";
    let wrong = json!({ "query": query, "extensions": told }).to_string();
    let wrong = server.send("POST /graphql", &[JSON], &wrong).await;
    let (_, hash) = wrong.split_once("expected the query's hash, ").unwrap();
    let told = json!({"persistedQuery": {"version": 1, "sha256Hash": hash[..64]}});
    let good = json!({ "query": query, "extensions": told }).to_string();
    assert!(server.send("POST /graphql", &[JSON], &good).await.contains("{\"data\""));
    let by_hash = format!("GET /graphql?extensions={}", told.to_string().replace('"', "%22"));
    assert!(server.send(&by_hash, &[], "").await.contains("{\"data\""));
}

#[tokio::test]
async fn a_list_of_operations_is_all_that_is_answered() {
    let operations = AllowedOperations::parse(r#"{"one": "{ ordersByKey(id: 1) { status } }"}"#).unwrap();
    let options = HttpOptions { operations: Some(Arc::new(operations)), ..HttpOptions::default() };
    let server = Server::start(options).await;
    assert!(server.send("GET /graphql?documentId=one", &[], "").await.contains("\"paid\""));
    let own = ("accept", "application/graphql-response+json");
    let refused = json!({ "query": "{ store { events } }" }).to_string();
    let refused = server.send("POST /graphql", &[JSON, own], &refused).await;
    assert_eq!(status(&refused), "403");
    assert!(refused.contains("OPERATION_NOT_ALLOWED"), "{refused}");
}

#[tokio::test]
async fn refusals_have_a_status_in_the_media_type_of_their_own() {
    let server = Server::start(HttpOptions::default()).await;
    let own = ("accept", "application/graphql-response+json");
    let body = json!({ "query": "{ nothing }" }).to_string();
    let refused = server.send("POST /graphql", &[JSON, own], &body).await;
    assert_eq!(status(&refused), "400");
    assert!(refused.contains("content-type: application/graphql-response+json"), "{refused}");
    assert_eq!(status(&server.send("POST /graphql", &[JSON], &body).await), "200");
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let server = Server::start(HttpOptions::default()).await;
    let body = json!({ "query": "{ store { events } }" }).to_string();
    let ours = format!("http://127.0.0.1:{}", server.port);
    assert_eq!(status(&server.send("POST /graphql", &[JSON, ("origin", &ours)], &body).await), "200");
    assert_eq!(status(&server.send("POST /graphql", &[JSON, ("origin", "https://evil.example")], &body).await), "403");
    let rebound = [JSON, ("host", "evil.example"), ("origin", "http://evil.example")];
    assert_eq!(status(&server.send("POST /graphql", &rebound, &body).await), "403");
}

#[tokio::test]
async fn the_schema_the_console_and_the_probes_are_served() {
    let server = Server::start(HttpOptions::default()).await;
    let schema = server.send("GET /graphql/schema.graphql", &[], "").await;
    assert!(schema.contains("type Orders {"), "{schema}");
    let page = server.send("GET /", &[], "").await;
    assert!(page.contains("/console/graphiql.min.js") && page.contains("content-security-policy"), "{page}");
    let script = server.send("GET /console/console.js", &[], "").await;
    assert!(script.contains("text/javascript"), "{script}");
    for path in ["/livez", "/readyz"] {
        let response = server.send(&format!("GET {path}"), &[], "").await;
        assert!(status(&response) == "200" && response.ends_with("\r\n\r\nok\n"), "{response}");
    }
    // Of a library's server, without a recorder.
    assert_eq!(status(&server.send("GET /metrics", &[], "").await), "404");
    assert_eq!(status(&server.send("GET /nothing", &[], "").await), "404");
    assert_eq!(status(&server.send("GET /console/../Cargo.toml", &[], "").await), "404");
}

#[tokio::test]
async fn metrics_are_served_as_prometheus_reads_them() {
    let metrics: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(|| "up 1\n".to_owned());
    let server = Server::start(HttpOptions { metrics: Some(metrics), ..HttpOptions::default() }).await;
    let response = server.send("GET /metrics", &[], "").await;
    assert_eq!(status(&response), "200");
    assert!(response.contains("content-type: text/plain; version=0.0.4"), "{response}");
    assert!(response.ends_with("\r\n\r\nup 1\n"), "{response}");
}

#[tokio::test]
async fn without_authentication_only_loopback_is_served() {
    let shop = Shop::open(Limits::default()).await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let served = serve(shop.api.clone(), listener, HttpOptions::default(), CancellationToken::new()).await;
    assert_eq!(served.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for_forever() {
    let limits = Limits { timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::over(Shop::open(limits).await, HttpOptions::default()).await;
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    let head =
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    let read = stream.read_to_end(&mut response);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("it is answered, and closed").unwrap();
    let response = String::from_utf8(response).unwrap();
    assert_eq!(status(&response), "408", "{response}");
    assert!(response.contains("\"code\":\"TIMEOUT\""), "{response}");
}

#[tokio::test]
async fn it_stops_when_cancelled() {
    let server = Server::start(HttpOptions::default()).await;
    // A connection that stays open, but idle, does not hold it up.
    let _idle = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    server.cancel.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), server.task).await;
    assert!(ended.is_ok(), "still serving");
}
