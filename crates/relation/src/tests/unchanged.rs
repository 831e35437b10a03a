//! Values that the source left out.

use super::story::{Create, Delete, UNCHANGED, Update, fold, log, read};

fn row(v: i64, text: &str) -> String {
    format!(r#"{{"id":1,"v":{v},"text":{text}}}"#)
}

#[test]
fn an_unchanged_value_comes_from_the_image_before() {
    let story = [
        log(1, "1", Create, &row(1, "\"long\"")),
        log(2, "1", Update, &row(2, UNCHANGED)),
        log(3, "1", Update, &row(3, UNCHANGED)),
    ];
    let memory = fold(&story);
    assert_eq!(memory.row("1", 3), Some(r#"{"id":1,"v":3,"text":"long"}"#));
    assert!(!memory.last["1"].record.shown().unwrap().incomplete);
}

#[test]
fn a_late_event_changes_the_values_that_later_ones_took_over() {
    let story = [
        log(1, "1", Create, &row(1, "\"old\"")),
        log(5, "1", Update, &row(5, UNCHANGED)),
        log(6, "1", Update, &row(6, UNCHANGED)),
        log(7, "1", Update, &row(7, "\"own\"")),
        log(3, "1", Update, &row(3, "\"new\"")),
    ];
    let memory = fold(&story);
    assert_eq!(memory.row("1", 6), Some(r#"{"id":1,"v":6,"text":"new"}"#));
    assert_eq!(memory.row("1", 7), Some(r#"{"id":1,"v":7,"text":"own"}"#));
    assert_eq!(memory.superseded.len(), 2);
    assert_eq!(memory.shown_at("1", 6, super::story::position(4)), Some(r#"{"id":1,"v":6,"text":"old"}"#));
}

#[test]
fn an_unchanged_value_comes_from_a_whole_before() {
    let story = [
        log(1, "1", Create, &row(1, "\"image\"")),
        log(2, "1", Update, &row(2, UNCHANGED)).whole_before(&row(1, "\"before\"")),
    ];
    assert_eq!(fold(&story).row("1", 2), Some(r#"{"id":1,"v":2,"text":"before"}"#));
    // A before that is not whole is not an image.
    let story =
        [log(1, "1", Create, &row(1, "\"image\"")), log(2, "1", Update, &row(2, UNCHANGED)).before(&row(1, "\"\""))];
    assert_eq!(fold(&story).row("1", 2), Some(r#"{"id":1,"v":2,"text":"image"}"#));
}

#[test]
fn a_value_that_cannot_be_found_is_null_and_the_version_incomplete() {
    let story = [
        log(2, "1", Update, &row(2, UNCHANGED)),
        log(3, "1", Update, &row(3, UNCHANGED)),
        read(4, "1", &row(3, "null")),
    ];
    let memory = fold(&story);
    let marks: Vec<bool> = memory.told("1").iter().map(|record| record.shown().unwrap().incomplete).collect();
    assert_eq!(marks, [true, true, false]);
    assert_eq!(memory.row("1", 2), Some(r#"{"id":1,"v":2}"#));
    assert_eq!(memory.versions("1").len(), 3, "a snapshot heals the row, though the value be null");
}

#[test]
fn nothing_is_taken_over_a_delete() {
    let story =
        [log(1, "1", Create, &row(1, "\"dead\"")), log(2, "1", Delete, ""), log(3, "1", Create, &row(3, UNCHANGED))];
    let memory = fold(&story);
    assert_eq!(memory.row("1", 3), Some(r#"{"id":1,"v":3}"#));
    assert!(memory.last["1"].record.shown().unwrap().incomplete);
}

#[test]
fn the_event_that_was_missing_makes_the_row_whole() {
    let story = [log(2, "1", Update, &row(2, UNCHANGED)), log(1, "1", Create, &row(1, "\"found\""))];
    let memory = fold(&story);
    assert_eq!(memory.row("1", 2), Some(r#"{"id":1,"v":2,"text":"found"}"#));
    assert!(!memory.last["1"].record.shown().unwrap().incomplete);
    assert_eq!(memory.superseded.len(), 1);
}
