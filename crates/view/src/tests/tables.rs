//! SQL over a mirror.

use std::sync::Arc;

use arrow::{array::RecordBatch, util::pretty::pretty_format_batches};
use datafusion::{physical_plan::displayable, prelude::SessionContext};
use deltafold_event::{Column, ColumnType};
use tempfile::TempDir;

use super::{append, entry, moment, open, position};
use crate::{At, MirrorTable, Reader, ViewStore};

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type| Column { name: name.into(), column_type };
    vec![
        column("id", ColumnType::BigInt),
        column("status", ColumnType::Text),
        column("total", ColumnType::Decimal(Some((12, 2)))),
        column("placed_at", ColumnType::TimestampTz),
    ]
}

/// Three orders: 1 is paid at 20, 2 is deleted at 30, 3 comes at 40.
fn shop() -> (TempDir, ViewStore, Reader) {
    let (dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let row = |id: u32, status: &str, total: &str| {
        let placed = format!("2026-01-0{id}T10:00:00.000000Z");
        format!(r#"{{"id":{id},"status":"{status}","total":"{total}","placed_at":"{placed}"}}"#)
    };
    append(&views, &mirror, "1", &entry(10, 1, Some(&row(1, "open", "10.50"))));
    append(&views, &mirror, "2", &entry(10, 2, Some(&row(2, "open", "9.00"))));
    append(&views, &mirror, "1", &entry(20, 3, Some(&row(1, "paid", "10.50"))));
    append(&views, &mirror, "2", &entry(30, 4, None));
    append(&views, &mirror, "3", &entry(40, 5, Some(&row(3, "open", "100.00"))));
    let reader = views.snapshot().reader(&mirror);
    (dir, views, reader)
}

fn context(reader: &Reader, at: At) -> SessionContext {
    let context = SessionContext::new();
    let table = MirrorTable::new(reader.clone(), columns(), at).with_key(&["id".to_owned()]);
    context.register_table("orders", Arc::new(table)).unwrap();
    context
}

async fn run(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

/// The cells, row by row.
async fn cells(reader: &Reader, at: At, sql: &str) -> Vec<Vec<String>> {
    let batches = run(&context(reader, at), sql).await;
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let rows = text.lines().skip(3).filter(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

async fn plan(reader: &Reader, sql: &str) -> String {
    let context = context(reader, At::NOW);
    let plan = context.sql(sql).await.unwrap().create_physical_plan().await.unwrap();
    displayable(plan.as_ref()).indent(false).to_string()
}

#[tokio::test]
async fn filters_orders_and_limits() {
    let (_dir, _views, reader) = shop();
    let sql = "SELECT id, status, total FROM orders WHERE total > 10 ORDER BY total DESC";
    assert_eq!(cells(&reader, At::NOW, sql).await, [["3", "open", "100.00"], ["1", "paid", "10.50"]]);
    let sql = "SELECT id FROM orders WHERE placed_at < '2026-01-02T00:00:00Z' OR status = 'open' ORDER BY id LIMIT 1";
    assert_eq!(cells(&reader, At::NOW, sql).await, [["1"]]);
    let sql = "SELECT count(*), sum(total) FROM orders";
    assert_eq!(cells(&reader, At::NOW, sql).await, [["2", "110.50"]]);
}

#[tokio::test]
async fn as_of_times_and_positions() {
    let (_dir, _views, reader) = shop();
    let sql = "SELECT id, status FROM orders";
    assert_eq!(cells(&reader, At::time(moment(5)), sql).await, [[""; 0]; 0]);
    assert_eq!(cells(&reader, At::time(moment(29)), sql).await, [["1", "paid"], ["2", "open"]]);
    assert_eq!(cells(&reader, At::position(position(2)), sql).await, [["1", "open"], ["2", "open"]]);
    let both = At { time: moment(15), position: position(5) };
    assert_eq!(cells(&reader, both, sql).await, [["1", "open"], ["2", "open"]]);
}

#[tokio::test]
async fn hidden_columns_say_where_a_row_stands() {
    let (_dir, _views, reader) = shop();
    let sql = "SELECT _key, _valid_from, _recorded_from, _recorded_to, _event, _incomplete, _row FROM orders LIMIT 1";
    let rows = cells(&reader, At::NOW, sql).await;
    assert_eq!(rows[0][..6], ["1", "1970-01-01T00:00:00.000020Z", "3", "", "", "false"]);
    assert!(rows[0][6].contains(r#""status":"paid""#), "{rows:?}");
}

#[tokio::test]
async fn keys_become_seeks() {
    let (_dir, _views, reader) = shop();
    for (filter, ids) in [
        ("_key = '3'", &["3"][..]),
        ("_key IN ('3', '1', '2', '9')", &["1", "3"]),
        ("_key > '1'", &["3"]),
        ("_key > '1' AND _key IN ('1', '3')", &["3"]),
        ("id = 1", &["1"]),
        ("id = 1 AND status = 'open'", &[]),
        ("id = 1 AND _key = '3'", &[]),
    ] {
        let found = cells(&reader, At::NOW, &format!("SELECT id FROM orders WHERE {filter}")).await;
        assert_eq!(found.concat(), ids, "{filter}");
    }
    assert!(!plan(&reader, "SELECT id FROM orders WHERE _key = '3'").await.contains("FilterExec"));
    assert!(plan(&reader, "SELECT id FROM orders WHERE id = 3").await.contains("FilterExec"));
}

#[tokio::test]
async fn rows_come_in_the_order_of_their_keys() {
    let (_dir, _views, reader) = shop();
    assert!(!plan(&reader, "SELECT _key, id FROM orders ORDER BY _key").await.contains("SortExec"));
    assert!(plan(&reader, "SELECT _key, id FROM orders ORDER BY id").await.contains("SortExec"));
}

#[tokio::test]
async fn many_rows_come_in_batches_and_a_limit_stops_them() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let mut batch = views.batch();
    for id in 0..20_000_i64 {
        let stored = entry(id, id, Some(&format!(r#"{{"id":{id},"total":"{id}.5"}}"#)));
        batch.put_entry(&mirror, &id.to_string(), &stored).unwrap();
        batch.put_current(&mirror, &id.to_string(), &stored).unwrap();
    }
    batch.commit().unwrap();
    let reader = views.snapshot().reader(&mirror);
    for at in [At::NOW, At::time(moment(i64::MAX - 1))] {
        assert_eq!(cells(&reader, at, "SELECT count(*), max(total) FROM orders").await, [["20000", "19999.50"]]);
        assert_eq!(cells(&reader, at, "SELECT id FROM orders ORDER BY total LIMIT 2").await, [["0"], ["1"]]);
        let batches = run(&context(&reader, at), "SELECT _key FROM orders LIMIT 9000").await;
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 9_000);
        assert!(batches.len() > 1);
    }
}
