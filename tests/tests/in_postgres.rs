//! Joins as PostgreSQL makes them: the shop's views, as of any moment, are what the same SQL gives there over the rows
//! that the shop's database had then.

use std::{collections::BTreeMap, fmt::Write as _};

use deltafold_projection::Definition;
use deltafold_tests::projections::{Table, at_moment, difference, shop};
use serde_json::{Map, Value};
use xtask::stack::{Options, Stack};

const JOINED: [&str; 4] = ["idle_customers", "order_details", "spending_by_city", "unsold_products"];
const TABLES: [&str; 4] = ["customers", "products", "orders", "order_lines"];

/// Whether a line of an order counts. In the recording everything is sold from the first days on; here each product only
/// begins to be.
fn is_sold(line: &Map<String, Value>) -> bool {
    let (Some(sku), Some(order)) = (line["sku"].as_str(), line["order_id"].as_u64()) else { return true };
    let number = sku.rsplit('-').next().and_then(|number| number.parse::<u64>().ok()).expect("a number");
    order >= number % 100 * 40
}

#[test]
fn the_shop_s_joins_are_those_of_postgres_at_every_moment() {
    let stack = Stack::up(&Options { postgres: true, ..Options::default() }).expect("the stack starts");
    let postgres = stack.postgres().expect("PostgreSQL");
    let projected = shop::projected(|stored| {
        let line = stored.event.after.as_deref().filter(|_| &*stored.event.aggregate_type == "order_lines");
        line.is_none_or(|line| is_sold(&serde_json::from_str(line).expect("a row is an object")))
    });
    let joined: Vec<&(Definition, String)> =
        projected.definitions.iter().filter(|(definition, _)| JOINED.contains(&definition.name())).collect();
    assert_eq!(joined.len(), JOINED.len());
    let views: BTreeMap<&str, _> =
        JOINED.iter().map(|name| (*name, projected.kept.derived(name).expect("it is shown"))).collect();

    let mut sql = "SET TimeZone = 'UTC'; CREATE SCHEMA truth; SET search_path = truth;".to_owned();
    for table in TABLES {
        write!(sql, "CREATE TABLE {table} AS TABLE public.{table} WITH NO DATA;").expect("writing to memory");
    }
    let moments = shop::SHOP.moments();
    for moment in &moments {
        for (table, rows) in moment.tables.iter().filter(|(table, _)| TABLES.contains(&table.as_str())) {
            let counts = |row: &&Map<String, Value>| table != "order_lines" || is_sold(row);
            let rows: Vec<&Map<String, Value>> = rows.iter().filter(counts).collect();
            let rows = serde_json::to_string(&rows).expect("it is JSON").replace('\'', "''");
            write!(
                sql,
                "TRUNCATE {table}; INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, '{rows}');"
            )
            .expect("writing to memory");
        }
        for (_, query) in &joined {
            write!(sql, "SELECT coalesce(json_agg(row_to_json(v))::text, '[]') FROM ({query}) AS v;")
                .expect("writing to memory");
        }
    }
    let said = postgres.sql(&sql).expect("PostgreSQL answers");
    // A row of what it says may take several lines.
    let mut said = serde_json::Deserializer::from_str(&said).into_iter::<Vec<Map<String, Value>>>();
    let mut compared: BTreeMap<&str, usize> = BTreeMap::new();
    for moment in &moments {
        let at = moment.at.parse().expect("a moment");
        for (definition, _) in &joined {
            let rows = said.next().expect("an answer to each").expect("it is JSON");
            *compared.entry(definition.name()).or_default() += rows.len();
            let expected = Table::of_view(definition, rows).canonical();
            if let Some(difference) = difference(&at_moment(&views[definition.name()], at), &expected) {
                panic!("{} at {}\n{difference}", definition.name(), moment.at);
            }
        }
    }
    assert!(said.next().is_none(), "there are more answers than questions");
    assert!(compared.values().all(|rows| *rows > 50), "{compared:?} at {} moments", moments.len());
}
