//! One row by its key, now and then.

use deltafold_event::Operation;
use serde_json::json;

use crate::shop::{Shop, order};

#[tokio::test]
async fn values_have_the_forms_of_their_scalars() {
    let shop = Shop::with_orders().await;
    let columns = "id customerId status total placedAt shippedOn notes tags weight gift";
    let query = format!(
        "{{ one: ordersByKey(id: 1) {{ {columns} }} two: ordersByKey(id: 2) {{ tags }} ten: ordersByKey(id: 10) {{ shippedOn gru00f6u00dfe }} }}"
    );
    assert_eq!(
        shop.data(&query).await,
        json!({
            "one": {
                "id": 1, "customerId": "7", "status": "paid", "total": "12.50",
                "placedAt": "2026-11-21T14:00:00.500000Z", "shippedOn": null, "notes": null, "tags": null,
                "weight": "NaN", "gift": null
            },
            "two": { "tags": ["a", null] },
            "ten": { "shippedOn": "2026-11-22", "gru00f6u00dfe": "XL" }
        })
    );
}

#[tokio::test]
async fn rows_are_read_as_of_a_time() {
    let shop = Shop::with_orders().await;
    let at = |time: &str| format!("ordersByKey(id: 3, asOf: {{time: \"2026-11-21T{time}\"}}) {{ status notes }}");
    let query = format!(
        "{{ before: {} at: {} offset: {} deleted: {} }}",
        at("11:59:59Z"),
        at("12:00:00Z"),
        at("13:30:00+01:30"),
        at("15:00:00Z")
    );
    let row = r#"{"status":"new","notes":{"a":1.50}}"#;
    assert_eq!(
        shop.data(&query).await.to_string(),
        format!("{{\"before\":null,\"at\":{row},\"offset\":{row},\"deleted\":null}}")
    );
}

/// At 12:30 order 2 was paid; that was known only from the third commit on.
#[tokio::test]
async fn both_times_are_told_apart() {
    let shop = Shop::with_orders().await;
    let all = shop.data("{ events(where: {aggregateId: {_eq: \"2\"}}) { nodes { position } } }").await;
    let late: i64 = all["events"]["nodes"][1]["position"].as_str().unwrap().parse().unwrap();
    let status = |as_of: String| {
        let shop = &shop;
        async move {
            let query = format!("{{ ordersByKey(id: 2, asOf: {{{as_of}}}) {{ status _version {{ recordedTo }} }} }}");
            shop.data(&query).await["ordersByKey"]["status"].clone()
        }
    };
    let noon = "time: \"2026-11-21T12:45:00Z\"";
    assert_eq!(status(noon.to_owned()).await, "paid");
    assert_eq!(status(format!("{noon}, position: \"{}\"", late - 1)).await, "new");
    assert_eq!(status(format!("{noon}, position: {late}")).await, "paid");
    assert_eq!(status(format!("position: {}", late - 1)).await, "new");
    assert_eq!(status("time: \"2026-11-21T12:00:00Z\"".to_owned()).await, "new");
}

#[tokio::test]
async fn what_was_known_at_a_time_is_known_by_when_it_was_recorded() {
    let shop = Shop::with_orders().await;
    let all = shop.data("{ events { nodes { id recordedAt } } }").await;
    let recorded = |index: usize| all["events"]["nodes"][index]["recordedAt"].as_str().unwrap().to_owned();
    let status = |recorded_at: String| {
        let shop = &shop;
        async move {
            let query = format!("{{ ordersByKey(id: 1, asOf: {{recordedAt: \"{recorded_at}\"}}) {{ status }} }}");
            shop.data(&query).await["ordersByKey"].clone()
        }
    };
    assert_eq!(status(recorded(0)).await, json!({ "status": "new" }));
    assert_eq!(status(recorded(4)).await, json!({ "status": "paid" }));
    assert_eq!(status("2026-01-01T00:00:00Z".to_owned()).await, json!(null));
    assert_eq!(status("2999-01-01T00:00:00Z".to_owned()).await, json!({ "status": "paid" }));
}

