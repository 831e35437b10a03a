//! The newest moment at which every transaction is whole, where the source tells how many events each has.

use deltafold_event::{Event, Identity, Operation, Timestamp, TransactionEnd, control};
use serde_json::{Value, json};

use crate::{
    origins::sent,
    shop::{Shop, order},
};

/// A change of an order in a transaction of the origin `shop`.
fn changed(transaction: u32, lsn: u64, id: i32, time: &str, status: &str) -> Event {
    let event = order(Operation::Update, lsn, id, time, &json!({ "status": status }));
    Event {
        metadata: json!({ "source": { "connector": "postgresql", "name": "shop" } }).to_string(),
        transaction_id: Some(transaction.to_string().into()),
        ..event
    }
}

/// The event that says that a transaction ended.
fn ended(transaction: u32, events: u64, time: &str) -> Event {
    let ended_at: Timestamp = format!("2026-11-21T{time}Z").parse().unwrap();
    let end = TransactionEnd { origin: "shop".into(), transaction: transaction.to_string(), events, ended_at };
    Event {
        id: Identity::domain().text(Some("end")).number(transaction).text(Some(time)).id(),
        aggregate_type: control::TRANSACTION.into(),
        aggregate_id: Some("shop".into()),
        event_type: "ended".into(),
        operation: None,
        after: Some(TransactionEnd::to_json(&[end])),
        metadata: "{}".into(),
        source_position: None,
        transaction_id: None,
        schema_id: None,
        ..changed(transaction, 1, 1, time, "")
    }
}

/// What orders 1 and 2 are as of the consistent moment, and what is said of it.
async fn consistent(shop: &Shop) -> (Value, Value) {
    let response = shop.ask("{ orders(asOf: {consistent: true}, orderBy: [{id: ASC}]) { nodes { status } } }").await;
    let nodes = response["data"]["orders"]["nodes"].as_array().unwrap_or_else(|| panic!("{response}")).clone();
    let statuses = nodes.into_iter().map(|node| node["status"].clone()).collect();
    (statuses, response["extensions"]["deltafold"]["consistent"].clone())
}

#[tokio::test]
async fn a_transaction_is_shown_whole_or_not_at_all() {
    let shop = Shop::open(deltafold_api::Limits::default()).await;
    shop.append(vec![changed(1, 10, 1, "10:00:00", "new"), changed(1, 20, 2, "10:00:00", "new")]).await;
    let (_, said) = consistent(&shop).await;
    assert_eq!(said, json!({ "at": "2026-11-21T09:59:59.999999Z", "estimated": true }));
    shop.append(vec![ended(1, 2, "10:00:00")]).await;
    let (orders, said) = consistent(&shop).await;
    assert_eq!(orders, json!(["new", "new"]));
    assert_eq!(said, json!({ "at": "2026-11-21T10:00:00.000000Z", "estimated": false }));

    // One of its two events is still in a partition that was not read so far.
    shop.append(vec![changed(2, 30, 1, "11:00:00", "paid"), ended(2, 2, "11:00:00")]).await;
    assert_eq!(shop.data("{ ordersByKey(id: 1) { status } }").await["ordersByKey"], json!({ "status": "paid" }));
    let (orders, said) = consistent(&shop).await;
    assert_eq!(orders, json!(["new", "new"]));
    assert_eq!(said, json!({ "at": "2026-11-21T10:59:59.999999Z", "estimated": false }));

    shop.append(vec![changed(2, 40, 2, "11:00:00", "paid")]).await;
    let (orders, said) = consistent(&shop).await;
    assert_eq!(orders, json!(["paid", "paid"]));
    assert_eq!(said, json!({ "at": "2026-11-21T11:00:00.000000Z", "estimated": false }));
}

/// PostgreSQL counts its transactions on from where the backup was.
#[tokio::test]
async fn a_restored_database_s_transactions_are_its_own() {
    let shop = Shop::open(deltafold_api::Limits::default()).await;
    let of_7 = |event: Event| Event { transaction_id: Some("7".into()), ..event };
    let before = [of_7(sent(1, 80, 1, "10:00:00", "new")), of_7(sent(1, 90, 2, "10:00:00", "new"))];
    shop.append(before.into_iter().chain([ended(7, 2, "10:00:00")]).collect()).await;
    let known = |at: &str| json!({ "at": format!("2026-11-21T{at}Z"), "estimated": false });
    let (new, paid) = (json!(["new", "new"]), json!(["paid", "paid"]));
    assert_eq!(consistent(&shop).await, (new.clone(), known("10:00:00.000000")));

    // What is held is not shown, and counts for nothing.
    shop.append(vec![ended(7, 2, "12:00:00"), of_7(sent(2, 40, 1, "12:00:00", "paid"))]).await;
    assert_eq!(consistent(&shop).await, (new.clone(), known("10:00:00.000000")));

    shop.data("mutation { newEpoch(source: \"shop\", reason: \"restored\") { epoch } }").await;
    shop.projector.caught_up().await.unwrap();
    assert_eq!(shop.data("{ ordersByKey(id: 1) { status } }").await["ordersByKey"], json!({ "status": "paid" }));
    assert_eq!(consistent(&shop).await, (new, known("11:59:59.999999")));
    shop.append(vec![of_7(sent(2, 50, 2, "12:00:00", "paid"))]).await;
    assert_eq!(consistent(&shop).await, (paid, known("12:00:00.000000")));
}

/// What was known at a position was known with other transactions in part.
#[tokio::test]
async fn nothing_else_says_which_moment() {
    let shop = Shop::with_orders().await;
    for other in ["time: \"2026-11-21T14:00:00Z\"", "position: \"8388608\"", "recordedAt: \"2026-11-21T14:00:00Z\""] {
        let name = other.split(':').next().unwrap();
        let errors =
            shop.errors(&format!("{{ ordersByKey(id: 1, asOf: {{consistent: true, {other}}}) {{ id }} }}")).await;
        assert_eq!(errors, format!("BAD_INPUT: ordersByKey.asOf: expected either consistent or {name}, found both"));
    }
}

/// A list's further pages are of the moment that its first page was of.
#[tokio::test]
async fn pages_are_of_one_moment() {
    let shop = Shop::open(deltafold_api::Limits::default()).await;
    let first = [changed(1, 10, 1, "10:00:00", "new"), changed(1, 20, 2, "10:00:00", "new")];
    shop.append(first.into_iter().chain([ended(1, 2, "10:00:00")]).collect()).await;
    let page = |after: &str| {
        format!(
            "{{ orders(first: 1, asOf: {{consistent: true}}, orderBy: [{{id: ASC}}]{after}) {{
                nodes {{ id status }} pageInfo {{ endCursor }} }} }}"
        )
    };
    let one = shop.data(&page("")).await;
    assert_eq!(one["orders"]["nodes"], json!([{ "id": 1, "status": "new" }]));
    let both = [changed(2, 30, 1, "11:00:00", "paid"), changed(2, 40, 2, "11:00:00", "paid")];
    shop.append(both.into_iter().chain([ended(2, 2, "11:00:00")]).collect()).await;
    let other = shop.data(&page(&format!(", after: {}", one["orders"]["pageInfo"]["endCursor"]))).await;
    assert_eq!(other["orders"]["nodes"], json!([{ "id": 2, "status": "new" }]));
}
