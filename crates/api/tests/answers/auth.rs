//! Who may ask, by tokens of a file.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use deltafold_api::{Auth, AuthOptions, HttpOptions, NewToken, Right, Rights};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    origins::restored,
    server::{JSON, Server, status},
    shop::Shop,
    sockets::Client,
};

/// A file of tokens, and its directory.
struct Tokens {
    dir: TempDir,
}

impl Tokens {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tokens")
    }

    /// Writes a file with one token for each of these rights, in one step.
    fn write<const N: usize>(&self, rights: [Rights; N]) -> [String; N] {
        let made = rights.map(|rights| NewToken::make("somebody", rights).unwrap());
        let lines: Vec<&str> = made.iter().map(|made| made.line.as_str()).collect();
        self.replace(&lines.join("\n"));
        made.map(|made| made.token)
    }

    fn replace(&self, text: &str) {
        let next = self.dir.path().join("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, self.path()).unwrap();
    }

    async fn server(&self) -> Server {
        self.server_over(Shop::with_orders().await).await
    }

    async fn server_over(&self, shop: Shop) -> Server {
        let auth = Auth::open(AuthOptions { tokens_file: Some(self.path()), jwt: None }).unwrap();
        let metrics: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(String::new);
        Server::over(shop, HttpOptions { auth: Some(Arc::new(auth)), metrics: Some(metrics), ..HttpOptions::default() })
            .await
    }
}

const READ: Rights = Rights::NONE.with(Right::Read);
const APPEND: Rights = Rights::NONE.with(Right::Append);
const ADMIN: Rights = Rights::NONE.with(Right::Admin);

/// Everything there is, and something there is not.
const ROUTES: [&str; 10] = [
    "GET /",
    "GET /console/console.js",
    "POST /graphql",
    "GET /graphql",
    "OPTIONS /graphql",
    "GET /graphql/schema.graphql",
    "GET /readyz",
    "GET /metrics",
    "GET /livez/",
    "GET /nothing",
];

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// A GraphQL response to this document.
async fn asked(server: &Server, token: &str, request: Value) -> Value {
    let response = server.send("POST /graphql", &[JSON, ("authorization", &bearer(token))], &request.to_string()).await;
    assert_eq!(status(&response), "200", "{response}");
    serde_json::from_str(response.split_once("\r\n\r\n").unwrap().1).unwrap()
}

async fn code(server: &Server, token: &str, query: &str) -> String {
    let response = asked(server, token, json!({ "query": query })).await;
    response["errors"][0]["extensions"]["code"].as_str().unwrap_or("none").to_owned()
}

#[tokio::test]
async fn every_route_but_livez_wants_a_token() {
    let tokens = Tokens::new();
    let [token] = tokens.write([READ]);
    let server = tokens.server().await;
    let body = json!({ "query": "{ store { events } }" }).to_string();
    let wrong = [bearer("dfold_wrong"), bearer(""), "Basic c29tZTpib2R5".to_owned(), token.clone()];
    for route in ROUTES {
        let none = server.send(route, &[JSON], &body).await;
        assert_eq!(status(&none), "401", "{route}: {none}");
        assert!(none.contains("www-authenticate: Bearer realm=\"deltafold\"\r\n"), "{route}: {none}");
        for wrong in &wrong {
            let refused = server.send(route, &[JSON, ("authorization", wrong)], &body).await;
            assert_eq!(status(&refused), "401", "{route} with {wrong}: {refused}");
        }
        for scheme in ["Bearer", "bearer"] {
            let good = server.send(route, &[JSON, ("authorization", &format!("{scheme} {token}"))], &body).await;
            assert_ne!(status(&good), "401", "{route}: {good}");
        }
    }
    let refused = server.send("POST /graphql", &[JSON, ("authorization", &wrong[0])], &body).await;
    assert!(refused.contains("error=\"invalid_token\", error_description=\"the token is not valid\""), "{refused}");
    assert!(refused.contains("\"code\":\"UNAUTHENTICATED\""), "{refused}");
    assert_eq!(status(&server.send("GET /livez", &[], "").await), "200");
    assert_eq!(status(&server.send("GET /livez", &[("authorization", &wrong[0])], "").await), "200");
}

