//! Events that come again.

use super::story::{Create, Delete, Update, at, domain, fold, id_of, log, position, read, store, truncate};
use crate::InMemory;

#[test]
fn a_log_event_that_comes_again_changes_nothing() {
    let once = [
        log(1, "1", Create, r#"{"v":1}"#),
        log(2, "1", Update, r#"{"v":2}"#),
        log(3, "1", Update, r#"{"v":3}"#),
        log(4, "1", Delete, ""),
    ];
    let mut again = once.to_vec();
    again.extend(once[..3].iter().map(|told| told.clone().offset(70 + told.event.coordinates.offset)));
    let (once, again) = (fold(&once), fold(&again));
    assert_eq!(once, again);
}

#[test]
fn reading_a_record_again_changes_nothing() {
    let row = read(1, "1", r#"{"v":1}"#);
    let note = domain(2, "1", "{}");
    let change = log(3, "1", Update, r#"{"v":3}"#);
    let once = fold(&[row.clone(), note.clone(), change.clone()]);
    let again = fold(&[row.clone(), note.clone(), change.clone(), row.clone(), row, note, change]);
    assert_eq!(once, again);
}

#[test]
fn equal_snapshot_rows_read_at_two_offsets_are_two_events() {
    let memory = fold(&[read(1, "1", r#"{"v":1}"#), read(5, "1", r#"{"v":1}"#).at(1)]);
    assert_eq!(memory.told("1").len(), 2);
    assert_eq!(memory.versions("1").len(), 1);
}

#[test]
fn events_at_one_source_position_stand_by_offset() {
    let first = log(5, "1", Create, r#"{"v":1}"#).offset(10).tx("t").at(5);
    let second = log(5, "1", Update, r#"{"v":2}"#).offset(11).tx("t").at(5);
    let memory = fold(&[second.clone(), first.clone()]);
    assert_eq!(memory.row("1", 5), Some(r#"{"v":2}"#));
    assert_eq!(memory.told("1").len(), 2);
    // Delivered again with a lower offset, the second comes first.
    let memory = fold(&[first, second.clone(), second.offset(3)]);
    assert_eq!(memory.told("1").len(), 2);
    assert_eq!(memory.row("1", 5), Some(r#"{"v":1}"#));
}

#[test]
fn a_lower_offset_that_reorders_nothing_changes_no_row() {
    let update = log(5, "1", Update, r#"{"v":2}"#).offset(10);
    let memory = fold(&[log(1, "1", Create, r#"{"v":1}"#), update.clone(), update.offset(4)]);
    let newest = &memory.last["1"].record;
    assert_eq!((newest.order.offset, newest.recorded_from, newest.position), (4, position(3), position(2)));
    assert_eq!(memory.told("1").len(), 2);
    assert_eq!(memory.shown_at("1", 5, position(2)), memory.row("1", 5));
}

#[test]
fn two_events_at_one_source_position_and_offset_are_two() {
    let one = log(5, "1", Create, r#"{"v":1}"#);
    let other = log(5, "1", Update, r#"{"v":2}"#).tx("other");
    let memory = fold(&[one, other.clone(), other]);
    assert_eq!(memory.told("1").len(), 2);
    assert_eq!(memory.row("1", 5), Some(r#"{"v":2}"#));
}

#[test]
fn a_truncate_that_comes_again_from_another_partition_changes_nothing() {
    let row = log(1, "1", Create, r#"{"v":1}"#);
    let later = log(9, "2", Create, r#"{"v":2}"#);
    for offset in [3, 77] {
        let story = [row.clone(), truncate(5), later.clone(), truncate(5).offset(offset)];
        let memory = fold(&story);
        assert_eq!((memory.row("1", 4), memory.row("1", 5)), (Some(r#"{"v":1}"#), None));
        assert_eq!(memory.row("2", 9), Some(r#"{"v":2}"#));
        assert_eq!(memory.told("1").len(), 2);
        assert_eq!(memory.shown_at("1", 5, position(2)), None);
    }
}

#[test]
fn the_revision_is_the_rank_by_position() {
    let story = [
        log(5, "1", Create, r#"{"v":5}"#),
        log(5, "1", Create, r#"{"v":5}"#),
        log(3, "1", Create, r#"{"v":3}"#),
        truncate(6),
        read(9, "1", r#"{"v":9}"#),
    ];
    let memory = fold(&story);
    let revisions: Vec<_> = memory.told("1").iter().map(|record| (record.id, record.revision)).collect();
    assert_eq!(revisions, [(id_of(&story, 3), 2), (id_of(&story, 1), 1), (id_of(&story, 4), 0), (id_of(&story, 5), 3)]);
    assert_eq!(memory.last["1"].revisions, 3);
}

#[test]
fn an_empty_batch_changes_nothing() {
    let (_, schemas) = store(&[]);
    let mut memory = fold(&[log(1, "1", Create, r#"{"v":1}"#)]);
    let before = memory.clone();
    memory.fold(&[], &schemas);
    assert_eq!((memory, InMemory::default().row("1", 1)), (before, None));
    assert_eq!(at(0).as_micros(), 0);
}

#[test]
fn a_row_that_is_reordered_below_an_anchored_event_stays() {
    let delete = log(5, "1", Delete, "").tx("t").at(0).offset(11);
    let create = log(5, "1", Create, r#"{"v":1}"#).tx("t").at(0).offset(12);
    let story = [delete.clone(), domain(0, "1", "{}"), create.clone(), delete.offset(10), create.offset(11)];
    let memory = fold(&story);
    assert_eq!(memory.row("1", 5), Some(r#"{"v":1}"#));
    assert_eq!(memory.rows.values().copied().collect::<Vec<_>>(), [1]);
}