#[tokio::test]
async fn versions_say_since_when_they_are_so() {
    let shop = Shop::with_orders().await;
    let version = "_version { validFrom validTo recordedTo incomplete event { id eventType } }";
    let data = shop
        .data(&format!(
            "{{ now: ordersByKey(id: 1) {{ {version} }}
               then: ordersByKey(id: 1, asOf: {{time: \"2026-11-21T13:59:59.999999Z\"}}) {{ {version} }} }}"
        ))
        .await;
    let now = &data["now"]["_version"];
    assert_eq!(now["validFrom"], "2026-11-21T14:00:00.000000Z");
    assert_eq!((&now["validTo"], &now["recordedTo"], &now["incomplete"]), (&json!(null), &json!(null), &json!(false)));
    assert_eq!(now["event"]["eventType"], "updated");
    let then = &data["then"]["_version"];
    assert_eq!(then["validFrom"], "2026-11-21T10:00:00.000000Z");
    assert_eq!(then["validTo"], "2026-11-21T14:00:00.000000Z");
    assert_eq!(then["event"], json!({ "id": crate::shop::event_id(10).to_string(), "eventType": "created" }));
}

#[tokio::test]
async fn responses_say_where_they_stand() {
    let shop = Shop::with_orders().await;
    let now = shop.ask("{ ordersByKey(id: 1) { id } }").await;
    let said = &now["extensions"]["deltafold"];
    assert_eq!((&said["lagMs"], said.get("historyStart")), (&json!(0), None));
    let position: i64 = said["position"].as_str().unwrap().parse().unwrap();
    let past = shop.ask("{ ordersByKey(id: 1, asOf: {time: \"2020-01-01T00:00:00Z\"}) { id } }").await;
    assert_eq!(past["data"]["ordersByKey"], json!(null));
    assert_eq!(past["extensions"]["deltafold"]["historyStart"], json!({ "orders": "2026-11-21T10:00:00.000000Z" }));

    let pinned = format!("{{ ordersByKey(id: 4, asOf: {{position: {position}}}) {{ id }} }}");
    shop.append(vec![order(Operation::Create, 99, 4, "16:00:00", &json!({}))]).await;
    assert_eq!(shop.data(&pinned).await["ordersByKey"], json!(null));
    assert_eq!(shop.data("{ ordersByKey(id: 4) { id } }").await["ordersByKey"], json!({ "id": 4 }));
}

#[tokio::test]
async fn a_write_is_read_after_its_position() {
    let shop = Shop::with_orders().await;
    let reached = shop.ask("{ store { position } }").await["extensions"]["deltafold"]["position"].clone();
    let ask = |position: serde_json::Value| {
        let request = json!({
            "query": "{ ordersByKey(id: 11) { id } }",
            "extensions": { "deltafold": { "minPosition": position } }
        });
        let api = shop.api.clone();
        async move { api.execute(request).await }
    };
    assert_eq!(ask(reached.clone()).await["data"]["ordersByKey"], json!(null));
    let next = reached.as_str().unwrap().parse::<i64>().unwrap() + 1;
    let (response, _) = tokio::join!(
        ask(json!(next.to_string())),
        shop.append(vec![order(Operation::Create, 100, 11, "17:00:00", &json!({}))])
    );
    assert_eq!(response["data"]["ordersByKey"], json!({ "id": 11 }));
}

#[tokio::test]
async fn columns_appear_while_it_runs() {
    let shop = Shop::with_orders().await;
    assert!(shop.errors("{ ordersByKey(id: 1) { coupon } }").await.starts_with("GRAPHQL_VALIDATION_FAILED"));
    shop.append(vec![order(Operation::Update, 200, 1, "18:00:00", &json!({"coupon": "X", "status": "paid"}))]).await;
    let now = shop.data("{ ordersByKey(id: 1) { coupon } }").await;
    assert_eq!(now["ordersByKey"], json!({ "coupon": "X" }));
}

/// Order 3 was deleted by the newest transaction: just before it, it is there.
#[tokio::test]
async fn consistent_is_before_the_newest_transaction() {
    let shop = Shop::with_orders().await;
    let response = shop.ask("{ ordersByKey(id: 3, asOf: {consistent: true}) { id } }").await;
    assert_eq!(response["data"]["ordersByKey"], json!({ "id": 3 }));
    assert_eq!(
        response["extensions"]["deltafold"]["consistent"],
        json!({ "at": "2026-11-21T14:59:59.999999Z", "estimated": true })
    );
}
