//! Derived views: what a definition makes of the rows of aggregate types.

use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Operation, Timestamp};
use deltafold_projector::{Ordered, Said};
use serde_json::{Value, json};

use crate::shop::{Shop, order};

const BY_STATUS: &str = "-- How many orders are in which state?
    CREATE MATERIALIZED VIEW by_status WITH (key = 'status') AS
    SELECT status, count(*) AS orders, sum(total) AS worth FROM orders GROUP BY status";

/// The shop with its orders, and a definition.
async fn defined(name: &str, sql: &str) -> Shop {
    let shop = Shop::with_orders().await;
    define(&shop, name, sql).await;
    shop
}

async fn define(shop: &Shop, name: &str, sql: &str) {
    let said = Said { ordered: Ordered::Defined { sql: sql.to_owned() }, by: "test".to_owned(), reason: None };
    shop.append(vec![said.event(name, Timestamp::from_micros(0))]).await;
    shop.projector.built().await.unwrap();
}

#[tokio::test]
async fn a_view_answers_now_and_as_of_any_moment() {
    let shop = defined("by_status", BY_STATUS).await;
    let rows = async |arguments: &str| {
        let data = shop.data(&format!("{{ byStatus{arguments} {{ nodes {{ status orders worth }} }} }}")).await;
        data["byStatus"]["nodes"].clone()
    };
    let now = json!([
        { "status": "new", "orders": "1", "worth": "100.00" },
        { "status": "paid", "orders": "2", "worth": "16.50" },
    ]);
    assert_eq!(rows("").await, now);
    // Order 2 was paid then, as was found out later.
    let then = json!([
        { "status": "new", "orders": "2", "worth": "12.50" },
        { "status": "paid", "orders": "1", "worth": "4.00" },
    ]);
    assert_eq!(rows("(asOf: {time: \"2026-11-21T12:45:00Z\"})").await, then);
    assert_eq!(rows("(where: {worth: {_gt: \"20\"}})").await, json!([now[0]]));

    let document = "{ byStatusByKey(status: \"paid\", asOf: {time: \"2026-11-21T13:30:00Z\"}) { orders
        _version { validFrom validTo recordedFrom recordedTo incomplete event { id } }
        _history(last: 2) { nodes { validFrom state changes { field before after } } } } }";
    let row = shop.data(document).await["byStatusByKey"].take();
    let version = json!({
        "validFrom": "2026-11-21T12:30:00.000000Z", "validTo": "2026-11-21T14:00:00.000000Z",
        "recordedFrom": null, "recordedTo": null, "incomplete": false, "event": null,
    });
    assert_eq!((&row["orders"], &row["_version"]), (&json!("1"), &version));
    assert_eq!(row["_history"]["nodes"].as_array().unwrap().len(), 1, "what was valid then");
}

#[tokio::test]
async fn what_changes_later_is_folded_on() {
    let shop = defined("by_status", BY_STATUS).await;
    let before = shop.projector.catalog().checkpoint;
    shop.append(vec![order(Operation::Delete, 70, 10, "16:00:00", &json!({}))]).await;
    let data = shop.data("{ byStatusByKey(status: \"new\") { orders } }").await;
    assert_eq!(data["byStatusByKey"], Value::Null);
    let at = before.as_i64() - 1;
    let document = format!("{{ byStatusByKey(status: \"new\", asOf: {{position: \"{at}\"}}) {{ orders }} }}");
    assert_eq!(shop.data(&document).await["byStatusByKey"]["orders"], "1");
}

