//! Lists: filters, orders, pages.

use deltafold_event::Operation;
use serde_json::{Value, json};

use crate::shop::{Shop, order, shown};

async fn ids(shop: &Shop, arguments: &str) -> Vec<i64> {
    let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    let data = shop.data(&format!("{{ orders{arguments} {{ nodes {{ id }} }} }}")).await;
    data["orders"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn rows_come_in_the_order_of_their_keys() {
    let shop = Shop::with_orders().await;
    assert_eq!(ids(&shop, "").await, [1, 2, 10]);
    assert_eq!(ids(&shop, "asOf: {time: \"2026-11-21T13:00:00Z\"}").await, [1, 2, 3, 10]);
    assert_eq!(ids(&shop, "asOf: {time: \"2026-11-21T11:30:00Z\"}").await, [1, 2]);
}

#[tokio::test]
async fn filters_follow_sql() {
    let shop = Shop::with_orders().await;
    for (filter, expected) in [
        ("{}", vec![1, 2, 10]),
        ("{status: {_eq: \"paid\"}}", vec![1, 2]),
        ("{status: {_neq: \"paid\"}}", vec![10]),
        ("{status: {_like: \"p_i%\"}}", vec![1, 2]),
        ("{status: {_ilike: \"PAID\"}}", vec![1, 2]),
        ("{total: {_gte: 4, _lt: \"100.00\"}}", vec![1, 2]),
        ("{total: {_gt: \"4.001\"}}", vec![1, 10]),
        ("{total: {_in: [\"4.0\", 100]}}", vec![2, 10]),
        ("{total: {_nin: [\"4\"]}}", vec![1, 10]),
        ("{id: {_in: [10, 2, 5]}}", vec![2, 10]),
        ("{id: {_eq: 2}}", vec![2]),
        ("{customerId: {_eq: \"7\"}}", vec![1, 2, 10]),
        ("{gift: {_isNull: true}}", vec![1, 2]),
        ("{gift: {_eq: true}}", vec![10]),
        ("{gift: {_neq: true}}", vec![]),
        ("{tags: {_isNull: false}}", vec![2]),
        ("{placedAt: {_gt: \"2026-11-21T13:30:00Z\"}}", vec![1]),
        ("{_or: [{status: {_eq: \"new\"}}, {total: {_eq: 4}}]}", vec![2, 10]),
        ("{_and: [{status: {_eq: \"paid\"}}, {id: {_gt: 1}}]}", vec![2]),
        ("{_not: {status: {_eq: \"paid\"}}}", vec![10]),
        ("{_or: []}", vec![]),
        ("{_or: [{}, {id: {_eq: 1}}]}", vec![1, 2, 10]),
        ("{status: {_eq: \"new\"}, total: {_eq: 100}}", vec![10]),
    ] {
        assert_eq!(ids(&shop, &format!("where: {filter}")).await, expected, "{filter}");
    }
}

#[tokio::test]
async fn filters_look_into_json_and_arrays() {
    let shop = Shop::with_orders().await;
    let notes = |id: i32, notes: Value| {
        order(
            Operation::Create,
            300 + id as u64,
            id,
            "16:00:00",
            &json!({"notes": notes.to_string(), "tags": ["x", "y"]}),
        )
    };
    shop.append(vec![
        notes(5, json!({"by": "ada", "score": 7.50, "done": true, "lines": [{"sku": "tea"}, {"sku": "7"}]})),
        notes(6, json!({"by": "bob", "score": "7.5", "done": null, "0": "zero"})),
        notes(7, json!([1, 20])),
    ])
    .await;
    let at = |place: &str| format!("{{notes: {{_at: [{place}]}}}}");
    for (filter, expected) in [
        (at("{path: [\"by\"], string: {_eq: \"ada\"}}"), vec![5]),
        (at("{path: [\"by\"], string: {_ilike: \"B%\"}}"), vec![6]),
        (at("{path: [\"score\"], number: {_gte: \"7.5\"}}"), vec![5]),
        (at("{path: [\"score\"], string: {_eq: \"7.5\"}}"), vec![6]),
        (at("{path: [\"done\"], boolean: {_eq: true}}"), vec![5]),
        (at("{path: [\"done\"], isNull: false}"), vec![5]),
        (at("{path: [\"done\"], isNull: true}, {path: [\"by\"], isNull: false}"), vec![6]),
        (at("{path: [\"lines\", \"1\", \"sku\"], string: {_eq: \"7\"}}"), vec![5]),
        (at("{path: [\"1\"], number: {_gt: 10, _lt: 30}}"), vec![7]),
        (at("{path: [\"by\"], string: {_in: [\"ada\", \"bob\"]}}, {path: [\"done\"], boolean: {_eq: true}}"), vec![5]),
        (format!("{{_not: {}}}", at("{path: [\"by\"], string: {_eq: \"ada\"}}")), vec![6]),
        ("{tags: {_contains: \"y\"}}".to_owned(), vec![5, 6, 7]),
        ("{tags: {_contains: \"a\"}}".to_owned(), vec![2]),
    ] {
        assert_eq!(ids(&shop, &format!("where: {filter}")).await, expected, "{filter}");
    }
    // Places that nothing can be at.
    for path in ["\"18446744073709551615\"", "\"-1\"", "\"\"", "\"99999999999999999999999\"", "\"a\", \"'\""] {
        let filter = at(&format!("{{path: [{path}], string: {{_eq: \"ada\"}}}}"));
        assert_eq!(ids(&shop, &format!("where: {filter}")).await, [0; 0], "{filter}");
    }
    assert_eq!(
        shop.errors("{ orders(where: {notes: {_at: [{path: [], isNull: true}]}}) { totalCount } }").await,
        "BAD_INPUT: orders.where.notes._at[0].path: expected a name at least, found none"
    );
    assert_eq!(
        shop.errors("{ orders(where: {notes: {_at: [{path: [\"a\"], number: {_eq: \"x\"}}]}}) { totalCount } }").await,
        "BAD_INPUT: orders.where.notes._at[0].number._eq: expected a Decimal in plain digits, as in \"12.50\", found \"x\""
    );
}

#[tokio::test]
async fn orders_place_nulls_and_end_with_the_key() {
    let shop = Shop::with_orders().await;
    shop.append(vec![order(Operation::Create, 300, 5, "16:00:00", &json!({"status": "new"}))]).await;
    for (by, expected) in [
        ("{total: ASC}", [2, 1, 10, 5]),
        ("{total: DESC}", [5, 10, 1, 2]),
        ("{total: DESC_NULLS_LAST}", [10, 1, 2, 5]),
        ("{total: ASC_NULLS_FIRST}", [5, 2, 1, 10]),
        ("{status: DESC}", [1, 2, 5, 10]),
        ("[{status: ASC}, {placedAt: DESC}]", [5, 10, 1, 2]),
        ("{status: ASC, id: DESC}", [10, 5, 2, 1]),
    ] {
        assert_eq!(ids(&shop, &format!("orderBy: {by}")).await, expected, "{by}");
    }
}

/// Every order, walked forward and backward in pages of every size.
#[tokio::test]
async fn pages_show_every_row_once() {
    let shop = Shop::with_orders().await;
    shop.append(vec![
        order(Operation::Create, 300, 5, "16:00:00", &json!({"status": "new"})),
        order(Operation::Create, 310, 6, "16:00:00", &json!({"weight": "NaN", "status": null})),
        order(Operation::Create, 320, 7, "16:00:00", &json!({"weight": 1.5, "total": "12.5"})),
    ])
    .await;
    for by in
        ["[]", "{total: ASC}", "{total: DESC}", "{status: ASC_NULLS_FIRST}", "{weight: DESC_NULLS_LAST, status: ASC}"]
    {
        let all = ids(&shop, &format!("orderBy: {by}")).await;
        assert_eq!(all.len(), 6);
        for size in 1..4 {
            assert_eq!(walk(&shop, by, size, ["first", "after", "endCursor", "hasNextPage"]).await, all, "{by} {size}");
            let mut backward = walk(&shop, by, size, ["last", "before", "startCursor", "hasPreviousPage"]).await;
            backward.reverse();
            assert_eq!(backward, all, "backward {by} {size}");
        }
    }
}

async fn walk(shop: &Shop, by: &str, size: usize, names: [&str; 4]) -> Vec<i64> {
    let [count, from, end, more] = names;
    let (mut cursor, mut seen) = (Value::Null, Vec::new());
    loop {
        let query = format!(
            "query ($c: String) {{ orders(orderBy: {by}, {count}: {size}, {from}: $c) {{
                edges {{ node {{ id }} }} pageInfo {{ {more} {end} }} }} }}"
        );
        let response = shop.ask_with(&query, json!({ "c": cursor })).await;
        let page = &response["data"]["orders"];
        let mut ids: Vec<i64> = page["edges"]
            .as_array()
            .unwrap_or_else(|| panic!("{response}"))
            .iter()
            .map(|edge| edge["node"]["id"].as_i64().unwrap())
            .collect();
        if count == "last" {
            ids.reverse();
        }
        seen.extend(ids);
        if page["pageInfo"][more] == false {
            return seen;
        }
        cursor = page["pageInfo"][end].clone();
    }
}

