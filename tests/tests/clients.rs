//! Clients of other makes against a server of the demo: they are in `tests/clients`, and need Node.js.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use deltafold_tests::process::Deltafold;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::{
    node::{client, clients},
    server::Server,
};

fn demo() -> (Server, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let deltafold = Deltafold::on(&folder.path().join("data"));
    let mut command = deltafold.command(["demo", "--listen", "127.0.0.1:0"]);
    // A socket that never begins is closed while somebody looks on.
    command.env("DELTAFOLD_HTTP__LIMITS__INIT_TIMEOUT_MS", "500");
    let server = Server::start(&mut command).unwrap();
    server.wait_until_ready().unwrap();
    (server, folder)
}

fn said(script: &str, url: &str) -> Value {
    let said = client(&clients().unwrap(), script, &[url]).unwrap();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{script} said {said}: {error}"))
}

/// One after the other: they share a folder of packages.
#[test]
fn clients_of_other_makes_find_what_their_specifications_promise() {
    let (server, _folder) = demo();
    let address = server.address();

    let audit = said("audit.js", &format!("http://{address}/graphql"));
    assert_eq!(audit["failed"], 0);
    assert!(audit["audits"].as_u64().unwrap() > 50, "{audit}");

    let schema = said("schema.js", &format!("http://{address}"));
    let breaking =
        "what clients rely on is in tests/clients/schema.graphql: a break of it is told there, if it is meant";
    assert_eq!(schema["breaking"], json!([]), "{breaking}");
    assert_eq!(
        schema["isKnown"], true,
        "the demo's schema has more, or says it otherwise: put what /graphql/schema.graphql shows into \
         tests/clients/schema.graphql, so that it is relied on from now on"
    );

    let sockets = said("sockets.js", &format!("ws://{address}/graphql"));
    assert_eq!(sockets["shown"], json!(["subscribe", "resume", "ping", 4400, 4400, 4401, 4408, 4409, 4429]));

    let folder = clients().unwrap();
    let url = format!("http://{address}");
    client(&folder, "generate.js", &[&url]).unwrap();
    client(&folder, "node_modules/typescript/bin/tsc", &[]).unwrap();
    let typed = said("built/client.js", &url);
    assert_eq!(typed["appended"], 2, "{typed}");
}
