//! The audit log.

use deltafold_event::Operation;
use serde_json::{Value, json};

use crate::shop::{Shop, event_id, order};

async fn list(shop: &Shop, arguments: &str) -> Value {
    let query = format!(
        "{{ events({arguments}) {{ nodes {{ aggregateId eventType }} pageInfo {{ hasNextPage hasPreviousPage endCursor }} }} }}"
    );
    shop.data(&query).await["events"].clone()
}

fn told(page: &Value) -> Vec<String> {
    let told =
        |node: &Value| format!("{} {}", node["aggregateId"].as_str().unwrap(), node["eventType"].as_str().unwrap());
    page["nodes"].as_array().unwrap().iter().map(told).collect()
}

#[tokio::test]
async fn events_come_once_at_their_first_delivery() {
    let shop = Shop::with_orders().await;
    shop.append(vec![
        order(Operation::Create, 10, 1, "10:00:00", &json!({"status": "new", "total": "12.50", "weight": 1.5})),
        order(Operation::Delete, 60, 3, "15:00:00", &json!({})),
    ])
    .await;
    let all = list(&shop, "first: 100").await;
    assert_eq!(
        told(&all),
        ["1 created", "2 created", "3 created", "10 created", "1 updated", "3 deleted", "2 updated"]
    );
    let newest = list(&shop, "last: 2").await;
    assert_eq!(told(&newest), ["3 deleted", "2 updated"]);
    assert_eq!(newest["pageInfo"]["hasPreviousPage"], true);
}

#[tokio::test]
async fn events_are_filtered() {
    let shop = Shop::with_orders().await;
    for (filter, expected) in [
        ("{aggregateId: {_eq: \"1\"}}", vec!["1 created", "1 updated"]),
        ("{eventType: {_eq: \"deleted\"}}", vec!["3 deleted"]),
        (
            "{occurredAt: {_gte: \"2026-11-21T13:00:00Z\", _lt: \"2026-11-21T15:00:00Z\"}}",
            vec!["10 created", "1 updated"],
        ),
        ("{occurredAt: {_gt: \"2026-11-21T14:00:00Z\"}}", vec!["3 deleted"]),
        ("{aggregateType: {_eq: \"customers\"}}", vec![]),
        ("{transactionId: {_eq: \"50\"}}", vec!["1 updated"]),
        ("{transactionId: {_eq: \"50\"}, aggregateId: {_eq: \"2\"}}", vec![]),
        (&format!("{{id: {{_eq: \"{}\"}}}}", event_id(40)), vec!["10 created"]),
    ] {
        assert_eq!(told(&list(&shop, &format!("where: {filter}")).await), expected, "{filter}");
    }
    assert_eq!(
        shop.errors("{ events(where: {id: {_eq: \"7\"}}) { nodes { id } } }").await,
        "BAD_INPUT: events.where.id._eq: expected an event id: a UUID, found \"7\""
    );
    let control =
        shop.data("{ events(where: {aggregateType: {_eq: \"$schema\"}}) { nodes { eventType after } } }").await;
    assert_eq!(control["events"]["nodes"][0]["eventType"], "seen");
    assert_eq!(control["events"]["nodes"][0]["after"]["key"], json!(["id"]));
}

#[tokio::test]
async fn pages_of_events_end_where_they_began() {
    let shop = Shop::with_orders().await;
    let first = list(&shop, "first: 5").await;
    assert_eq!(told(&first).len(), 5);
    shop.append(vec![order(Operation::Create, 500, 50, "20:00:00", &json!({}))]).await;
    let cursor = first["pageInfo"]["endCursor"].as_str().unwrap();
    let next = list(&shop, &format!("first: 5, after: \"{cursor}\"")).await;
    assert_eq!(told(&next), ["3 deleted", "2 updated"]);
    assert_eq!(next["pageInfo"]["hasNextPage"], false);
}

#[tokio::test]
async fn one_event_is_found_by_its_id() {
    let shop = Shop::with_orders().await;
    let query = format!(
        "{{ event(id: \"{}\") {{ aggregateType operation occurredAt transactionId source topic partition offset after metadata payload }} }}",
        event_id(20)
    );
    let mut event = shop.data(&query).await["event"].take();
    assert_eq!(event["after"].take()["tags"], json!(["a", null]));
    assert_eq!(
        event,
        json!({
            "aggregateType": "orders", "operation": "c", "occurredAt": "2026-11-21T11:00:00.000000Z",
            "transactionId": "20", "source": "shop", "topic": "shop.public.orders", "partition": 0, "offset": "20",
            "after": null, "metadata": { "source": { "lsn": 20 } }, "payload": null
        })
    );
    let unknown = shop.data(&format!("{{ event(id: \"{}\") {{ id }} }}", event_id(21))).await;
    assert_eq!(unknown, json!({ "event": null }));
}