/// As of positions in the middle of commits, and from before there was the view: what the mirror says for them.
#[tokio::test]
async fn what_is_not_kept_is_computed_from_the_mirrors() {
    let shop = defined("by_status", BY_STATUS).await;
    let log = shop.data("{ events(first: 100) { nodes { position aggregateType } } }").await["events"]["nodes"].take();
    let of_orders = log.as_array().unwrap().iter().filter(|event| event["aggregateType"] == "orders");
    let positions: Vec<&str> = of_orders.map(|event| event["position"].as_str().unwrap()).collect();
    let (mut seen, mut with_two) = (BTreeSet::new(), None);
    for position in &positions {
        for time in ["", ", time: \"2026-11-21T12:45:00Z\""] {
            let as_of = format!("asOf: {{position: \"{position}\"{time}}}");
            let data = shop
                .data(&format!(
                    "{{ orders({as_of}, first: 100) {{ nodes {{ status }} }}
                        byStatus({as_of}) {{ totalCount nodes {{ status orders _version {{ validFrom }} }} }} }}"
                ))
                .await;
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            for row in data["orders"]["nodes"].as_array().unwrap() {
                *counts.entry(row["status"].as_str().unwrap().to_owned()).or_default() += 1;
            }
            let rows = data["byStatus"]["nodes"].as_array().unwrap();
            let found = rows.iter().map(|row| (row["status"].as_str().unwrap().to_owned(), row["orders"].clone()));
            let expected: BTreeMap<String, Value> =
                counts.iter().map(|(status, count)| (status.clone(), json!(count.to_string()))).collect();
            assert_eq!(found.collect::<BTreeMap<_, _>>(), expected, "{as_of}");
            assert_eq!(data["byStatus"]["totalCount"], json!(expected.len()), "{as_of}");
            if time.is_empty() && expected.len() == 2 {
                with_two.get_or_insert(*position);
            }
            seen.insert(expected.into_iter().map(|(status, count)| format!("{status} {count}")).collect::<Vec<_>>());
        }
    }
    assert!(positions.len() > 3 && seen.len() > 3, "{positions:?} {seen:?}");

    // Everything else that can be asked for, too: a page that goes on, versions, and both sides of a time.
    let early = with_two.expect("there are such");
    let page = async |after: Option<&str>| {
        let document = format!(
            "query ($after: String) {{ byStatus(first: 1, after: $after, asOf: {{position: \"{early}\"}}) {{
                nodes {{ status _history {{ nodes {{ validFrom }} }} }} pageInfo {{ endCursor hasNextPage }} }} }}"
        );
        let mut response = shop.ask_with(&document, json!({ "after": after })).await;
        assert_eq!(response.get("errors"), None);
        response["data"]["byStatus"].take()
    };
    let first = page(None).await;
    let second = page(first["pageInfo"]["endCursor"].as_str()).await;
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    assert!(first["nodes"][0]["status"].as_str() < second["nodes"][0]["status"].as_str(), "{first} {second}");
    let versions = |page: &Value| page["nodes"][0]["_history"]["nodes"].as_array().unwrap().len();
    assert!(versions(&first) > 0 && versions(&second) > 0, "{first} {second}");
    let by_key = format!("{{ byStatusByKey(status: \"new\", asOf: {{position: \"{early}\"}}) {{ status }} }}");
    assert_eq!(shop.data(&by_key).await["byStatusByKey"]["status"], "new");
}

/// Where the definition fails on what was believed, the error names the view, the position and the event.
#[tokio::test]
async fn what_cannot_be_computed_says_why() {
    let shop = Shop::with_orders().await;
    let zero = order(Operation::Create, 70, 11, "16:00:00", &json!({ "status": "new", "total": "0.00" }));
    let id = zero.id;
    let position = shop.append(vec![zero]).await;
    shop.append(vec![order(Operation::Delete, 80, 11, "16:00:00", &json!({}))]).await;
    let sql = "CREATE MATERIALIZED VIEW shares WITH (key = 'id') AS
         SELECT id, CAST(1000 / total AS DECIMAL(20, 2)) AS share FROM orders WHERE total IS NOT NULL";
    define(&shop, "shares", sql).await;
    assert_ne!(shop.data("{ shares { nodes { id } } }").await["shares"]["nodes"], json!([]));
    let error = shop.errors(&format!("{{ shares(asOf: {{position: \"{position}\"}}) {{ nodes {{ id }} }} }}")).await;
    assert_eq!(
        error,
        format!(
            "POSITION_NOT_KEPT: shares: what shares was believed to be at position {position} is not kept, and cannot be \
             computed from the mirrors: event {id} cannot be folded: division by zero; ask for a time instead"
        )
    );
}

/// Pages go on as of where the first was read, whatever comes between.
#[tokio::test]
async fn pages_are_of_one_moment() {
    let shop = defined("by_status", BY_STATUS).await;
    let page = async |after: Option<&str>| {
        let document = "query ($after: String) { byStatus(first: 1, after: $after) {
            nodes { status orders } pageInfo { endCursor hasNextPage } } }";
        let mut response = shop.ask_with(document, json!({ "after": after })).await;
        assert_eq!(response.get("errors"), None);
        response["data"]["byStatus"].take()
    };
    let first = page(None).await;
    assert_eq!(first["nodes"], json!([{ "status": "new", "orders": "1" }]));
    shop.append(vec![order(Operation::Delete, 70, 1, "16:00:00", &json!({}))]).await;
    let second = page(first["pageInfo"]["endCursor"].as_str()).await;
    assert_eq!(second["nodes"], json!([{ "status": "paid", "orders": "2" }]), "one of them is gone since");
    assert_eq!(page(None).await["pageInfo"]["hasNextPage"], true);
}