#[tokio::test]
async fn a_read_token_runs_no_mutation() {
    let tokens = Tokens::new();
    let [read, append, admin] = tokens.write([READ, APPEND, ADMIN]);
    let server = tokens.server().await;
    for mutation in [
        "mutation { anything }",
        "mutation { newEpoch(name: 1.5, reason: $reason) { a } }",
        "mutation { appendEvents }",
        "mutation { ...f } fragment f on Mutation { ...f }",
        "mutation M($m: Nothing!) { m(m: $m) }",
    ] {
        assert_eq!(code(&server, &read, mutation).await, "FORBIDDEN", "{mutation}");
    }
    // Seen before, by somebody who may.
    assert_eq!(code(&server, &admin, "mutation { anything }").await, "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(code(&server, &read, "mutation { anything }").await, "FORBIDDEN");

    let both = "query Q { store { events } } mutation M { anything }";
    let of_both = async |name: &str| {
        let response = asked(&server, &read, json!({ "query": both, "operationName": name })).await;
        response["errors"][0]["extensions"]["code"].as_str().unwrap_or("none").to_owned()
    };
    assert_eq!((of_both("M").await.as_str(), of_both("Q").await.as_str()), ("FORBIDDEN", "GRAPHQL_VALIDATION_FAILED"));
    assert_eq!(code(&server, &append, "mutation { newEpoch }").await, "FORBIDDEN");
    assert_eq!(code(&server, &append, "mutation { appendEvents }").await, "BAD_INPUT");

    let own = ("accept", "application/graphql-response+json");
    let body = json!({ "query": "mutation { anything }" }).to_string();
    let response = server.send("POST /graphql", &[JSON, own, ("authorization", &bearer(&read))], &body).await;
    assert_eq!(status(&response), "403", "{response}");
}

/// Mutations that are in order, in whatever dress, with the right that each needs.
const MUTATIONS: [(&str, Right); 8] = [
    ("mutation { retryDeadLetters(all: true) { settled } }", Right::Append),
    ("mutation M { store: retryDeadLetters(numbers: [1]) { settled } } query Q { store { events } }", Right::Append),
    ("mutation { ... @include(if: true) { retryDeadLetters(all: true) { settled } } }", Right::Append),
    ("mutation { discardDeadLetters(all: true, reason: \"a test\") { settled } }", Right::Admin),
    (
        "mutation { retryDeadLetters(all: true) { settled } ... on Mutation { ...f } }
         fragment f on Mutation { retried: discardDeadLetters(numbers: [1], reason: \"a test\") { settled } }",
        Right::Admin,
    ),
    ("mutation { newEpoch(source: \"shop\", reason: \"a test\") { epoch } }", Right::Admin),
    ("mutation { retryDeadLetters: newEpoch(source: \"shop\", reason: \"a test\") { epoch } }", Right::Admin),
    (
        "mutation { ...f } fragment f on Mutation { ...g }
         fragment g on Mutation { newEpoch(source: \"shop\", reason: \"a test\") { epoch } }",
        Right::Admin,
    ),
];

/// Nothing may be wrong with a mutation but who asks for it: what is refused for another reason proves nothing.
#[tokio::test]
async fn mutations_that_would_be_run_for_others_change_nothing() {
    let tokens = Tokens::new();
    let [read, append, admin] = tokens.write([READ, APPEND, ADMIN]);
    for (mutation, needs) in MUTATIONS {
        // A database that was restored, so that there is an epoch to begin.
        let server = tokens.server_over(restored().await).await;
        let done = || (server.shop.store.high_water_mark(), server.shop.operator.asked.lock().unwrap().len());
        let before = done();
        let asked = async |token: &str| {
            let request = json!({ "query": mutation, "operationName": mutation.contains(" M {").then_some("M") });
            asked(&server, token, request).await
        };
        let allowed = if needs == Right::Append { &append } else { &admin };
        for token in [&read, &append].into_iter().filter(|token| *token != allowed) {
            assert_eq!(asked(token).await["errors"][0]["extensions"]["code"], "FORBIDDEN", "{mutation}");
        }
        assert_eq!(done(), before, "{mutation}");
        let response = asked(allowed).await;
        assert_eq!(response.get("errors"), None, "{mutation}");
        assert_ne!(done(), before, "{mutation}");
    }
}

#[tokio::test]
async fn reading_takes_the_right_to_read() {
    let tokens = Tokens::new();
    let [read, append, admin] = tokens.write([READ, APPEND, ADMIN]);
    let server = tokens.server().await;
    assert_eq!(code(&server, &read, "{ store { events } }").await, "none");
    assert_eq!(code(&server, &append, "{ store { events } }").await, "FORBIDDEN");
    assert_eq!(code(&server, &admin, "{ store { events } }").await, "none");
    for route in ROUTES.iter().filter(|route| !route.ends_with(" /graphql")) {
        let by =
            async |token: &str| status(&server.send(route, &[("authorization", &bearer(token))], "").await).to_owned();
        assert_eq!(by(&append).await, "403", "{route}");
        assert_eq!(by(&read).await, by(&admin).await, "{route}");
    }
}

#[tokio::test]
async fn whoever_lacks_the_right_does_not_get_to_wait() {
    let tokens = Tokens::new();
    let [append, read] = tokens.write([APPEND, READ]);
    let server = tokens.server().await;
    let ahead = json!({ "deltafold": { "minPosition": "99999999999999" } });
    for (token, query) in [(&append, "{ store { events } }"), (&read, "mutation { newEpoch { epoch } }")] {
        let response = asked(&server, token, json!({ "query": query, "extensions": ahead })).await;
        assert_eq!(response["errors"][0]["extensions"]["code"], "FORBIDDEN", "{query}: {response}");
    }
}

#[tokio::test]
async fn tokens_are_rotated_while_it_runs() {
    let tokens = Tokens::new();
    let [old] = tokens.write([READ]);
    let server = tokens.server().await;
    let is_good = async |token: &str| {
        let response = server.send("GET /readyz", &[("authorization", &bearer(token))], "").await;
        status(&response) == "200"
    };
    assert!(is_good(&old).await);
    let [new] = tokens.write([READ]);
    let read_again = async {
        while !is_good(&new).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read_again).await.expect("the file is read again");
    assert!(!is_good(&old).await);
}

#[tokio::test]
async fn a_file_of_tokens_that_is_wrong_is_named_with_its_line() {
    let tokens = Tokens::new();
    let opened = || Auth::open(AuthOptions { tokens_file: Some(tokens.path()), jwt: None });
    let shown = || opened().unwrap_err().to_string().replace(tokens.dir.path().to_str().unwrap(), "…");
    assert!(shown().starts_with("cannot read …/tokens: "));
    tokens.replace("# one\n\nci read abc\n");
    assert!(shown().starts_with("…/tokens:3: expected sha256: and 64 hexadecimal digits"), "{}", shown());
}

/// A page cannot set headers of its socket: its first message has the token.
#[tokio::test]
async fn a_socket_is_told_who_asks_by_its_first_message() {
    let tokens = Tokens::new();
    let [reader, writer] = tokens.write([READ, APPEND]);
    let server = tokens.server().await;
    let begin = async |payload: Value| {
        let mut client = Client::connect(&server, "graphql-transport-ws").await;
        client.say(json!({ "type": "connection_init", "payload": payload })).await;
        client
    };
    let mut client = begin(json!({ "Authorization": bearer(&reader) })).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    client.subscribe("1", "subscription { events(after: \"0\") { aggregateId } }").await;
    assert_eq!(client.data("1").await["aggregateId"], "1");

    let mut client = begin(json!({ "authorization": bearer(&writer) })).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    client.subscribe("1", "subscription { events { aggregateId } }").await;
    assert_eq!(client.hear().await["payload"][0]["extensions"]["code"], "FORBIDDEN");

    for payload in [json!({}), json!({ "Authorization": bearer("wrong") })] {
        assert_eq!(begin(payload).await.closed().await.0, 4403);
    }
    // A token that is taken away ends what it has begun.
    let mut client = begin(json!({ "Authorization": bearer(&reader) })).await;
    assert_eq!(client.hear().await["type"], "connection_ack");
    tokens.write([READ]);
    assert_eq!(client.closed().await.0, 4403);

    // Whoever only says that it wants a socket is let in no further.
    let upgrade = ("upgrade", "websocket");
    for route in ["POST /graphql", "GET /graphql"] {
        assert_eq!(status(&server.send(route, &[JSON, upgrade], "{}").await), "401");
    }
}
