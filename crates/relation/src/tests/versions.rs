//! Rows over time: creates, updates, deletes, no-ops, snapshots.

use std::cmp::Reverse;

use super::story::{Create, Delete, Update, at, domain, fold, id_of, log, position, read};
use crate::RecordKind;

#[test]
fn a_row_lives_and_dies() {
    let story = [
        log(1, "1", Create, r#"{"id":1,"v":"a"}"#),
        log(2, "1", Update, r#"{"id":1,"v":"b"}"#),
        log(3, "1", Delete, ""),
    ];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(1, Some(r#"{"id":1,"v":"a"}"#)), (2, Some(r#"{"id":1,"v":"b"}"#)), (3, None)]);
    assert_eq!(memory.row("1", 0), None);
    assert_eq!(memory.row("1", 2), Some(r#"{"id":1,"v":"b"}"#));
    assert_eq!(memory.told("1").iter().map(|record| record.revision).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(memory.state.history_start(), Some(at(1)));
    assert!(memory.superseded.is_empty());
    let sums: Vec<i64> = memory.rows.values().copied().collect();
    assert_eq!(sums, [1, -1, 1, -1]);
}

#[test]
fn a_no_op_makes_no_version_but_is_on_record() {
    let story = [
        log(1, "1", Create, r#"{"id":1,"v":"a"}"#),
        log(2, "1", Update, r#"{"v":"a","id":1,"new":null}"#),
        read(3, "1", r#"{"id":1,"v":"a"}"#),
        log(4, "1", Update, r#"{"id":1,"v":"b"}"#),
        log(5, "1", Update, r#"{"id":1,"v":"a"}"#),
    ];
    let memory = fold(&story);
    let versions: Vec<i64> = memory.versions("1").iter().map(|version| version.0).collect();
    assert_eq!(versions, [1, 4, 5]);
    assert_eq!(memory.told("1").len(), 5);
    assert_eq!(memory.told("1")[2].since.id, id_of(&story, 1));
    assert_eq!(memory.told("1")[4].since.id, id_of(&story, 5));
}

#[test]
fn the_last_of_several_events_at_one_instant_is_shown() {
    let story = [
        log(1, "1", Create, r#"{"v":"a"}"#),
        log(2, "1", Update, r#"{"v":"b"}"#).at(9),
        log(3, "1", Update, r#"{"v":"c"}"#).at(9),
        log(4, "1", Update, r#"{"v":"c"}"#).at(9),
        log(5, "1", Update, r#"{"v":"d"}"#).at(10),
    ];
    let memory = fold(&story);
    assert_eq!(
        memory.versions("1"),
        [(1, Some(r#"{"v":"a"}"#)), (9, Some(r#"{"v":"c"}"#)), (10, Some(r#"{"v":"d"}"#))]
    );
    assert_eq!(memory.told("1")[3].since.id, id_of(&story, 3));
}

#[test]
fn what_changes_and_changes_back_within_an_instant_goes_on() {
    let story = [
        log(1, "1", Create, r#"{"v":"a"}"#),
        log(2, "1", Delete, "").at(9),
        log(3, "1", Create, r#"{"v":"b"}"#).at(9),
        log(4, "1", Update, r#"{"v":"a"}"#).at(9),
    ];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(1, Some(r#"{"v":"a"}"#))]);
    assert_eq!(memory.told("1")[3].since.id, id_of(&story, 1));
    assert_eq!(memory.rows.len(), 1);
}

#[test]
fn an_update_or_a_snapshot_of_nothing_creates() {
    let memory = fold(&[log(1, "1", Update, r#"{"v":1}"#), read(2, "2", r#"{"v":2}"#), log(3, "3", Delete, "")]);
    assert_eq!(
        (memory.row("1", 1), memory.row("2", 2), memory.row("3", 3)),
        (Some(r#"{"v":1}"#), Some(r#"{"v":2}"#), None)
    );
    assert_eq!(memory.told("3").len(), 1);
}

#[test]
fn domain_events_and_messages_are_records_without_rows() {
    let mut message = log(3, "1", Update, "");
    message.event.operation = None;
    message.event.event_type = "prefix".into();
    message.event.after = Some("\"text\"".into());
    let story = [log(1, "1", Create, r#"{"v":1}"#), domain(2, "1", r#"{"note":"x"}"#), message, domain(9, "2", "[]")];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(1, Some(r#"{"v":1}"#))]);
    let kinds: Vec<_> = memory.told("1").iter().map(|record| (record.kind, record.revision)).collect();
    assert_eq!(kinds, [(RecordKind::Log, 1), (RecordKind::Domain, 2), (RecordKind::Log, 3)]);
    assert_eq!((memory.row("2", 9), memory.told("2").len()), (None, 1));
}

#[test]
fn moves_say_what_was_newest_until_a_position() {
    let story =
        [log(1, "1", Create, r#"{"v":1}"#), log(5, "1", Update, r#"{"v":5}"#), log(3, "1", Update, r#"{"v":3}"#)];
    let memory = fold(&story);
    let moves: Vec<_> = memory.moves.iter().map(|((_, at, Reverse(from)), is_back)| (*at, from.0, *is_back)).collect();
    // Before the first there was none, and the late event does not become the newest.
    assert_eq!(moves, [(position(2), at(1), false)]);
}

#[test]
fn columns_are_those_seen() {
    let story = [
        log(1, "1", Create, r#"{"id":1,"v":"a"}"#).key(&["id"]),
        log(2, "1", Update, r#"{"id":1,"w":true,"v":"__debezium_unavailable_value"}"#).key(&["id"]),
    ];
    let memory = fold(&story);
    let columns = memory.state.columns().resolve(&Default::default());
    let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "v", "w"]);
    assert_eq!(memory.state.columns().key, ["id"]);
}