#[tokio::test]
async fn a_definition_that_cannot_be_folded_says_why() {
    let shop = Shop::with_orders().await;
    let told = async || {
        let data =
            shop.data("{ projection(name: \"by_status\") { kind status error generation rows columns { name } } }");
        data.await["projection"].take()
    };
    define(&shop, "by_status", "CREATE MATERIALIZED VIEW by_status WITH (key = 'id') AS SELECT id FROM ordrs").await;
    let waiting = told().await;
    assert_eq!((&waiting["status"], &waiting["generation"]), (&json!("waiting"), &Value::Null));
    let error = waiting["error"].as_str().unwrap();
    assert!(error.starts_with("by_status.sql:1:") && error.contains("did you mean \"orders\""), "{error}");
    define(&shop, "by_status", BY_STATUS).await;
    let live = told().await;
    assert_eq!((&live["status"], &live["error"], &live["rows"]), (&json!("live"), &Value::Null, &json!("2")));
    assert_eq!(live["columns"].as_array().unwrap().len(), 3);
}

/// An event that a definition fails on stops that view alone, at the event; it goes on without it.
#[tokio::test]
async fn an_event_that_cannot_be_folded_stops_its_view_alone() {
    let shop = defined(
        "shares",
        "CREATE MATERIALIZED VIEW shares WITH (key = 'id') AS
         SELECT id, CAST(1000 / total AS DECIMAL(20, 2)) AS share FROM orders WHERE total IS NOT NULL",
    )
    .await;
    let shares = async || shop.data("{ shares { nodes { id share } } }").await["shares"]["nodes"].clone();
    let three = shares().await;
    assert_eq!(three.as_array().unwrap().len(), 3);
    let zero = order(Operation::Create, 70, 11, "16:00:00", &json!({ "status": "new", "total": "0.00" }));
    let id = zero.id;
    shop.append(vec![zero]).await;
    assert_eq!(shares().await, three, "what was there stays");
    assert_eq!(shop.data("{ ordersByKey(id: 11) { total } }").await["ordersByKey"]["total"], "0.00", "others go on");
    let projection = "{ projection(name: \"shares\") { status error generation } }";
    let stopped = shop.data(projection).await["projection"].take();
    let error = format!("event {id} cannot be folded: division by zero");
    assert_eq!(stopped, json!({ "status": "stopped", "error": error, "generation": 1 }));

    let refused =
        shop.errors("mutation { skipEvent(name: \"shares\", event: \"x\", reason: \"y\") { position } }").await;
    assert_eq!(refused, "BAD_INPUT: skipEvent.event: expected the id of an event, found \"x\"");
    let unknown = shop.errors("mutation { resumeProjection(name: \"share\") { position } }").await;
    let nearest = "UNKNOWN_NAME: resumeProjection.name: there is no projection \"share\"; did you mean \"shares\"?";
    assert_eq!(unknown, nearest);
    let document = format!(
        "mutation {{ skipEvent(name: \"shares\", event: \"{id}\", reason: \"a present\") {{ name position }} }}"
    );
    assert_eq!(shop.data(&document).await["skipEvent"]["name"], "shares");
    shop.projector.caught_up().await.unwrap();
    shop.projector.built().await.unwrap();
    let live = json!({ "status": "live", "error": null, "generation": 2 });
    assert_eq!(shop.data(projection).await["projection"], live);
    assert_eq!(shares().await, three);
    let on_record = shop.store.control(deltafold_event::control::PROJECTION).await.unwrap();
    let payload: Value = serde_json::from_str(on_record[1].event.after.as_deref().unwrap()).unwrap();
    assert_eq!((&payload["reason"], &payload["by"]), (&json!("a present"), &json!("local")));
}

