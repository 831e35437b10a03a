//! What a server should answer about a generated stream: rows as GraphQL prints them, against the generator's model.

use crate::generator::Model;
use crate::http::Connection;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const PAGE: usize = 1000;

/// The columns asked for: GraphQL name, column.
const COLUMNS: [(&str, &str); 14] = [
    ("id", "id"),
    ("customerId", "customer_id"),
    ("status", "status"),
    ("total", "total"),
    ("currency", "currency"),
    ("items", "items"),
    ("email", "email"),
    ("address", "address"),
    ("note", "note"),
    ("placedAt", "placed_at"),
    ("updatedAt", "updated_at"),
    ("giftWrap", "gift_wrap"),
    ("loyaltyPoints", "loyalty_points"),
    ("channel", "channel"),
];

/// Every column of `orders`, as a selection.
pub fn all_columns() -> String {
    COLUMNS.map(|(name, _)| name).join(" ")
}

/// Whether GraphQL's `found` is the row `expected` (JSON as the database gives it; none: no row).
pub fn check_row(found: &Value, expected: Option<&str>) -> Result<()> {
    let Some(expected) = expected else {
        ensure!(found.is_null(), "a row that should not be there: {found}");
        return Ok(());
    };
    let expected: Value = serde_json::from_str(expected).context("the model's row is JSON")?;
    ensure!(found.is_object(), "no row where there should be {expected}");
    for (name, column) in COLUMNS {
        let (is, should) = (plain(&found[name]), plain(&expected[column]));
        ensure!(is == should, "order {}: {column} is {is}, should be {should}", expected["id"]);
    }
    Ok(())
}

/// Pages through both tables and compares every row with the model's.
pub fn check_all_rows(connection: &mut Connection, model: &Model) -> Result<()> {
    let mut orders: Vec<_> = model.orders.iter().collect();
    orders.sort_by_key(|order| order.id);
    let found = all_rows(connection, "orders", "id", &all_columns())?;
    ensure!(found.len() == orders.len(), "{} orders, should be {}", found.len(), orders.len());
    for (row, order) in found.iter().zip(orders) {
        check_row(row, Some(&order.to_json()))?;
    }
    let mut baskets: Vec<_> = model.baskets.iter().collect();
    baskets.sort_by_key(|basket| basket.id);
    let found = all_rows(connection, "baskets", "id", "id customerId items updatedAt")?;
    ensure!(found.len() == baskets.len(), "{} baskets, should be {}", found.len(), baskets.len());
    for (row, basket) in found.iter().zip(baskets) {
        let expected: Value = serde_json::from_str(&basket.to_json()).context("the model's row is JSON")?;
        for (name, column) in
            [("id", "id"), ("customerId", "customer_id"), ("items", "items"), ("updatedAt", "updated_at")]
        {
            let (is, should) = (plain(&row[name]), plain(&expected[column]));
            ensure!(is == should, "basket {}: {column} is {is}, should be {should}", basket.id);
        }
    }
    Ok(())
}

/// Asks about every moment of the watched orders' histories.
pub fn check_histories(connection: &mut Connection, model: &Model) -> Result<()> {
    let columns = all_columns();
    let document =
        format!("query($id: BigInt!, $at: DateTime!) {{ ordersByKey(id: $id, asOf: {{time: $at}}) {{ {columns} }} }}");
    for (id, changes) in &model.history {
        for change in changes {
            let at = rfc3339(change.occurred_us);
            let answer = connection.graphql(&document, &json!({"id": id.to_string(), "at": at}))?;
            let expected = model.as_of(*id, change.occurred_us).map(crate::generator::Order::to_json);
            check_row(&answer["ordersByKey"], expected.as_deref()).with_context(|| format!("order {id} as of {at}"))?;
        }
    }
    Ok(())
}

/// A moment of a generated stream as GraphQL takes it. They all lie in the first weeks of 2026.
pub fn rfc3339(time_us: i64) -> String {
    let since_us = time_us - crate::generator::BEGIN_US;
    let (days, in_day_us) = (since_us.div_euclid(86_400_000_000), since_us.rem_euclid(86_400_000_000));
    assert!((0..59).contains(&days), "the stream is longer than January and February: {time_us}");
    let (month, day) = if days < 31 { (1, days + 1) } else { (2, days - 30) };
    let (seconds, us) = (in_day_us / 1_000_000, in_day_us % 1_000_000);
    format!("2026-{month:02}-{day:02}T{:02}:{:02}:{:02}.{us:06}Z", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Every row of a view in the order of a column, page by page.
pub fn all_rows(connection: &mut Connection, view: &str, order: &str, columns: &str) -> Result<Vec<Value>> {
    let document = format!(
        "query($after: String) {{ {view}(first: {PAGE}, orderBy: [{{{order}: ASC}}], after: $after) {{ nodes {{ {columns} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    );
    let (mut rows, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut page = connection.graphql(&document, &json!({"after": after}))?[view].take();
        rows.append(page["nodes"].as_array_mut().context("a page has nodes")?);
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(rows);
        }
        after = page["pageInfo"]["endCursor"].take();
    }
}

/// A value to compare by: BigInts are text in GraphQL and numbers in the row; a column that was not there yet is null.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
