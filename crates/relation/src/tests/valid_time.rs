//! From when on events hold.

use super::story::{Create, Delete, Update, at, domain, fold, log, position, read, truncate};

fn valid(memory: &crate::InMemory, id: &str) -> Vec<i64> {
    memory.told(id).iter().map(|record| record.valid_from.as_micros() / 1_000_000).collect()
}

#[test]
fn a_log_event_is_never_before_the_one_it_follows() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#).at(50),
        log(2, "1", Update, r#"{"v":2}"#).at(20),
        log(3, "1", Delete, "").at(60),
    ];
    assert_eq!(valid(&fold(&story), "1"), [50, 50, 60]);
}

#[test]
fn a_late_event_pushes_what_follows_it_on() {
    let story = [
        log(2, "1", Update, r#"{"v":2}"#).at(20),
        log(3, "1", Update, r#"{"v":3}"#).at(70),
        log(1, "1", Create, r#"{"v":1}"#).at(50),
    ];
    let memory = fold(&story);
    assert_eq!(valid(&memory, "1"), [50, 50, 70]);
    assert_eq!(memory.shown_at("1", 30, position(2)), Some(r#"{"v":2}"#));
    assert_eq!(memory.shown_at("1", 30, position(3)), None);
}

#[test]
fn a_snapshot_row_is_held_between_its_neighbours() {
    // Its clock is ahead: the log event after it pulls it back.
    let story = [
        log(1, "1", Create, r#"{"v":1}"#).at(10),
        read(50, "1", r#"{"v":"r"}"#),
        log(2, "1", Update, r#"{"v":2}"#).at(20),
    ];
    let memory = fold(&story);
    assert_eq!(valid(&memory, "1"), [10, 20, 20]);
    assert_eq!(memory.shown_at("1", 50, position(2)), Some(r#"{"v":"r"}"#));
    assert_eq!(memory.shown_at("1", 30, position(2)), Some(r#"{"v":1}"#));
    assert_eq!(memory.shown_at("1", 50, position(3)), Some(r#"{"v":2}"#));
    // Its clock is behind.
    let story = [log(1, "1", Create, r#"{"v":1}"#).at(10), read(5, "1", r#"{"v":"r"}"#)];
    assert_eq!(valid(&fold(&story), "1"), [10, 10]);
}

#[test]
fn a_log_event_is_not_held_back_by_a_snapshot_row() {
    let story =
        [read(50, "1", r#"{"v":"r"}"#), read(60, "1", r#"{"v":"s"}"#), log(2, "1", Update, r#"{"v":2}"#).at(20)];
    assert_eq!(valid(&fold(&story), "1"), [20, 20, 20]);
    // A late log event further on gives it room again.
    let story = [
        log(1, "1", Create, r#"{"v":1}"#).at(10),
        read(50, "1", r#"{"v":"r"}"#),
        log(9, "1", Update, r#"{"v":9}"#).at(20),
        log(5, "1", Update, r#"{"v":5}"#).at(40),
    ];
    assert_eq!(valid(&fold(&story), "1"), [10, 40, 40, 40]);
}

#[test]
fn a_domain_event_is_never_before_the_event_it_stands_after() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#).at(10),
        domain(3, "1", "{}"),
        domain(30, "1", "{}"),
        log(2, "1", Update, r#"{"v":2}"#).at(20),
    ];
    let memory = fold(&story);
    assert_eq!(valid(&memory, "1"), [10, 10, 20, 20]);
    assert_eq!(memory.versions("1"), [(10, Some(r#"{"v":1}"#)), (20, Some(r#"{"v":2}"#))]);
}

#[test]
fn a_truncate_is_a_log_event_of_every_aggregate_whose_row_it_ends() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#).at(10),
        log(2, "2", Create, r#"{"v":2}"#).at(10),
        log(3, "2", Delete, "").at(12),
        truncate(5).at(50),
        log(6, "1", Create, r#"{"v":6}"#).at(40),
        log(7, "2", Create, r#"{"v":7}"#).at(40),
    ];
    let memory = fold(&story);
    assert_eq!(valid(&memory, "1"), [10, 50, 50]);
    assert_eq!(valid(&memory, "2"), [10, 12, 40]);
}

#[test]
fn history_starts_with_the_first_thing_known() {
    let memory = fold(&[log(5, "1", Create, r#"{"v":1}"#), log(2, "2", Create, r#"{"v":1}"#)]);
    assert_eq!(memory.state.history_start(), Some(at(2)));
}
