//! The server.

use std::{sync::Arc, time::Duration};

use deltafold_api::{HttpOptions, Limits, serve};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;

use crate::{
    server::{JSON, Server, status},
    shop::Shop,
};

#[tokio::test]
async fn requests_are_json_by_post() {
    let server = Server::start(HttpOptions::default()).await;
    let body = json!({ "query": "{ ordersByKey(id: 1) { status } }" }).to_string();
    let good = server.send("POST /graphql", &[JSON], &body).await;
    assert_eq!(status(&good), "200");
    assert!(good.contains("content-type: application/json"), "{good}");
    assert!(good.contains(r#"{"data":{"ordersByKey":{"status":"paid"}},"extensions":{"deltafold":{"#), "{good}");

    assert_eq!(status(&server.send("POST /graphql", &[("content-type", "text/plain")], &body).await), "415");
    assert_eq!(status(&server.send("POST /graphql", &[], &body).await), "415");
    let get = server.send("GET /graphql?query=%7Bstore%7Bevents%7D%7D", &[JSON], "").await;
    assert_eq!(status(&get), "405");
    assert!(get.contains("allow: POST"), "{get}");
    let broken = server.send("POST /graphql", &[JSON], "{\"query\":").await;
    assert_eq!(status(&broken), "400");
    assert!(broken.contains("\"code\":\"BAD_REQUEST\""), "{broken}");
    let large = server.send("POST /graphql", &[JSON], &format!("{{\"query\":\"{}\"}}", "x".repeat(2 << 20))).await;
    assert!(large.is_empty() || status(&large) == "413", "{large}");
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
