//! Tokens, from the command that makes one to the server that takes it.

use std::{
    fs,
    time::{Duration, Instant},
};

use assert_cmd::Command;
use serde_json::Value;

use super::place::{Place, Server, a_day_in_the_shop};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A token and its line.
fn made(place: &Place, arguments: &[&str]) -> (String, String) {
    let made: Value = serde_json::from_str(&place.done(&[&["token", "--json"], arguments].concat())).unwrap();
    let part = |name: &str| made[name].as_str().unwrap().to_owned();
    (part("token"), part("line"))
}

#[test]
fn a_token_is_made_with_the_line_for_the_file() {
    let place = Place::new();
    let printed = place.done(&["token", "ci", "--rights", "append,read"]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[0].starts_with("token  dfold_") && lines[1].starts_with("line   ci read,append sha256:"),
        "{printed}"
    );
    assert_ne!(made(&place, &["ci"]), made(&place, &["ci"]));
    assert!(place.fails(2, &["token", "ci", "--rights", "write"]).contains("there is no right \"write\""));
    assert!(place.fails(2, &["token", "two words"]).contains("expected one word"));
}

#[test]
fn anything_but_loopback_is_refused_until_tokens_are_configured() {
    let place = Place::new();
    let message = place.fails(2, &["serve", "--listen", "0.0.0.0:0"]);
    assert!(message.contains("http.tokens_file") && message.contains("[http.jwt]"), "{message}");

    place.write("deltafold.toml", "[http]\ntokens_file = \"tokens\"\n");
    for command in [&["serve"][..], &["config", "check"]] {
        assert!(place.fails(2, command).contains("cannot read tokens"));
    }
    place.write("tokens", "# ours\nci everything sha256:00\n");
    assert!(place.fails(2, &["serve"]).starts_with("error: tokens:2: there is no right \"everything\""));

    let (token, line) = made(&place, &["ci"]);
    place.write("tokens", &line);
    let server = Server::start_at(&place, "0.0.0.0:0", &["serve"]);
    assert_eq!(server.get("/livez", None), (200, "ok\n".to_owned()));
    for path in ["/", "/console/console.js", "/graphql", "/graphql/schema.graphql", "/readyz", "/metrics", "/x"] {
        assert_eq!(server.get(path, None).0, 401, "{path}");
        assert_eq!(server.get(path, Some("dfold_wrong")).0, 401, "{path}");
        assert_ne!(server.get(path, Some(&token)).0, 401, "{path}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn names_and_origins_are_allowed_by_the_configuration() {
    let place = Place::new();
    let lists = "allowed_hosts = [\"shop.example\"]\nallowed_origins = [\"https://app.example\"]\n";
    place.write("deltafold.toml", &format!("[http]\n{lists}"));
    let server = Server::start(&place, &["serve"]);
    let schema = |host: &str, headers: &str| server.get_by_name(host, "/graphql/schema.graphql", headers).0;
    assert_eq!((schema("localhost", ""), schema("shop.example", ""), schema("evil.example", "")), (200, 200, 403));
    assert_eq!(schema("shop.example", "origin: https://app.example\r\n"), 200);
    assert_eq!(schema("shop.example", "origin: https://evil.example\r\n"), 403);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn commands_send_the_token_that_they_find() {
    let place = Place::new();
    place.write("orders.jsonl", &a_day_in_the_shop());
    place.done(&["ingest", "--file", "orders.jsonl"]);
    let (token, line) = made(&place, &["reader"]);
    let file = place.write("token", &format!("{token}\n"));
    place.write("tokens", &line);
    place.write("deltafold.toml", "[http]\ntokens_file = \"tokens\"\n");
    let server = Server::start(&place, &["serve"]);

    let get = ["get", "orders", "7", "--url", &server.url];
    let message = place.fails(1, &get);
    assert!(message.contains("wants a token: set DELTAFOLD_TOKEN or DELTAFOLD_TOKEN_FILE"), "{message}");
    let row = "id      7\nstatus  paid\n";
    assert_eq!(place.done(&[&get[..], &["--token-file", "token"]].concat()), row);
    let with = |name: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deltafold"));
        let output = command.current_dir(place.path()).env(name, value).args(get).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(with("DELTAFOLD_TOKEN", &token).1, row);
    assert_eq!(with("DELTAFOLD_TOKEN_FILE", file.to_str().unwrap()).1, row);
    let (code, _, message) = with("DELTAFOLD_TOKEN", "dfold_wrong");
    assert_eq!(code, 1);
    assert!(message.contains("refuses the token (the token is not valid): set DELTAFOLD_TOKEN"), "{message}");
    assert_eq!(with("DELTAFOLD_TOKEN_FILE", "nowhere").0, 2);

    let mutation = ["query", "mutation { anything }", "--token-file", "token", "--url", &server.url];
    assert!(place.fails(1, &mutation).contains("needs the right append or admin"));
    // A file that says nothing takes no right away; that it does not is told.
    fs::remove_file(place.path().join("tokens")).unwrap();
    assert_eq!(with("DELTAFOLD_TOKEN", &token).1, row);
    let began = Instant::now();
    while !server.get("/metrics", Some(&token)).1.contains("deltafold_credentials_unreadable{file=\"tokens\"} 1") {
        assert!(began.elapsed() < LIMIT, "nothing tells that the tokens' file is gone");
    }
    assert_eq!(server.stop(), Some(0));
}
