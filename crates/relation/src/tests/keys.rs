//! Keys whose columns change.

use super::story::{Create, Delete, Told, Update, fold, id_of, log, position, read, truncate};
use crate::{InMemory, RecordKind};

const OLD: [&str; 1] = ["id"];
const NEW: [&str; 2] = ["id", "lvl"];

fn row(id: i64, v: i64) -> String {
    format!(r#"{{"id":{id},"lvl":"L{id}","v":{v}}}"#)
}

fn old(lsn: u64, id: i64, v: i64) -> Told {
    log(lsn, &id.to_string(), Update, &row(id, v)).key(&OLD)
}

fn new_id(id: i64) -> String {
    format!(r#"[{id},"L{id}"]"#)
}

fn new(lsn: u64, id: i64, v: i64) -> Told {
    log(lsn, &new_id(id), Update, &row(id, v)).key(&NEW)
}

fn rows(memory: &InMemory, second: i64) -> Vec<String> {
    let ids = memory.records.keys();
    ids.filter_map(|id| memory.row(id, second).map(|row| format!("{id} {row}"))).collect()
}

fn shown(id: &str, row: String) -> String {
    format!("{id} {row}")
}

#[test]
fn rows_get_their_new_ids_at_the_first_event_that_shows_the_new_key() {
    let story = [old(1, 4, 1), old(2, 5, 2), new(10, 4, 10), log(11, &new_id(5), Delete, "").key(&NEW)];
    let memory = fold(&story);
    assert_eq!(rows(&memory, 9), [shown("4", row(4, 1)), shown("5", row(5, 2))]);
    assert_eq!(rows(&memory, 10), [shown(&new_id(4), row(4, 10)), shown(&new_id(5), row(5, 2))]);
    assert_eq!(rows(&memory, 11), [shown(&new_id(4), row(4, 10))]);
    let kinds: Vec<_> = memory.told(&new_id(5)).iter().map(|record| (record.kind, record.id)).collect();
    assert_eq!(kinds, [(RecordKind::RekeyedIn, id_of(&story, 3)), (RecordKind::Log, id_of(&story, 4))]);
    assert_eq!(memory.told("5")[1].moved_to, Some(new_id(5)));
    assert_eq!(memory.state.columns().key, NEW);
    assert_eq!(memory.shown_at("5", 12, position(2)), Some(row(5, 2).as_str()));
}

#[test]
fn any_order_of_arrival_gives_the_same_rows() {
    let story = [old(1, 4, 1), old(2, 5, 2), new(10, 4, 10), new(11, 6, 11), new(12, 5, 12)];
    let expected: Vec<_> = (0..14).map(|second| rows(&fold(&story), second)).collect();
    for order in [[4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [1, 4, 0, 3, 2], [3, 1, 2, 0, 4]] {
        let told: Vec<_> = order.iter().map(|&index: &usize| story[index].clone()).collect();
        let memory = fold(&told);
        let found: Vec<_> = (0..14).map(|second| rows(&memory, second)).collect();
        assert_eq!(found, expected, "{order:?}");
        assert_eq!(memory.state.keys().len(), 2, "{order:?}");
    }
}

#[test]
fn a_late_event_under_the_old_key_is_re_keyed_too() {
    let memory = fold(&[new(10, 4, 10), old(3, 5, 3), old(2, 4, 2)]);
    assert_eq!(rows(&memory, 9), [shown("4", row(4, 2)), shown("5", row(5, 3))]);
    assert_eq!(rows(&memory, 10), [shown(&new_id(4), row(4, 10)), shown(&new_id(5), row(5, 3))]);
}

#[test]
fn a_late_delete_takes_the_re_keyed_row_back() {
    let delete = log(3, "5", Delete, "").key(&OLD);
    let memory = fold(&[old(1, 4, 1), old(2, 5, 2), new(10, 4, 10), delete]);
    assert_eq!(rows(&memory, 10), [shown(&new_id(4), row(4, 10))]);
    assert!(memory.told(&new_id(5)).is_empty());
    assert_eq!(memory.shown_at(&new_id(5), 10, position(3)), Some(row(5, 2).as_str()));
    assert_eq!(memory.shown_at(&new_id(5), 10, position(4)), None);
}

#[test]
fn a_late_event_carries_its_values_into_the_new_id() {
    let unchanged = format!(r#"{{"id":5,"lvl":"L5","v":{}}}"#, super::story::UNCHANGED);
    let memory = fold(&[old(1, 5, 1), new(10, 4, 10), log(11, &new_id(5), Update, &unchanged).key(&NEW), old(3, 5, 3)]);
    assert_eq!(rows(&memory, 11), [shown(&new_id(4), row(4, 10)), shown(&new_id(5), row(5, 3))]);
    assert_eq!(memory.shown_at(&new_id(5), 11, position(3)), Some(row(5, 1).as_str()));
}

#[test]
fn a_row_without_the_new_columns_keeps_its_id() {
    let bare = log(1, "4", Create, r#"{"id":4}"#).key(&OLD);
    let memory = fold(&[bare, old(2, 5, 2), new(10, 6, 10)]);
    assert_eq!(memory.row("4", 10), Some(r#"{"id":4}"#));
    assert_eq!(memory.row("5", 10), None);
}

#[test]
fn a_snapshot_with_a_new_key_re_keys_what_is_known() {
    let incremental = read(20, &new_id(4), &row(4, 20)).key(&NEW);
    let memory = fold(&[old(1, 4, 1), old(2, 5, 2), incremental, new(30, 5, 30)]);
    assert_eq!(rows(&memory, 20), [shown(&new_id(4), row(4, 20)), shown(&new_id(5), row(5, 2))]);
    assert_eq!(rows(&memory, 30), [shown(&new_id(4), row(4, 20)), shown(&new_id(5), row(5, 30))]);
    assert_eq!(memory.state.keys().len(), 2);
    // An old snapshot row that arrives later changes no key.
    let memory = fold(&[old(1, 4, 1), new(30, 5, 30), read(20, "9", &row(9, 1)).key(&OLD)]);
    assert_eq!(memory.state.columns().key, NEW);
}

#[test]
fn a_partition_that_lags_behind_a_snapshot_with_a_new_key_catches_up() {
    let incremental = read(20, &new_id(4), &row(4, 20)).key(&NEW);
    let memory = fold(&[old(1, 4, 1), old(2, 5, 2), incremental, new(30, 5, 30), old(8, 6, 8)]);
    assert_eq!(
        rows(&memory, 30),
        [shown(&new_id(4), row(4, 20)), shown(&new_id(5), row(5, 30)), shown(&new_id(6), row(6, 8))]
    );
}

#[test]
fn truncates_and_changed_keys_stand_in_one_order() {
    let memory = fold(&[old(1, 4, 1), old(2, 5, 2), new(10, 6, 10), truncate(5), old(6, 7, 6)]);
    assert_eq!(rows(&memory, 6), [shown("7", row(7, 6))]);
    assert_eq!(rows(&memory, 10), [shown(&new_id(6), row(6, 10)), shown(&new_id(7), row(7, 6))]);
    assert!(memory.told(&new_id(5)).is_empty());
}
