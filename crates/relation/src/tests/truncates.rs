//! Truncates.

use super::story::{Create, Update, domain, fold, id_of, log, position, read, truncate};
use crate::RecordKind;

#[test]
fn a_truncate_ends_every_row_of_its_type_that_stands_before_it() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#),
        log(2, "2", Create, r#"{"v":2}"#),
        log(9, "3", Create, r#"{"v":3}"#),
        truncate(5),
        log(6, "1", Create, r#"{"v":6}"#),
    ];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(1, Some(r#"{"v":1}"#)), (5, None), (6, Some(r#"{"v":6}"#))]);
    assert_eq!(memory.row("2", 5), None);
    assert_eq!(memory.versions("3"), [(9, Some(r#"{"v":3}"#))]);
    let ended = memory.told("2")[1];
    assert_eq!((ended.kind, ended.id, ended.revision), (RecordKind::Truncated, id_of(&story, 4), 0));
    // Before it was recorded, nobody knew.
    assert_eq!(memory.shown_at("2", 7, position(3)), Some(r#"{"v":2}"#));
}

#[test]
fn an_earlier_event_that_arrives_later_is_ended_too() {
    let story = [
        truncate(5),
        log(3, "1", Create, r#"{"v":3}"#),
        log(4, "1", Update, r#"{"v":4}"#),
        log(2, "2", Create, r#"{"v":2}"#),
    ];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(3, Some(r#"{"v":3}"#)), (4, Some(r#"{"v":4}"#)), (5, None)]);
    assert_eq!(memory.row("2", 5), None);
}

#[test]
fn a_late_delete_takes_the_end_away_again() {
    let delete = log(4, "1", super::story::Delete, "");
    let story = [log(1, "1", Create, r#"{"v":1}"#), truncate(5), delete];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(1, Some(r#"{"v":1}"#)), (4, None)]);
    assert_eq!(memory.told("1").len(), 2);
    assert_eq!(memory.superseded.len(), 1);
    assert_eq!(memory.shown_at("1", 4, position(2)), Some(r#"{"v":1}"#));
}

#[test]
fn a_late_truncate_ends_what_stood_there() {
    let story = [log(1, "1", Create, r#"{"v":1}"#), log(7, "1", Update, r#"{"v":7}"#), truncate(5)];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(1, Some(r#"{"v":1}"#)), (5, None), (7, Some(r#"{"v":7}"#))]);
    assert_eq!(memory.shown_at("1", 6, position(2)), Some(r#"{"v":1}"#));
    assert_eq!(memory.shown_at("1", 6, position(3)), None);
}

#[test]
fn snapshot_rows_after_a_truncate_stand_after_it() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#),
        truncate(5),
        read(8, "1", r#"{"v":8}"#),
        read(8, "2", r#"{"v":9}"#),
        domain(9, "3", "{}"),
    ];
    let memory = fold(&story);
    assert_eq!(memory.row("1", 8), Some(r#"{"v":8}"#));
    assert_eq!(memory.row("2", 8), Some(r#"{"v":9}"#));
    // A row read before it is ended, whichever way its clock goes.
    let story = [read(8, "1", r#"{"v":8}"#), truncate(5)];
    assert_eq!(fold(&story).row("1", 8), None);
}

#[test]
fn truncates_arrive_in_any_order() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#),
        truncate(9),
        log(7, "1", Create, r#"{"v":7}"#),
        truncate(5),
        log(6, "2", Create, r#"{"v":6}"#),
    ];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(1, Some(r#"{"v":1}"#)), (5, None), (7, Some(r#"{"v":7}"#)), (9, None)]);
    assert_eq!(memory.versions("2"), [(6, Some(r#"{"v":6}"#)), (9, None)]);
    assert_eq!(memory.told("1").len(), 4);
}

#[test]
fn a_truncate_ends_a_whole_stack() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#),
        log(2, "1", Create, r#"{"v":2}"#).tx("t"),
        truncate(3).tx("t"),
        log(4, "1", Create, r#"{"v":4}"#).tx("t"),
        log(5, "1", super::story::Delete, "").tx("t"),
    ];
    assert_eq!(fold(&story).row("1", 9), None);
}
