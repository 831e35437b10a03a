//! Appending domain events.

use serde_json::{Value, json};

use crate::shop::{Shop, shown};

/// A request to append to a cart.
fn append(cart: &str, expected: &Value, events: &Value) -> Value {
    json!({
        "query": "mutation ($cart: ID!, $expected: ExpectedRevision, $events: [NewEvent!]!) {
            appendEvents(aggregate: {type: \"carts\", id: $cart}, expectedRevision: $expected, events: $events) {
                position revision ids wereThere
            }
        }",
        "variables": { "cart": cart, "expected": expected, "events": events },
    })
}

fn added(id: &str, item: &str) -> Value {
    json!({ "id": id, "type": "item_added", "payload": { "item": item }, "metadata": { "trace": 7 } })
}

/// What was appended; the views hold it then.
async fn appended(shop: &Shop, request: Value) -> Value {
    let mut response = shop.api.execute(request).await;
    assert_eq!(response.get("errors"), None, "{response}");
    let appended = response["data"]["appendEvents"].take();
    let position: deltafold_event::Position = appended["position"].as_str().unwrap().parse().unwrap();
    shop.projector.wait_for(position.next()).await.unwrap();
    appended
}

#[tokio::test]
async fn events_are_appended_and_seen() {
    let shop = Shop::with_orders().await;
    let first =
        appended(&shop, append("7", &json!({"none": true}), &json!([added("a", "tea"), added("b", "cup")]))).await;
    assert_eq!((&first["revision"], &first["wereThere"]), (&json!(2), &json!(false)));
    let second = appended(&shop, append("7", &json!({"exact": 2}), &json!(added("c", "pot")))).await;
    assert_eq!(second["revision"], 3);

    let data = shop
        .data(
            "{ aggregate(type: \"carts\", id: \"7\") { revision state history { nodes { id revision eventType
                event { payload metadata } } } } }",
        )
        .await;
    let cart = &data["aggregate"];
    assert_eq!((&cart["revision"], &cart["state"]), (&json!(3), &Value::Null));
    let last = &cart["history"]["nodes"][2];
    assert_eq!((&last["id"], &last["revision"]), (&second["ids"][0], &json!(3)));
    assert_eq!(last["event"]["payload"], json!({"item": "pot"}));
    assert_eq!(last["event"]["metadata"], json!({"id": "c", "by": "local", "metadata": {"trace": 7}}));

    // Once more, after an answer that was lost: also where the views know of the first time.
    let again =
        appended(&shop, append("7", &json!({"none": true}), &json!([added("a", "tea"), added("b", "cup")]))).await;
    assert_eq!((&again["position"], &again["revision"]), (&first["position"], &json!(3)));
    assert_eq!((&again["ids"], &again["wereThere"]), (&first["ids"], &json!(true)));
}

#[tokio::test]
async fn a_loser_is_told_the_revision_there_is() {
    let shop = Shop::with_orders().await;
    appended(&shop, append("7", &json!({"none": true}), &json!([added("a", "tea"), added("b", "cup")]))).await;
    for (expected, told) in [
        (json!({"none": true}), "CONFLICT: carts 7 is at revision 2, and none was expected"),
        (json!({"exact": 1}), "CONFLICT: carts 7 is at revision 2, and 1 was expected"),
    ] {
        let refused = shop.api.execute(append("7", &expected, &json!([added("c", "pot")]))).await;
        assert_eq!(shown(&refused), told);
        assert_eq!(refused["errors"][0]["extensions"]["revision"], 2);
        assert_eq!(refused["errors"][0]["path"], json!(["appendEvents"]));
    }
    let refused = shop.api.execute(append("8", &json!({"exists": true}), &json!([added("c", "pot")]))).await;
    assert_eq!(refused["errors"][0]["extensions"]["revision"], 0);
}

#[tokio::test]
async fn what_cannot_be_appended_is_told_where() {
    let shop = Shop::with_orders().await;
    let events = json!([added("a", "tea")]);
    for (request, told) in [
        (
            append("7", &json!({"none": true, "exact": 1}), &events),
            "BAD_INPUT: appendEvents.expectedRevision: expected one of any: true, none: true, exists: true and exact: N, \
             found 2 of them",
        ),
        (
            append("7", &json!({"exact": -1}), &events),
            "BAD_INPUT: appendEvents.expectedRevision.exact: expected a number that is not negative, found -1",
        ),
        (
            append("7", &Value::Null, &json!([])),
            "BAD_INPUT: appendEvents.events: expected an event at least, found none",
        ),
        (
            append("7", &Value::Null, &json!([added("a", "tea"), added("a", "cup")])),
            "BAD_INPUT: appendEvents.events[1].id: expected an id that no other of the events has, found \"a\"",
        ),
        (
            append("7", &Value::Null, &json!([{"type": "", "payload": 1}])),
            "BAD_INPUT: appendEvents.events[0].type: expected a name of at most 255 bytes, found \"\"",
        ),
        (append("", &Value::Null, &events), "BAD_INPUT: appendEvents.aggregate.id: expected 1 to 16384 bytes, found 0"),
    ] {
        assert_eq!(shown(&shop.api.execute(request).await), told);
    }
    let own = "mutation { appendEvents(aggregate: {type: \"$projection\", id: \"a\"}, events: [{type: \"a\", payload: 1}]) { revision } }";
    assert_eq!(
        shop.errors(own).await,
        "BAD_INPUT: appendEvents.aggregate.type: expected a name of at most 255 bytes that does not begin with $, found \
         \"$projection\""
    );
}