#[tokio::test]
async fn cursors_freeze_the_moment() {
    let shop = Shop::with_orders().await;
    let first = shop.data("{ orders(first: 1) { nodes { id } pageInfo { endCursor } } }").await;
    let cursor = first["orders"]["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    shop.append(vec![
        order(Operation::Create, 400, 4, "19:00:00", &json!({})),
        order(Operation::Delete, 410, 10, "19:00:00", &json!({})),
    ])
    .await;
    assert_eq!(ids(&shop, &format!("after: \"{cursor}\"")).await, [2, 10]);
    assert_eq!(ids(&shop, "").await, [1, 2, 4]);
    let other =
        shop.errors(&format!("{{ orders(after: \"{cursor}\", orderBy: {{id: DESC}}) {{ nodes {{ id }} }} }}")).await;
    assert!(other.starts_with("BAD_CURSOR: orders.after"), "{other}");
}

#[tokio::test]
async fn rows_are_counted_when_asked_for() {
    let shop = Shop::with_orders().await;
    let data = shop.data("{ orders(where: {status: {_eq: \"paid\"}}, first: 1) { totalCount nodes { id } } all: orders { totalCount } }").await;
    assert_eq!(data, json!({ "orders": { "totalCount": 2, "nodes": [{ "id": 1 }] }, "all": { "totalCount": 3 } }));
}

