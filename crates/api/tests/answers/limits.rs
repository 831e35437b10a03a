//! Limits that only a running API shows.

use std::time::Duration;

use deltafold_api::Limits;
use deltafold_event::Operation;
use serde_json::json;

use crate::shop::{Shop, order, shown};

#[tokio::test]
async fn each_limit_is_named() {
    let limits = Limits { filter_depth: 2, filter_size: 3, cost: 300, depth: 8, tokens: 60, ..Limits::default() };
    let shop = Shop::open(limits).await;
    let placed = order(Operation::Create, 1, 1, "10:00:00", &json!({"status": "new"}));
    shop.append(vec![placed]).await;
    for (query, limit) in [
        ("{ orders(where: {_not: {_not: {id: {_eq: 1}}}}) { totalCount } }", "filter_depth"),
        ("{ orders(where: {id: {_in: [1, 2, 3, 4]}}) { totalCount } }", "filter_size"),
        ("{ orders(first: 200) { nodes { id status } } }", "cost"),
        ("{ orders { nodes { _history { nodes { event { id } } } } } }", "cost"),
        (
            "{ a: store { events } b: store { events } c: store { events } d: store { events } e: store { events } f: store { events } g: store { events } h: store { events } i: store { events } j: store { events } k: store { events } }",
            "tokens",
        ),
    ] {
        let told = shop.errors(query).await;
        assert!(told.starts_with(&format!("LIMIT_EXCEEDED: limit \"{limit}\"")), "{query}: {told}");
    }
    let page = "query ($n: Int) { orders(first: $n) { nodes { id status } } }";
    let told = shown(&shop.ask_with(page, json!({ "n": 1000 })).await);
    assert!(told.starts_with("LIMIT_EXCEEDED: limit \"cost\""), "{told}");
}

#[tokio::test]
async fn scans_of_the_past_wait_for_a_place_and_not_for_ever() {
    let shop = Shop::open(Limits { past_scans: 0, ..Limits::default() }).await;
    shop.append(vec![order(Operation::Create, 1, 1, "10:00:00", &json!({"status": "new"}))]).await;
    let at = "asOf: {time: \"2026-11-21T14:00:00Z\"}";
    for query in [
        format!("{{ orders({at}) {{ nodes {{ id }} }} }}"),
        format!("{{ orders({at}) {{ totalCount }} }}"),
        format!("{{ ordersAggregate({at}) {{ count }} }}"),
        "{ ordersDiff(from: {time: \"2026-11-21T14:00:00Z\"}) { nodes { after { id } } } }".to_owned(),
    ] {
        let told = shop.errors(&query).await;
        assert!(told.starts_with("LIMIT_EXCEEDED: limit \"past_scans\" is 0"), "{query}: {told}");
    }
    // A key is a seek, and what is so now is one scan.
    shop.data(&format!("{{ ordersByKey(id: 1, {at}) {{ id }} orders {{ nodes {{ id }} totalCount }} }}")).await;
}

#[tokio::test]
async fn requests_that_take_too_long_end() {
    let limits = Limits {
        timeout: Duration::from_millis(20),
        min_position_wait: Duration::from_secs(3_600),
        ..Limits::default()
    };
    let shop = Shop::open(limits).await;
    let request = json!({
        "query": "{ store { events } }",
        "extensions": { "deltafold": { "minPosition": "99999999999999" } }
    });
    let told = shown(&shop.api.execute(request).await);
    assert!(told.starts_with("TIMEOUT: limit \"timeout_ms\" is 20"), "{told}");
}
