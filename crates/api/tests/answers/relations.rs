//! From a row to the one that it names, and back.

use deltafold_event::{Event, Operation};
use serde_json::{Value, json};

use crate::shop::{Shop, order, shown};

fn customer(lsn: u64, id: i32, time: &str, name: &str) -> Event {
    let event = order(Operation::Create, lsn, id, time, &json!({"name": name}));
    Event { aggregate_type: "customers".into(), ..event }
}

/// Customers 7 and 8; order 1 of the one is worth the most, orders 4 and 5 are of the other, 6 is of nobody there is.
async fn shop() -> Shop {
    let shop = Shop::with_orders().await;
    let of = |lsn: u64, id: i32, customer: Value, total: &str| {
        order(Operation::Create, lsn, id, "16:00:00", &json!({"customer_id": customer, "total": total}))
    };
    shop.append(vec![
        customer(70, 7, "09:00:00", "Ada"),
        customer(71, 8, "09:30:00", "Bob"),
        of(72, 4, json!(8), "1.00"),
        of(73, 5, json!(8), "2.00"),
        of(74, 6, json!(99), "3.00"),
        of(75, 11, json!(null), "4.00"),
    ])
    .await;
    shop.projector.indexed().await.unwrap();
    shop
}

#[tokio::test]
async fn a_row_leads_to_the_one_it_names_and_back() {
    let shop = shop().await;
    let data = shop.data("{ orders(orderBy: {id: ASC}) { nodes { id customer { id name } } } }").await;
    let names = data["orders"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| format!("{} {}", row["id"], row["customer"]["name"]));
    assert_eq!(
        names.collect::<Vec<_>>(),
        ["1 \"Ada\"", "2 \"Ada\"", "4 \"Bob\"", "5 \"Bob\"", "6 null", "10 \"Ada\"", "11 null"]
    );
    let children = "orders(orderBy: {total: DESC}, first: 2) { nodes { id customer { name } } totalCount
        pageInfo { hasNextPage hasPreviousPage endCursor } }";
    let data = shop
        .data(&format!("{{ customers {{ nodes {{ id {children} }} }} customersByKey(id: \"7\") {{ {children} }} }}"))
        .await;
    let nodes = data["customers"]["nodes"].as_array().unwrap();
    let ids = |list: &Value| {
        list["nodes"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(nodes.iter().map(|row| ids(&row["orders"])).collect::<Vec<_>>(), [[10, 1], [5, 4]]);
    assert_eq!([&nodes[0], &nodes[1]].map(|row| row["orders"]["totalCount"].as_i64()), [Some(3), Some(2)]);
    assert_eq!(nodes[1]["orders"]["nodes"][0]["customer"]["name"], "Bob");
    // Of one alone it is the same, and there it goes on.
    assert_eq!(data["customersByKey"]["orders"], nodes[0]["orders"]);
    let after = &nodes[0]["orders"]["pageInfo"]["endCursor"];
    let rest = format!(
        "{{ customersByKey(id: \"7\") {{ orders(orderBy: {{total: DESC}}, first: 2, after: {after}) {{ nodes {{ id }}
           pageInfo {{ hasNextPage hasPreviousPage endCursor }} }} }} }}"
    );
    let data = shop.data(&rest).await;
    assert_eq!(ids(&data["customersByKey"]["orders"]), [2]);
    assert_eq!(data["customersByKey"]["orders"]["pageInfo"]["hasNextPage"], false);
    let of_another = rest.replace("\"7\"", "\"8\"");
    assert_eq!(
        shop.errors(&of_another).await.split(": ").take(2).collect::<Vec<_>>(),
        ["BAD_CURSOR", "Customers.orders.after"]
    );
}

#[tokio::test]
async fn what_a_row_leads_to_is_of_its_moment() {
    let shop = shop().await;
    let data = shop
        .data("{ customers(asOf: {time: \"2026-11-21T12:30:00Z\"}) { nodes { name orders { nodes { id status customer { name } } totalCount } } } }")
        .await;
    assert_eq!(
        data["customers"]["nodes"],
        json!([
            {"name": "Ada", "orders": {"totalCount": 3, "nodes": [
                {"id": 1, "status": "new", "customer": {"name": "Ada"}},
                {"id": 2, "status": "paid", "customer": {"name": "Ada"}},
                {"id": 3, "status": "new", "customer": {"name": "Ada"}},
            ]}},
            {"name": "Bob", "orders": {"totalCount": 0, "nodes": []}},
        ])
    );
}

/// One for the page, and one for what all of its rows lead to, unless an index has the order: then each has its own.
#[tokio::test]
async fn a_list_with_its_children_costs_two_reads() {
    let shop = shop().await;
    let plans = async |children: &str| {
        let query = format!("{{ customers {{ nodes {{ {children} }} }} }}");
        let answer = shop.api.execute(json!({"query": query, "extensions": {"deltafold": {"explain": true}}})).await;
        assert!(answer.get("errors").is_none(), "{}", shown(&answer));
        let plans = answer["extensions"]["deltafold"]["plan"].as_array().unwrap().clone();
        plans
            .into_iter()
            .map(|plan| format!("{}: {}", plan["field"].as_str().unwrap(), plan["plan"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let by_scan =
        plans("orders(orderBy: {weight: ASC}, where: {_or: [{total: {_gt: 1}}]}, first: 1) { nodes { id } }").await;
    let fields =
        |plans: &[String]| plans.iter().map(|plan| plan.split(": ").next().unwrap().to_owned()).collect::<Vec<_>>();
    // An index narrows what is looked at, and is no read of its own of the rows.
    assert_eq!(fields(&by_scan), ["customers", "Customers.orders", "Customers.orders"]);
    assert!(by_scan[1].contains("a walk of the index (customer_id, placed_at, id) by customer_id"), "{by_scan:?}");
    let by_index = plans("orders(orderBy: {placedAt: DESC}, first: 1) { nodes { id } }").await;
    assert_eq!(fields(&by_index), ["customers", "Customers.orders", "Customers.orders"]);
    assert!(by_index[1..].iter().all(|plan| plan.contains("in its order: 2 entries")), "{by_index:?}");
    let wrong = shop.errors("{ customers { nodes { orders(where: {total: {_eq: null}}) { nodes { id } } } } }").await;
    assert!(wrong.starts_with("BAD_INPUT: Customers.orders.where.total._eq: expected a value; "), "{wrong}");
}
