//! Each command, and each way to fail.

use assert_cmd::Command;

use super::place::{Place, Server, a_day_in_the_shop, order};

#[test]
fn what_was_ingested_is_answered_as_of_any_moment() {
    let place = Place::new();
    place.write("orders.jsonl", &a_day_in_the_shop());
    let summary: serde_json::Value =
        serde_json::from_str(&place.done(&["ingest", "--file", "orders.jsonl", "--json"])).unwrap();
    assert_eq!((&summary["appended"], &summary["deadLetters"]), (&2.into(), &1.into()));

    assert_eq!(place.done(&["get", "orders", "7"]), "id      7\nstatus  paid\n");
    let then = place.done(&["get", "orders", "7", "--as-of", "2026-09-28T08:00:30Z", "--json"]);
    assert_eq!(then, "{\"id\":\"7\",\"status\":\"new\"}\n");
    assert_eq!(
        place.done(&["diff", "orders", "7", "--from", "2026-09-28T08:00:30Z", "--to", "2026-09-29"]),
        "status  new → paid\n"
    );
    let history = place.done(&["history", "orders", "7"]);
    assert!(history.contains("2026-09-28T08:01:00.000000Z  updated"), "{history}");
    assert!(history.contains("status  new → paid"), "{history}");
    let response = place.done(&["query", "{ orders { totalCount } }", "--json"]);
    assert!(response.starts_with("{\"data\":{\"orders\":{\"totalCount\":"), "{response}");
    assert!(place.done(&["dead-letters"]).contains("orders.jsonl:3"));
    assert!(place.done(&["sources"]).contains("orders.jsonl"));
    assert!(place.done(&["projections"]).contains("orders"));
}

#[test]
fn every_way_to_fail_has_its_exit_code() {
    let place = Place::new();
    place.write("orders.jsonl", &a_day_in_the_shop());

    // 2: wrong usage or configuration.
    assert!(place.fails(2, &["get"]).contains("Usage"));
    assert!(place.fails(2, &["get", "orders", "7", "--as-of", "soon"]).contains("is not a moment: expected a time"));
    assert!(place.fails(2, &["--config", "none.toml", "config"]).contains("none.toml: no such file"));
    place.write("wrong.toml", "[http]\nlisen = \"127.0.0.1:1\"\n");
    let message = place.fails(2, &["--config", "wrong.toml", "config", "check"]);
    assert_eq!(message, "error: wrong.toml: there is no key http.lisen; the nearest is http.listen\n");
    assert!(place.fails(2, &["serve", "--listen", "0.0.0.0:0"]).contains("loopback"));
    assert!(place.fails(2, &["ingest"]).contains("name files with --file"));

    // 3: not found.
    assert!(
        place.fails(3, &["get", "orders", "7"]).contains("there is no data in data: name its directory with --data")
    );
    assert!(place.fails(3, &["ingest", "--file", "none.jsonl"]).contains("cannot open none.jsonl"));
    place.done(&["ingest", "--file", "orders.jsonl"]);
    assert_eq!(place.fails(3, &["get", "orders", "8"]), "error: orders has no row 8\n");
    assert!(place.fails(3, &["get", "ordrs", "7"]).contains("did you mean \"orders\"?"));
    assert_eq!(place.fails(3, &["dead-letters", "show", "9"]), "error: there is no dead letter 9\n");

    // 4: conflict.
    assert!(place.fails(4, &["demo", "--data", ".", "--listen", "127.0.0.1:0"]).contains("is not empty"));

    // 5: unavailable.
    assert!(place.fails(5, &["get", "orders", "7", "--url", "http://127.0.0.1:1"]).contains("does not answer"));

    // A wrong document is wrong usage; the response is on stdout all the same.
    let (code, stdout, stderr) = place.run(&["query", "{ orders { nodes { staus } } }"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stdout.contains("\"errors\"") && stderr.contains("staus"), "{stdout} {stderr}");
}

#[test]
fn a_server_and_the_data_directory_print_the_same() {
    let place = Place::new();
    place.write("orders.jsonl", &a_day_in_the_shop());
    place.done(&["ingest", "--file", "orders.jsonl"]);
    let commands: [&[&str]; 7] = [
        &["get", "orders", "7", "--as-of", "2026-09-28T08:00:30Z"],
        &["history", "orders", "7", "--json"],
        &["diff", "orders", "7", "--from", "2026-09-28T08:00:30Z", "--to", "2026-09-29", "--json"],
        &["query", "{ orders { nodes { id status } } }"],
        &["dead-letters", "list", "--json"],
        &["dead-letters", "show", "1"],
        &["sources", "--json"],
    ];
    let here: Vec<_> = commands.iter().map(|command| place.done(command)).collect();
    let server = Server::start(&place, &["serve"]);
    for (command, here) in commands.iter().zip(&here) {
        let there = place.done(&[command, &["--url", &server.url][..]].concat());
        assert_eq!(there, *here, "{command:?}");
    }
    // The index belongs to the server now; appending beside it is normal.
    let message = place.fails(5, &["get", "orders", "7"]);
    assert!(message.contains("in use by another process") && message.contains("--url"), "{message}");
    place.write("more.jsonl", &order(8, "new", 120));
    place.done(&["ingest", "--file", "more.jsonl"]);
    assert_eq!(server.stop(), Some(0));
    assert_eq!(place.done(&["get", "orders", "8"]), "id      8\nstatus  new\n");
}

#[test]
fn configuration_says_where_each_value_came_from() {
    let place = Place::new();
    place.write("deltafold.toml", "[aggregates.orders]\nkey = [\"id\"]\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltafold"));
    let command = command.current_dir(place.path()).env("DELTAFOLD_HTTP__LISTEN", "127.0.0.1:9000");
    let shown = String::from_utf8(command.args(["config", "show"]).output().unwrap().stdout).unwrap();
    assert_eq!(
        shown,
        "aggregates.name = \"{table}\"      # default\n\
         aggregates.orders.key = [\"id\"]   # deltafold.toml\n\
         http.listen = \"127.0.0.1:9000\"   # DELTAFOLD_HTTP__LISTEN\n\
         projections.dir = \"projections\"  # default\n"
    );
}
