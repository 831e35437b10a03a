//! `_history`, `aggregate` and differences.

use serde_json::json;

use crate::shop::Shop;

#[tokio::test]
async fn an_aggregate_tells_what_each_event_changed() {
    let shop = Shop::with_orders().await;
    let data = shop
        .data(
            "{ aggregate(type: \"orders\", id: \"2\") { type id revision state
                 history { nodes { revision eventType operation validFrom diff { field column before after } } } } }",
        )
        .await;
    let aggregate = &data["aggregate"];
    assert_eq!((&aggregate["revision"], &aggregate["state"]["status"]), (&json!(2), &json!("paid")));
    let nodes = aggregate["history"]["nodes"].as_array().unwrap();
    let first: Vec<&str> =
        nodes[0]["diff"].as_array().unwrap().iter().map(|change| change["field"].as_str().unwrap()).collect();
    assert_eq!(first, ["id", "customerId", "status", "total", "placedAt", "tags"]);
    assert_eq!(nodes[1]["revision"], 2);
    assert_eq!(nodes[1]["diff"][0], json!({ "field": "status", "column": "status", "before": "new", "after": "paid" }));
}

#[tokio::test]
async fn deleted_rows_have_histories() {
    let shop = Shop::with_orders().await;
    let data = shop
        .data("{ aggregate(type: \"orders\", id: \"3\") { state history { nodes { eventType state event { before } } } } }")
        .await;
    assert_eq!(data["aggregate"]["state"], json!(null));
    let nodes = &data["aggregate"]["history"]["nodes"];
    assert_eq!((&nodes[0]["state"]["notes"]["a"].to_string(), &nodes[1]["state"]), (&"1.50".to_owned(), &json!(null)));
    assert_eq!(nodes[1]["event"]["before"], json!({ "id": 3 }));
    assert_eq!(shop.data("{ aggregate(type: \"orders\", id: \"77\") { state } }").await, json!({ "aggregate": null }));
}

/// The late event is not yet in what was known before it, nor is the revision it got.
#[tokio::test]
async fn histories_are_as_of_their_moment() {
    let shop = Shop::with_orders().await;
    let late =
        shop.data("{ aggregate(type: \"orders\", id: \"2\") { history(last: 1) { nodes { position } } } }").await;
    let late: i64 = late["aggregate"]["history"]["nodes"][0]["position"].as_str().unwrap().parse().unwrap();
    let count = |as_of: String| {
        let shop = &shop;
        async move {
            let query = format!(
                "{{ aggregate(type: \"orders\", id: \"2\", asOf: {{{as_of}}}) {{ revision history {{ nodes {{ eventType }} }} }} }}"
            );
            let data = shop.data(&query).await;
            let aggregate = &data["aggregate"];
            (aggregate["revision"].clone(), aggregate["history"]["nodes"].as_array().map(Vec::len))
        }
    };
    assert_eq!(count(format!("position: {late}")).await, (json!(2), Some(2)));
    assert_eq!(count(format!("position: {}", late - 1)).await, (json!(1), Some(1)));
    assert_eq!(count("time: \"2026-11-21T12:29:59Z\"".into()).await, (json!(1), Some(1)));
    assert_eq!(count("time: \"2026-11-21T10:00:00Z\"".into()).await, (json!(null), None));
}

#[tokio::test]
async fn histories_have_pages() {
    let shop = Shop::with_orders().await;
    let page = |arguments: String| {
        let shop = &shop;
        async move {
            let query = format!(
                "{{ ordersByKey(id: 1) {{ _history({arguments}) {{ edges {{ cursor node {{ eventType diff {{ field before }} }} }}
                   pageInfo {{ hasNextPage hasPreviousPage }} }} }} }}"
            );
            shop.data(&query).await["ordersByKey"]["_history"].clone()
        }
    };
    let first = page("first: 1".into()).await;
    assert_eq!(first["edges"][0]["node"]["eventType"], "created");
    assert_eq!(first["pageInfo"], json!({ "hasNextPage": true, "hasPreviousPage": false }));
    let cursor = first["edges"][0]["cursor"].as_str().unwrap();
    let next = page(format!("first: 1, after: \"{cursor}\"")).await;
    assert_eq!(next["edges"][0]["node"]["eventType"], "updated");
    assert_eq!(next["edges"][0]["node"]["diff"][0], json!({ "field": "status", "before": "new" }));
    assert_eq!(next["pageInfo"], json!({ "hasNextPage": false, "hasPreviousPage": true }));
    let last = page("last: 1".into()).await;
    assert_eq!(last["edges"][0]["node"], next["edges"][0]["node"]);
    assert_eq!(last["pageInfo"], json!({ "hasNextPage": false, "hasPreviousPage": true }));
    let cursor = last["edges"][0]["cursor"].as_str().unwrap();
    let before = page(format!("last: 5, before: \"{cursor}\"")).await;
    assert_eq!(before["edges"].as_array().unwrap().len(), 1);
    assert_eq!(before["pageInfo"], json!({ "hasNextPage": true, "hasPreviousPage": false }));
}

#[tokio::test]
async fn two_moments_differ() {
    let shop = Shop::with_orders().await;
    let diff = |id: i32, from: &str, to: &str| {
        let query = format!(
            "{{ aggregate(type: \"orders\", id: {id}) {{ diff(from: {{time: \"2026-11-21T{from}Z\"}}, to: {{time: \"2026-11-21T{to}Z\"}})
               {{ field before after }} }} }}"
        );
        let shop = &shop;
        async move { shop.data(&query).await["aggregate"]["diff"].clone() }
    };
    let paid = diff(1, "10:00:00", "14:00:00").await;
    let status = json!({ "field": "status", "before": "new", "after": "paid" });
    let weight = json!({ "field": "weight", "before": 1.5, "after": "NaN" });
    assert!(paid.as_array().unwrap().contains(&status) && paid.as_array().unwrap().contains(&weight), "{paid}");
    assert_eq!(diff(1, "10:00:00", "13:59:59").await, json!([]));
    assert_eq!(diff(3, "12:00:00", "15:00:00").await.as_array().unwrap().len(), 5);
}