#[tokio::test]
async fn variables_fill_filters() {
    let shop = Shop::with_orders().await;
    let query = "query ($where: OrdersFilter, $by: [OrdersOrder!], $n: Int) {
        orders(where: $where, orderBy: $by, first: $n) { nodes { id } } }";
    let variables = json!({ "where": { "total": { "_gte": 4.0 } }, "by": [{ "total": "DESC" }], "n": 2 });
    let response = shop.ask_with(query, variables).await;
    assert_eq!(response["data"]["orders"]["nodes"], json!([{ "id": 10 }, { "id": 1 }]));
}

#[tokio::test]
async fn two_moments_of_a_list_differ() {
    let shop = Shop::with_orders().await;
    let nodes =
        "nodes { before { id status } after { id status } changes { field } } pageInfo { hasNextPage endCursor }";
    let between = async |arguments: &str| {
        let data = shop.data(&format!("{{ ordersDiff({arguments}) {{ {nodes} }} }}")).await;
        let told = |node: &Value| {
            let side = |row: &Value| row["status"].as_str().unwrap_or("-").to_owned();
            let id = if node["after"].is_null() { &node["before"]["id"] } else { &node["after"]["id"] };
            format!("{id}: {} > {}", side(&node["before"]), side(&node["after"]))
        };
        let told: Vec<String> = data["ordersDiff"]["nodes"].as_array().unwrap().iter().map(told).collect();
        (told, data["ordersDiff"]["pageInfo"].clone(), data)
    };
    let time = |time: &str| format!("{{time: \"2026-11-21T{time}Z\"}}");
    let (from, to) = (time("12:00:01"), time("16:00:00"));
    let day = format!("from: {from}, to: {to}");
    assert_eq!(between(&day).await.0, ["1: new > paid", "10: - > new", "2: new > paid", "3: new > -"]);
    let at_one = format!("from: {}, to: {to}", time("12:45:00"));
    assert_eq!(between(&at_one).await.0, ["1: new > paid", "10: - > new", "3: new > -"]);
    assert_eq!(between(&format!("{at_one}, where: {{status: {{_eq: \"paid\"}}}}")).await.0, ["1: new > paid"]);
    let (_, _, data) = between(&format!("{at_one}, where: {{id: {{_eq: 1}}}}")).await;
    assert_eq!(
        data["ordersDiff"]["nodes"][0]["changes"],
        json!([{"field": "status"}, {"field": "weight"}, {"field": "placedAt"}])
    );

    // What was known differs, too: the third commit found that the second order had been paid long before.
    let known = format!(
        "from: {{position: \"{}\"}}",
        shop.data("{ store { position } }").await["store"]["position"].as_str().unwrap().parse::<i64>().unwrap()
            - (1 << 23)
    );
    assert_eq!(between(&known).await.0, ["2: new > paid"]);

    // Pages are of the first one's moment.
    let (first, info, _) = between(&format!("{at_one}, first: 2")).await;
    assert_eq!(
        (first, &info["hasNextPage"]),
        (vec!["1: new > paid".to_owned(), "10: - > new".to_owned()], &json!(true))
    );
    shop.append(vec![order(Operation::Update, 35, 3, "12:40:00", &json!({"status": "late"}))]).await;
    let (rest, info, _) = between(&format!("{at_one}, first: 2, after: {}", info["endCursor"])).await;
    assert_eq!((rest, &info["hasNextPage"]), (vec!["3: new > -".to_owned()], &json!(false)));
    assert_eq!(between(&format!("from: {to}, to: {to}")).await.0, [""; 0]);
}