/// What was built is compared before it is shown; what was shown is kept, and comes back with what has changed since.
#[tokio::test]
async fn a_rebuild_can_be_held_compared_shown_and_undone() {
    let shop = defined("by_status", BY_STATUS).await;
    let order_of = async |mutation: &str| {
        let data = shop.data(&format!("mutation {{ {mutation} {{ position }} }}")).await;
        assert!(data.is_object());
        shop.projector.caught_up().await.unwrap();
        shop.projector.built().await.unwrap();
    };
    let nothing = shop.errors("mutation { swapProjection(name: \"by_status\") { position } }").await;
    assert!(nothing.starts_with("CONFLICT: swapProjection.name: by_status has nothing that waits"), "{nothing}");
    order_of("rebuildProjection(name: \"by_status\", hold: true, reason: \"to see\")").await;
    let diff = "{ projectionDiff(name: \"by_status\") { generation ready same added removed changed inThePast
        first { key from shown ready } } }";
    let same = json!({ "generation": 1, "ready": 2, "same": "2", "added": "0", "removed": "0", "changed": "0",
        "inThePast": "0", "first": [] });
    assert_eq!(shop.data(diff).await["projectionDiff"], same);
    // Both are folded on.
    shop.append(vec![order(Operation::Delete, 70, 10, "16:00:00", &json!({}))]).await;
    assert_eq!(shop.data(diff).await["projectionDiff"]["same"], "2");
    order_of("swapProjection(name: \"by_status\")").await;
    let generation =
        async || shop.data("{ projection(name: \"by_status\") { generation } }").await["projection"].take();
    assert_eq!(generation().await["generation"], 2);
    assert_eq!(shop.data(diff).await["projectionDiff"], Value::Null);

    let other = BY_STATUS.replace("sum(total) AS worth", "max(total) AS worth");
    define(&shop, "by_status", &other).await;
    assert_eq!(generation().await["generation"], 3);
    shop.append(vec![order(Operation::Delete, 80, 1, "17:00:00", &json!({}))]).await;
    let rows = async || shop.data("{ byStatus { nodes { status orders worth } } }").await["byStatus"]["nodes"].take();
    let left = json!([{ "status": "paid", "orders": "1", "worth": "4.00" }]);
    assert_eq!(rows().await, left);
    order_of("undoRebuild(name: \"by_status\")").await;
    assert_eq!((&generation().await["generation"], rows().await), (&json!(2), left));
    shop.append(vec![order(Operation::Create, 90, 12, "18:00:00", &json!({ "status": "paid", "total": "5.00" }))])
        .await;
    assert_eq!(rows().await, json!([{ "status": "paid", "orders": "2", "worth": "9.00" }]), "sums again");
}

/// The fields that go.
async fn deprecated(shop: &Shop) -> Vec<String> {
    let fields = "{ fields(includeDeprecated: true) { name isDeprecated } }";
    let data = shop
        .data(&format!("{{ root: __type(name: \"Query\") {fields} row: __type(name: \"ByStatus\") {fields} }}"))
        .await;
    let fields = ["root", "row"].into_iter().flat_map(|of| data[of]["fields"].as_array().cloned().unwrap_or_default());
    fields
        .filter(|field| field["isDeprecated"] == true)
        .map(|field| field["name"].as_str().unwrap().to_owned())
        .collect()
}

async fn say(shop: &Shop, ordered: Vec<Ordered>, at: Timestamp) {
    let said = |ordered| Said { ordered, by: "test".to_owned(), reason: None }.event("by_status", at);
    shop.append(ordered.into_iter().map(said).collect()).await;
    shop.projector.built().await.unwrap();
}

#[tokio::test]
async fn a_view_is_deprecated_before_it_goes() {
    let shop = defined("by_status", BY_STATUS).await;
    assert_eq!(deprecated(&shop).await, [""; 0]);
    let now = Timestamp::from_micros(std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as i64);
    say(&shop, vec![Ordered::Removed], now).await;
    assert_eq!(deprecated(&shop).await, ["byStatusByKey", "byStatus", "byStatusAggregate", "byStatusDiff"]);
    // It is folded on.
    shop.append(vec![order(Operation::Delete, 70, 10, "16:00:00", &json!({}))]).await;
    let document = "{ byStatus { nodes { status } } projection(name: \"by_status\") { status removedAt } }";
    let data = shop.data(document).await;
    assert_eq!(data["byStatus"]["nodes"], json!([{ "status": "paid" }]));
    assert_eq!(data["projection"], json!({ "status": "live", "removedAt": now.to_string() }));
    // Defined again, it stays, and nothing is built.
    define(&shop, "by_status", BY_STATUS).await;
    assert_eq!(deprecated(&shop).await, [""; 0]);
    assert_eq!(shop.projector.catalog().projections[0].generation, Some(1));
    // Removed long ago, it goes.
    say(&shop, vec![Ordered::Removed], Timestamp::from_micros(0)).await;
    let error = shop.errors("{ byStatus { nodes { status } } }").await;
    assert!(error.contains("byStatus"), "{error}");
    assert!(shop.projector.catalog().projections.is_empty());
}

#[tokio::test]
async fn a_column_is_deprecated_before_it_goes() {
    let shop = defined("by_status", BY_STATUS).await;
    let sql = BY_STATUS.replace(", sum(total) AS worth", "");
    say(&shop, vec![Ordered::Defined { sql }, Ordered::Rebuild { hold: true }], Timestamp::from_micros(0)).await;
    assert_eq!(deprecated(&shop).await, ["worth"]);
    assert_eq!(shop.data("{ byStatusByKey(status: \"paid\") { worth } }").await["byStatusByKey"]["worth"], "16.50");
    say(&shop, vec![Ordered::Swapped], Timestamp::from_micros(0)).await;
    assert_eq!(deprecated(&shop).await, [""; 0]);
    assert!(shop.errors("{ byStatus { nodes { worth } } }").await.contains("worth"));
}
