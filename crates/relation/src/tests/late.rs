//! Events that arrive after later ones.

use super::story::{Create, Delete, Update, fold, id_of, log, position, read};

#[test]
fn a_late_event_takes_its_place() {
    let story =
        [log(1, "1", Create, r#"{"v":1}"#), log(5, "1", Update, r#"{"v":5}"#), log(3, "1", Update, r#"{"v":3}"#)];
    let memory = fold(&story);
    let versions = memory.versions("1");
    assert_eq!(versions, [(1, Some(r#"{"v":1}"#)), (3, Some(r#"{"v":3}"#)), (5, Some(r#"{"v":5}"#))]);
    // What was believed is not edited away.
    assert_eq!(memory.shown_at("1", 4, position(2)), Some(r#"{"v":1}"#));
    assert_eq!(memory.shown_at("1", 4, position(3)), Some(r#"{"v":3}"#));
    // The version after it is as it was.
    assert!(memory.superseded.is_empty());
    assert_eq!(memory.rows.values().sum::<i64>(), 1);
}

#[test]
fn a_version_that_turns_out_to_be_older_is_believed_anew() {
    let story =
        [log(5, "1", Create, r#"{"v":1}"#), log(6, "1", Update, r#"{"v":1}"#), log(3, "1", Create, r#"{"v":1}"#)];
    let memory = fold(&story);
    assert_eq!(memory.versions("1"), [(3, Some(r#"{"v":1}"#))]);
    assert_eq!(memory.superseded.len(), 2);
    assert!(memory.told("1").iter().all(|record| record.since.id == id_of(&story, 3)));
    let then = memory.as_of("1", super::story::at(7), position(2)).unwrap();
    assert_eq!(then.since.id, id_of(&story, 1));
}

#[test]
fn a_late_event_between_equal_images_splits_their_version() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#),
        log(5, "1", Update, r#"{"v":1}"#),
        log(9, "1", Update, r#"{"v":1}"#),
        log(3, "1", Update, r#"{"v":3}"#),
    ];
    let memory = fold(&story);
    let from: Vec<i64> = memory.versions("1").iter().map(|version| version.0).collect();
    assert_eq!(from, [1, 3, 5]);
    assert_eq!(memory.shown_at("1", 9, position(3)), Some(r#"{"v":1}"#));
    assert_eq!(memory.as_of("1", super::story::at(9), position(3)).unwrap().since.valid_from, super::story::at(1));
    assert_eq!(memory.as_of("1", super::story::at(9), position(4)).unwrap().since.valid_from, super::story::at(5));
}

#[test]
fn any_order_of_arrival_gives_the_same_versions() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#),
        log(2, "1", Update, r#"{"v":2}"#).at(9),
        log(3, "1", Delete, "").at(4),
        log(4, "1", Create, r#"{"v":4}"#).at(9),
        log(5, "1", Update, r#"{"v":2}"#).at(9),
    ];
    let expected =
        fold(&story).versions("1").iter().map(|(from, row)| (*from, row.map(str::to_owned))).collect::<Vec<_>>();
    assert_eq!(expected.iter().map(|version| version.0).collect::<Vec<_>>(), [1, 9]);
    for order in permutations(story.len()) {
        let shuffled: Vec<_> = order.iter().map(|&index| story[index].clone()).collect();
        let memory = fold(&shuffled);
        let versions: Vec<_> = memory.versions("1").iter().map(|(from, row)| (*from, row.map(str::to_owned))).collect();
        assert_eq!(versions, expected, "{order:?}");
    }
}

#[test]
fn a_late_event_folds_only_as_far_as_it_changes_something() {
    let mut story: Vec<_> = (10..200).map(|lsn| log(lsn, "1", Update, &format!(r#"{{"v":{lsn}}}"#))).collect();
    story.push(log(100, "1", Update, r#"{"v":"late"}"#).offset(200).tx("other").at(100));
    let memory = fold(&story);
    assert!(memory.superseded.is_empty(), "the update after it stands as it did");
    assert_eq!(memory.row("1", 100), Some(r#"{"v":"late"}"#));
    assert_eq!(memory.row("1", 101), Some(r#"{"v":101}"#));
}

#[test]
fn a_snapshot_row_stays_behind_the_event_it_came_after() {
    let story = [
        log(1, "1", Create, r#"{"v":1}"#),
        read(2, "1", r#"{"v":"read"}"#),
        log(5, "1", Update, r#"{"v":5}"#),
        log(3, "1", Update, r#"{"v":3}"#),
    ];
    let memory = fold(&story);
    let rows: Vec<_> = memory.told("1").iter().map(|record| record.shown().unwrap().json.as_str()).collect();
    assert_eq!(rows, [r#"{"v":1}"#, r#"{"v":"read"}"#, r#"{"v":3}"#, r#"{"v":5}"#]);
}

fn permutations(length: usize) -> Vec<Vec<usize>> {
    if length == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(length - 1);
    let insert = |order: &Vec<usize>, place: usize| {
        let mut order = order.clone();
        order.insert(place, length - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..length).map(move |place| insert(order, place))).collect()
}