#[tokio::test]
async fn how_an_answer_is_found_can_be_asked_for() {
    let shop = Shop::with_orders().await;
    let query = "{ ordersByKey(id: 1) { id } orders(where: {status: {_eq: \"paid\"}}, first: 1) { nodes { id } totalCount }
        ordersAggregate(groupBy: status) { count } ordersDiff(from: {time: \"2026-11-21T10:30:00Z\"}) { nodes { after { id } } } }";
    let request = json!({"query": query, "extensions": {"deltafold": {"explain": true}}});
    let answer = shop.api.execute(request).await;
    let plans = answer["extensions"]["deltafold"]["plan"].as_array().unwrap();
    let plan = |field: &str| {
        let found = plans.iter().find(|plan| plan["field"] == field);
        found.unwrap_or_else(|| panic!("no {field} in {answer}"))["plan"].as_str().unwrap().to_owned()
    };
    assert_eq!(plan("ordersByKey"), "a seek by key");
    assert!(plan("orders").contains("SortExec: TopK(fetch=2)") && plan("orders").contains("FilterExec"), "{answer}");
    assert!(
        plan("orders.totalCount").contains("AggregateExec") || plan("orders.totalCount").contains("Filter"),
        "{answer}"
    );
    assert!(plan("ordersAggregate").contains("AggregateExec"), "{answer}");
    assert!(plan("ordersDiff").contains("merge of two scans"), "{answer}");
    let unasked = shop.ask(query).await;
    assert_eq!(unasked["extensions"]["deltafold"].get("plan"), None);
    let wrong = json!({"query": query, "extensions": {"deltafold": {"explain": 1}}});
    assert_eq!(
        shown(&shop.api.execute(wrong).await),
        "BAD_INPUT: extensions.deltafold.explain: expected true or false, found 1"
    );
}

#[tokio::test]
async fn an_index_answers_filters_and_has_an_order_now_and_then() {
    let shop = Shop::with_orders().await;
    shop.projector.indexed().await.unwrap();
    let found = async |field: &str, selection: &str| {
        let query = format!("{{ {field} {{ {selection} }} }}");
        let answer = shop.api.execute(json!({"query": query, "extensions": {"deltafold": {"explain": true}}})).await;
        assert!(answer.get("errors").is_none(), "{answer}");
        let plan = answer["extensions"]["deltafold"]["plan"][0]["plan"].as_str().unwrap().to_owned();
        (answer["data"].as_object().unwrap().values().next().unwrap().clone(), plan)
    };
    let ids = |list: &Value| {
        list["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    let of_a_customer = "where: {customerId: {_eq: \"7\"}, status: {_neq: \"sent\"}}, orderBy: {placedAt: DESC}";
    let (list, plan) =
        found(&format!("orders({of_a_customer}, first: 2)"), "nodes { id } pageInfo { endCursor }").await;
    assert_eq!(ids(&list), [1, 10]);
    assert_eq!(plan, "a walk of the index (customer_id, placed_at, id) by customer_id, in its order: 3 entries");
    let after = &list["pageInfo"]["endCursor"];
    let (list, plan) = found(&format!("orders({of_a_customer}, first: 2, after: {after})"), "nodes { id }").await;
    assert_eq!((ids(&list), plan.contains("in its order: 1 entries")), (vec![2], true), "{plan}");
    let then = "asOf: {time: \"2026-11-21T13:00:00Z\"}";
    let (list, plan) = found(&format!("orders(where: {{total: {{_isNull: true}}}}, {then})"), "nodes { id }").await;
    assert_eq!(ids(&list), [3]);
    assert!(plan.starts_with("a walk of the index (total, id) by total"), "{plan}");
    let (groups, plan) = found("ordersAggregate(where: {total: {_lt: 50}})", "count").await;
    assert_eq!((&groups[0]["count"], plan.contains("by total")), (&json!(2), true), "{plan}");
    let (_, plan) = found("orders(where: {_or: [{total: {_eq: 4}}]})", "nodes { id }").await;
    assert!(plan.contains("FilterExec"), "{plan}");
    // Of rows that there are none of, too, a filter has to be one.
    let wrong = "{ orders(where: {customerId: {_eq: \"8\"}, total: {_eq: null}}) { nodes { id } } }";
    assert_eq!(
        shop.errors(wrong).await,
        "BAD_INPUT: orders.where.total._eq: expected a value; for null there is _isNull, found null"
    );
}
