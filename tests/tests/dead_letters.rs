//! Dead letters that are retried: the views are those that there would have been if the records had been decodable from
//! the start, to the last version.

use deltafold_tests::recording::{Recording, assert_same_views, served_after_retry, served_with};
use serde_json::Value;

/// The recorded lines, with the key taken from the records of some tables.
fn without_keys(recording: &Recording, tables: &[&str]) -> Vec<String> {
    let is_meant = |line: &Value| {
        let topic = line["topic"].as_str().unwrap_or_default();
        tables.iter().any(|table| topic.ends_with(&format!(".{table}")))
    };
    let without = |line: String| {
        let mut record: Value = serde_json::from_str(&line).expect("a record is JSON");
        if is_meant(&record) && !record["payload"].is_null() {
            record["key"] = Value::Null;
            return record.to_string();
        }
        line
    };
    recording.lines().into_iter().map(without).collect()
}

/// Without a declared key, changes of these tables are dead letters; with one, they come after everything else.
fn are_as_if_never_dead(recording: &Recording, keys: &[(&str, &str)]) {
    let tables: Vec<&str> = keys.iter().map(|(table, _)| *table).collect();
    let lines = without_keys(recording, &tables);
    let key = |(table, column): &(&str, &str)| format!("[aggregates.{table}]\nkey = [\"{column}\"]\n");
    let declared: String = keys.iter().map(key).collect();
    let late = served_after_retry(&lines, "", &declared);
    let early = served_with(&lines, &declared);
    assert_same_views(&early, &late, recording);
    late.compare_with_truth(recording);
    late.compare_with_lines(&lines);
}

#[test]
fn a_table_s_key_is_declared_after_its_changes_have_come() {
    let shop = Recording { folder: "shop", stream: "shop", declared: "" };
    are_as_if_never_dead(&shop, &[("orders", "id"), ("products", "sku")]);
}
