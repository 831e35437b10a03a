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
fn definitions_are_checked_against_what_is_there() {
    let place = Place::new();
    place.write("orders.jsonl", &a_day_in_the_shop());
    place.done(&["ingest", "--file", "orders.jsonl"]);
    assert!(place.fails(3, &["projections", "check"]).contains("cannot read projections"));
    let folder = |name: &str, text: &str| place.write(&format!("projections/{name}.sql"), text);
    folder(
        "by_status",
        "-- projections/by_status.sql: how many orders are in which state\n\
         CREATE MATERIALIZED VIEW by_status WITH (key = 'status') AS\n\
         SELECT status, count(*) AS orders FROM orders WHERE id > 1 GROUP BY status;\n",
    );
    assert_eq!(
        place.done(&["projections", "check"]),
        "by_status: how many orders are in which state\n  key      status\n  over     orders\n  \
         kept by  the changes of orders; filter by orders.id > 1; group by orders.status: count(1)\n  \
         state    group by orders.status: count(1): each group at each moment at which it changed; a change reads and \
         writes the newest moments of its group, a late one those since\n  \
         column   status  text\n  column   orders  bigint, never null\n"
    );
    folder("wrong", "CREATE MATERIALIZED VIEW wrong WITH (key = 'id') AS\nSELECT id, totl FROM orders;\n");
    let message = place.fails(2, &["projections", "check"]);
    assert_eq!(message, "error: projections/wrong.sql:2:12: there is no column totl (id, status)\n");
    let (code, lines, _) = place.run(&["projections", "check", "projections/wrong.sql", "--json"]);
    assert!(code == 2 && lines.contains("\"ok\":false") && lines.contains("\"line\":2,"), "{lines}");
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
    let unknown = place.fails(3, &["sources", "new-epoch", "shop", "--reason", "restored"]);
    assert_eq!(unknown, "error: newEpoch.source: there is no origin \"shop\"\n");

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

/// The same without a key.
fn keyless(id: u64, second: u64) -> String {
    order(id, "new", second).replace(&format!("\"key\":{{\"id\":{id}}}"), "\"key\":null")
}

/// The members of a document, or of one per line.
fn json_of(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn dead_letters_are_retried_once_the_configuration_is_right() {
    let place = Place::new();
    place.write("orders.jsonl", &(keyless(7, 0) + &keyless(8, 1) + &keyless(9, 2) + "{\"cut\":\n"));
    place.done(&["ingest", "--file", "orders.jsonl"]);
    assert!(place.done(&["dead-letters"]).contains("orders.jsonl:3"));

    // Nothing has changed: nothing can be done, and it is said of each why.
    let (code, stdout, stderr) = place.run(&["dead-letters", "retry", "--all", "--json"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("they stay dead letters"), "{stderr}");
    let told = &json_of(&stdout)[0];
    assert_eq!((&told["retried"], &told["failed"]), (&0.into(), &4.into()));
    assert!(told["failures"][0]["reason"].as_str().unwrap().contains("[aggregates.orders] key"), "{told}");

    // One by hand; the rest by their code.
    let told = &json_of(&place.done(&["dead-letters", "retry", "2", "--key", "orders=id", "--json"]))[0];
    assert_eq!((&told["retried"], &told["events"], &told["failed"]), (&1.into(), &1.into(), &0.into()));
    assert_eq!(place.done(&["get", "orders", "8"]), "id      8\nstatus  new\n");
    place.write("deltafold.toml", "[aggregates.orders]\nkey = [\"id\"]\n");
    assert_eq!(
        place.done(&["dead-letters", "retry", "--code", "no_key"]),
        "retried    2\nevents     2\nstill dead 0\n"
    );
    assert_eq!(place.done(&["get", "orders", "9"]), "id      9\nstatus  new\n");

    // What is done is done; what is not there is not.
    assert_eq!(
        place.fails(4, &["dead-letters", "retry", "1-4"]),
        "error: dead letter 1 was retried already, by local\n"
    );
    assert!(place.fails(3, &["dead-letters", "retry", "4-5"]).contains("there is no dead letter 5"));
    assert!(place.fails(2, &["dead-letters", "retry"]).contains("--all"));
    assert!(place.fails(2, &["dead-letters", "retry", "4", "--all"]).contains("cannot be used with"));
    assert!(place.fails(2, &["dead-letters", "discard", "4"]).contains("--reason"));
    assert!(place.fails(2, &["dead-letters", "retry", "x"]).contains("as in 3 or 7-12"));

    assert_eq!(place.done(&["dead-letters", "discard", "4", "--reason", "a test"]), "discarded  1\n");
    assert_eq!(json_of(&place.done(&["dead-letters", "list", "--json"])), [serde_json::Value::Null; 0]);
    // To retry all of none is done.
    place.done(&["dead-letters", "retry", "--all"]);
    let states = |arguments: &[&str]| {
        let letters = json_of(&place.done(&[&["dead-letters", "list", "--json"], arguments].concat()));
        letters.iter().map(|letter| letter["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(states(&["--all"]), ["retried", "retried", "retried", "discarded"]);
    assert_eq!(states(&["--state", "discarded"]), ["discarded"]);
    assert_eq!(states(&["--all", "--after", "2", "--limit", "1"]), ["retried"]);
    let shown = place.done(&["dead-letters", "show", "4"]);
    assert!(shown.contains("discarded") && shown.contains("a test") && shown.contains("by local"), "{shown}");
    let event = &json_of(&place.done(&["dead-letters", "show", "2", "--json"]))[0]["settlement"]["events"][0];
    let history = place.done(&["history", "orders", "8", "--json"]);
    assert!(history.contains(event.as_str().unwrap()), "{history} {event}");
    place.done(&["verify"]);
}

#[test]
fn dead_letters_are_settled_through_a_server_as_on_its_data() {
    let place = Place::new();
    place.write("orders.jsonl", &((0..4).map(|id| keyless(id, id)).collect::<String>() + "{\"cut\":\n"));
    place.done(&["ingest", "--file", "orders.jsonl"]);
    place.write("deltafold.toml", "[aggregates.orders]\nkey = [\"id\"]\n");
    let server = Server::start(&place, &["serve"]);
    let there = |arguments: &[&str]| [&["dead-letters"][..], arguments, &["--url", &server.url]].concat().join(" ");
    let run = |arguments: &[&str]| place.run(&there(arguments).split(' ').collect::<Vec<_>>());
    let done = |arguments: &[&str]| {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {stderr}");
        stdout
    };
    assert_eq!(done(&["retry", "2"]), "retried    1\nevents     1\nstill dead 0\n");
    let (code, _, stderr) = run(&["retry", "1-2"]);
    assert_eq!((code, stderr.as_str()), (4, "error: dead letter 2 was retried already, by local\n"));
    let (code, _, stderr) = run(&["discard", "9", "--reason", "gone"]);
    assert_eq!((code, stderr.as_str()), (3, "error: there is no dead letter 9: their numbers go up to 5\n"));
    let (code, _, stderr) = run(&["retry", "--all", "--key", "orders=id"]);
    assert!(code == 2 && stderr.contains("--key has no meaning here"), "{stderr}");
    let told = &json_of(&done(&["retry", "--all", "--json"]))[0];
    assert_eq!((&told["retried"], &told["failed"]), (&3.into(), &1.into()), "{told}");
    assert_eq!(run(&["retry", "--all"]).0, 1);
    assert_eq!(done(&["discard", "5", "--reason", "cut"]), "discarded  1\n");
    // What they became is folded like anything that is appended.
    let began = std::time::Instant::now();
    loop {
        let orders = place.done(&["query", "{ orders { nodes { id } } }", "--json", "--url", &server.url]);
        if orders.contains(r#""nodes":[{"id":"0"},{"id":"1"},{"id":"2"},{"id":"3"}]"#) {
            break;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{orders}");
    }
    for list in [&["list", "--all", "--json"][..], &["list"], &["list", "--state", "retried"], &["show", "2"]] {
        assert_eq!(done(list), place.done(&[&["dead-letters"][..], list].concat()), "{list:?}");
    }
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn configuration_says_where_each_value_came_from() {
    let place = Place::new();
    place.write("deltafold.toml", "[aggregates.orders]\nkey = [\"id\"]\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_deltafold"));
    let command = command.current_dir(place.path()).env("DELTAFOLD_HTTP__LISTEN", "127.0.0.1:9000");
    let shown = String::from_utf8(command.args(["config", "show"]).output().unwrap().stdout).unwrap();
    let others: Vec<&str> = shown.lines().filter(|line| !line.starts_with("http.limits.")).collect();
    assert_eq!(
        others,
        [
            "aggregates.name = \"{table}\"               # default",
            "aggregates.orders.key = [\"id\"]            # deltafold.toml",
            "http.introspection = true                 # default",
            "http.listen = \"127.0.0.1:9000\"            # DELTAFOLD_HTTP__LISTEN",
            "projections.dir = \"projections\"           # default",
        ]
    );
    assert!(shown.contains("http.limits.timeout_ms = 30000            # default\n"), "{shown}");
}

#[test]
fn the_configuration_of_the_compose_file_is_right() {
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/stack/deltafold/deltafold.toml");
    // Its tokens are made in a container, so that only its keys and values are looked at.
    assert!(Place::new().done(&["--config", config, "config", "show"]).contains("sources.warehouse.topics"));
}
