//! A change with very many matches is folded in pieces: whoever reads the view sees one moment throughout, others go on,
//! and a kill in the middle loses nothing.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    fs::{self, File},
    io::BufWriter,
};

use deltafold_tests::{live::wait_until, process::Deltafold};
use serde_json::{Value, json};
use xtask::{
    generator::{Payments, held_by},
    server::Server,
};

const DETAILS: &str = "CREATE MATERIALIZED VIEW payment_details WITH (key = 'id') AS
    SELECT p.id, a.holder, p.state FROM payments AS p JOIN accounts AS a ON a.id = p.account_id";

/// What loses a row for every match.
const OTHERS: &str = "CREATE MATERIALIZED VIEW held_by_others WITH (key = 'id') AS
    SELECT p.id, a.holder FROM payments AS p JOIN accounts AS a ON a.id = p.account_id WHERE a.holder <> 'Somebody else'";

const MATCHES: u64 = 60_000;

/// Both ends of what belongs to the account, and itself, at one moment.
const TOGETHER: &str = "query($last: BigInt!) {
    first: paymentDetailsByKey(id: \"1\") { holder } last: paymentDetailsByKey(id: $last) { holder }
    account: accountsByKey(id: \"1\") { holder }
    others: projection(name: \"held_by_others\") { rows } }";

fn serve(deltafold: &Deltafold) -> Server {
    let server = Server::start(&mut deltafold.command(["serve", "--listen", "127.0.0.1:0"])).unwrap();
    server.wait_until_ready().unwrap();
    server
}

/// The holder that all parts of one response name, and how many payments are held by others.
fn together(server: &Server) -> [Value; 2] {
    let found = server.connect().unwrap().graphql(TOGETHER, &json!({ "last": MATCHES.to_string() })).unwrap();
    let [first, last, account] = ["first", "last", "account"].map(|name| found[name]["holder"].clone());
    assert!(!first.is_null() && first == last && first == account, "one moment is seen in parts: {found}");
    let others = found["others"]["rows"].clone();
    assert!([0, MATCHES].map(|rows| json!(rows.to_string())).contains(&others), "a part is counted: {found}");
    [first, others]
}

fn alone(server: &Server) -> Value {
    let found = server.connect().unwrap().graphql("{ accountsByKey(id: \"1\") { holder } }", &json!({})).unwrap();
    found["accountsByKey"]["holder"].clone()
}

#[test]
fn a_change_with_many_matches_is_seen_when_all_of_it_is_there_also_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    fs::create_dir(file("projections")).unwrap();
    fs::write(file("projections/payment_details.sql"), DETAILS).unwrap();
    fs::write(file("projections/held_by_others.sql"), OTHERS).unwrap();
    let payments = Payments { seed: 7, accounts: 10, of_first: MATCHES, most: 0, changes: 0 };
    payments.generate(&mut BufWriter::new(File::create(file("all.jsonl")).unwrap())).unwrap();
    fs::write(file("change.jsonl"), held_by(1, "Somebody else", 1_000_000)).unwrap();
    let deltafold = Deltafold::on(&file("data"));
    let ingest = |name: &str| drop(deltafold.succeed(["ingest", "--file", file(name).to_str().unwrap()]));
    ingest("all.jsonl");

    let server = serve(&deltafold);
    wait_until("the views are built", || {
        let counts = "{ paymentDetails(first: 1) { totalCount } heldByOthers(first: 1) { totalCount } }";
        let found = server.connect().unwrap().graphql(counts, &json!({}));
        let is_built = |found: &Value, list: &str| found[list]["totalCount"] == json!(MATCHES);
        match found {
            Ok(found) if ["paymentDetails", "heldByOthers"].iter().all(|list| is_built(&found, list)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let before = together(&server);
    ingest("change.jsonl");
    let after = [json!("Somebody else"), json!("0")];
    wait_until("the account itself has changed", || {
        if alone(&server) == after[0] { Ok(()) } else { Err("it has not".to_owned()) }
    });
    assert_eq!(together(&server), before, "what follows from it takes longer");
    // With SIGKILL.
    drop(server);

    let server = serve(&deltafold);
    wait_until("all of it is there", || match together(&server) {
        found if found == after => Ok(()),
        found => Err(format!("it is still {found:?}")),
    });
    let found = server.connect().unwrap().graphql(
        "{ old: paymentDetails(where: {holder: {_neq: \"Somebody else\"}}) { totalCount }
           new: paymentDetails(where: {holder: {_eq: \"Somebody else\"}}) { totalCount } }",
        &json!({}),
    );
    let found = found.unwrap();
    assert_eq!(found["new"]["totalCount"], json!(MATCHES), "{found}");
    assert_eq!(found["old"]["totalCount"], json!(0), "{found}");
}
