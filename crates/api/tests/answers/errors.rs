//! What is said of wrong requests.

use std::fmt::Write as _;

use serde_json::json;

use crate::shop::{Shop, shown};

#[tokio::test]
async fn errors_name_the_field_what_was_expected_and_the_nearest_name() {
    let shop = Shop::with_orders().await;
    let mut told = String::new();
    for query in [
        "{ orders { nodes { staus } } }",
        "{ order { nodes { id } } }",
        "{ orders(wher: {}) { nodes { id } } }",
        "{ orders(where: {staus: {_eq: \"new\"}}) { nodes { id } } }",
        "{ orders(where: {status: {_equal: \"new\"}}) { nodes { id } } }",
        "{ orders(where: {total: {_gte: true}}) { nodes { id } } }",
        "{ orders(where: {total: {_eq: null}}) { nodes { id } } }",
        "{ orders(where: {placedAt: {_gt: \"yesterday\"}}) { nodes { id } } }",
        "{ orders(where: {_or: [{id: {_in: [1, \"x\"]}}]}) { nodes { id } } }",
        "{ orders(orderBy: {total: DESCENDING}) { nodes { id } } }",
        "{ orders(orderBy: {notes: ASC}) { nodes { id } } }",
        "{ orders(first: 1, last: 1) { nodes { id } } }",
        "{ orders(first: -1) { nodes { id } } }",
        "{ orders(first: 5000) { nodes { id } } }",
        "{ orders(after: \"abc\") { nodes { id } } }",
        "{ ordersByKey { id } }",
        "{ ordersByKey(id: \"one\") { id } }",
        "{ ordersByKey(id: 1, asOf: {time: \"2026-11-21\"}) { id } }",
        "{ ordersByKey(id: 1, asOf: {time: \"2026-11-21T10:00:00\"}) { id } }",
        "{ ordersByKey(id: 1, asOf: {position: 9223372036854775807}) { id } }",
        "{ ordersByKey(id: 1, asOf: {position: 1, recordedAt: \"2026-11-21T10:00:00Z\"}) { id } }",
        "{ aggregate(type: \"order\", id: 1) { state } }",
        "{ event(id: \"7\") { id } }",
        "{ ordersByKey(id: 1) { id }",
        "query ($n: Int!) { orders(first: $n) { nodes { id } } }",
        "mutation { x }",
    ] {
        let response = shop.ask(query).await;
        writeln!(told, "{query}\n    {}", shown(&response).replace('\n', "\n    ")).unwrap();
    }
    let told = regex_free_positions(&told);
    insta::assert_snapshot!(told);
}

/// Positions of this run, which differ from machine to machine only by how many commits the store made itself.
fn regex_free_positions(told: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for letter in told.chars().chain(['\n']) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        out.push_str(if (8..19).contains(&digits.len()) { "N" } else { &digits });
        digits.clear();
        out.push(letter);
    }
    out
}

#[tokio::test]
async fn variables_are_checked_like_literals() {
    let shop = Shop::with_orders().await;
    let query = "query ($where: OrdersFilter!, $id: Int!) { orders(where: $where) { nodes { id } } ordersByKey(id: $id) { id } }";
    for (variables, expected) in [
        (json!({ "id": 1 }), "BAD_INPUT: $where: expected an object OrdersFilter, found nothing"),
        (
            json!({ "id": 1, "where": { "totl": {} } }),
            "BAD_INPUT: $where: expected a field of OrdersFilter, found \"totl\"; did you mean \"total\"?",
        ),
        (json!({ "id": "1", "where": {} }), "BAD_INPUT: $id: expected an Int: a whole number of 32 bits, found \"1\""),
        (
            json!({ "id": 3_000_000_000_u64, "where": {} }),
            "BAD_INPUT: $id: expected an Int: a whole number of 32 bits, found 3000000000",
        ),
    ] {
        assert_eq!(shown(&shop.ask_with(query, variables).await), expected);
    }
    // The document was seen before, and valid: it is checked all the same.
    let response = shop.ask_with(query, json!({ "id": 1, "where": {} })).await;
    assert_eq!(response.get("errors"), None);
    let response = shop.ask_with(query, json!({ "id": 1, "where": { "id": { "_eq": "x" } } })).await;
    assert_eq!(shown(&response), "BAD_INPUT: $where.id._eq: expected an Int: a whole number of 32 bits, found \"x\"");
}

#[tokio::test]
async fn positions_that_never_come_are_waited_for_with_a_limit() {
    let limits = deltafold_api::Limits {
        min_position_wait: std::time::Duration::from_millis(50),
        ..deltafold_api::Limits::default()
    };
    let shop = Shop::open(limits).await;
    let request =
        json!({ "query": "{ store { events } }", "extensions": { "deltafold": { "minPosition": "99999999999999" } } });
    let told = shown(&shop.api.execute(request).await);
    assert!(
        told.starts_with(
            "POSITION_NOT_REACHED: extensions.deltafold.minPosition: 99999999999999 was not reached within 50 ms"
        ),
        "{told}"
    );
}

#[tokio::test]
async fn a_value_that_fits_no_more_is_an_error_of_its_field() {
    let shop = Shop::with_orders().await;
    let odd = crate::shop::order(
        deltafold_event::Operation::Update,
        700,
        1,
        "20:00:00",
        &json!({"total": "a lot", "status": "odd"}),
    );
    shop.append(vec![odd]).await;
    let response = shop.ask("{ ordersByKey(id: 1) { total status } }").await;
    assert_eq!(response["data"]["ordersByKey"], json!({ "total": null, "status": "odd" }));
    assert_eq!(response["errors"][0]["path"], json!(["ordersByKey", "total"]));
    assert!(shown(&response).starts_with("VALUE_DOES_NOT_FIT: column \"total\" holds \"a lot\""), "{response}");
}
