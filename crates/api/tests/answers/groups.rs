//! Counts, sums and the like, by group.

use deltafold_api::Limits;
use deltafold_event::Operation;
use serde_json::{Value, json};

use crate::shop::{Shop, order};

/// Eight orders of three states, one without: nulls, a `NaN`, and totals whose sum has more digits than a double.
async fn shop() -> Shop {
    let shop = Shop::open(Limits { groups: 4, ..Limits::default() }).await;
    let rows = [
        json!({"status": "new", "total": "0.10", "weight": 1.5}),
        json!({"status": "new", "total": "0.20", "weight": 2.5, "gift": true}),
        json!({"status": "paid", "total": "90071992.99", "shipped_on": "2026-11-22"}),
        json!({"status": "paid", "total": "0.01", "shipped_on": "2026-11-21"}),
        json!({"status": "paid", "total": null, "gift": true}),
        json!({"status": "lost", "total": null}),
        json!({"status": null, "total": "1.00", "weight": "NaN"}),
        json!({"status": null, "total": "1.00", "gift": false}),
    ];
    let placed = rows.iter().zip(1..).map(|(row, id)| order(Operation::Create, id, id as i32, "10:00:00", row));
    shop.append(placed.collect()).await;
    shop
}

async fn groups(shop: &Shop, arguments: &str, selection: &str) -> Value {
    let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    shop.data(&format!("{{ ordersAggregate{arguments} {{ {selection} }} }}")).await["ordersAggregate"].take()
}

#[tokio::test]
async fn without_groups_there_is_one_of_all_rows() {
    let shop = shop().await;
    let selection = "count totals: count(of: total) states: count(of: status, distinct: true) group { status }
                     sum { total id customerId weight } avg { total id } min { total shippedOn status id placedAt }
                     ...more";
    let query = format!(
        "{{ ordersAggregate {{ {selection} }} }} fragment more on OrdersAggregate {{ max {{ total shippedOn status }} }}"
    );
    assert_eq!(
        shop.data(&query).await["ordersAggregate"],
        json!([{
            "count": 8, "totals": 6, "states": 3, "group": null,
            "sum": {"total": "90071995.30", "id": "36", "customerId": "56", "weight": "NaN"},
            "avg": {"total": "15011999.216666", "id": 4.5},
            "min": {"total": "0.01", "shippedOn": "2026-11-21", "status": "lost", "id": 1,
                    "placedAt": "2026-11-21T10:00:00.500000Z"},
            "max": {"total": "90071992.99", "shippedOn": "2026-11-22", "status": "paid"},
        }])
    );
    assert_eq!(
        groups(&shop, "", "min { weight } max { weight }").await,
        json!([{"min": {"weight": 1.5}, "max": {"weight": "NaN"}}])
    );
    let none = groups(&shop, "where: {id: {_gt: 100}}", "count sum { total } max { status }").await;
    assert_eq!(none, json!([{"count": 0, "sum": {"total": null}, "max": {"status": null}}]));
}

#[tokio::test]
async fn groups_come_in_the_order_of_their_columns() {
    let shop = shop().await;
    assert_eq!(
        groups(&shop, "groupBy: status", "group { status } count sum { total }").await,
        json!([
            {"group": {"status": "lost"}, "count": 1, "sum": {"total": null}},
            {"group": {"status": "new"}, "count": 2, "sum": {"total": "0.30"}},
            {"group": {"status": "paid"}, "count": 3, "sum": {"total": "90071993.00"}},
            {"group": {"status": null}, "count": 2, "sum": {"total": "2.00"}},
        ])
    );
    assert_eq!(
        groups(&shop, "groupBy: [gift, status], where: {gift: {_isNull: false}}", "group { status gift } count").await,
        json!([
            {"group": {"status": null, "gift": false}, "count": 1},
            {"group": {"status": "new", "gift": true}, "count": 1},
            {"group": {"status": "paid", "gift": true}, "count": 1},
        ])
    );
    assert_eq!(groups(&shop, "groupBy: status, where: {id: {_gt: 100}}", "count").await, json!([]));
    // By no column, all rows are one group.
    assert_eq!(groups(&shop, "groupBy: []", "group { status } count").await, json!([{"group": null, "count": 8}]));
    // Only the type's name is asked for, of each group.
    assert_eq!(groups(&shop, "groupBy: gift", "__typename").await.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn they_are_as_of_any_moment() {
    let shop = Shop::with_orders().await;
    let at = |moment: &str| format!("groupBy: status, asOf: {{time: \"2026-11-21T{moment}Z\"}}");
    let selection = "group { status } count sum { total }";
    assert_eq!(
        groups(&shop, &at("12:30:00"), selection).await,
        json!([
            {"group": {"status": "new"}, "count": 2, "sum": {"total": "12.50"}},
            {"group": {"status": "paid"}, "count": 1, "sum": {"total": "4.00"}},
        ])
    );
    let response = shop.ask(&format!("{{ ordersAggregate({}) {{ count }} }}", at("09:00:00"))).await;
    assert_eq!(response["data"]["ordersAggregate"], json!([]));
    assert!(response["extensions"]["deltafold"]["historyStart"].get("orders").is_some(), "{response}");
}

#[tokio::test]
async fn what_they_may_be_is_limited() {
    let shop = shop().await;
    assert_eq!(
        shop.errors("{ ordersAggregate(groupBy: id) { count } }").await,
        "LIMIT_EXCEEDED: limit \"groups\" is 4, and the request has more"
    );
    assert_eq!(
        shop.errors("{ ordersAggregate(groupBy: [gift]) { group { status } } }").await,
        "BAD_INPUT: ordersAggregate.group: expected columns that groupBy names, found status"
    );
    assert_eq!(
        shop.errors("{ ordersAggregate(groupBy: [notes]) { count } }").await,
        "BAD_INPUT: ordersAggregate.groupBy[0]: expected one of id, customerId, status, total, weight, placedAt, gift, \
         shippedOn, found notes"
    );
}
