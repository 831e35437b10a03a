//! Rows that change their key.

use super::story::{Create, Delete, Told, UNCHANGED, Update, fold, id_of, log, position, read};

fn row(id: i64, text: &str) -> String {
    format!(r#"{{"id":{id},"text":{text}}}"#)
}

/// A key update at a place of the log: its two halves.
fn moved(lsn: u64, from: i64, to: i64, text: &str) -> [Told; 2] {
    let (from_id, to_id) = (from.to_string(), to.to_string());
    [log(lsn, &from_id, Delete, "").to(&to_id), log(lsn, &to_id, Create, &row(to, text)).from(&from_id)]
}

fn permuted(story: &[Told], order: &[usize]) -> Vec<Told> {
    order.iter().map(|&index| story[index].clone()).collect()
}

#[test]
fn a_moved_row_takes_its_unchanged_values_along_whichever_half_comes_first() {
    let [delete, create] = moved(5, 1, 2, UNCHANGED);
    let story = [log(1, "1", Create, &row(1, "\"long\"")), delete, create];
    for order in [[0, 1, 2], [0, 2, 1], [2, 0, 1], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
        let memory = fold(&permuted(&story, &order));
        assert_eq!(memory.row("1", 5), None, "{order:?}");
        assert_eq!(memory.row("2", 5), Some(r#"{"id":2,"text":"long"}"#), "{order:?}");
        assert!(!memory.last["2"].record.shown().unwrap().incomplete, "{order:?}");
    }
}

#[test]
fn until_its_other_half_comes_the_row_is_incomplete() {
    let [delete, create] = moved(5, 1, 2, UNCHANGED);
    let memory = fold(&[log(1, "1", Create, &row(1, "\"long\"")), create, delete]);
    assert_eq!(memory.shown_at("2", 5, position(2)), Some(r#"{"id":2}"#));
    assert_eq!(memory.shown_at("2", 5, position(3)), Some(r#"{"id":2,"text":"long"}"#));
}

#[test]
fn values_are_never_taken_from_what_the_new_key_showed() {
    let [_, create] = moved(5, 1, 2, UNCHANGED);
    let memory = fold(&[log(1, "2", Create, &row(2, "\"other\"")), create]);
    assert_eq!(memory.row("2", 5), Some(r#"{"id":2}"#));
}

#[test]
fn a_late_event_is_carried_along_a_chain_of_moves() {
    let [d1, c1] = moved(5, 1, 2, UNCHANGED);
    let [d2, c2] = moved(6, 2, 3, UNCHANGED);
    let story = [d1, c1, d2, c2, log(3, "1", Update, &row(1, "\"late\"")), log(7, "3", Update, &row(3, UNCHANGED))];
    for order in [[0, 1, 2, 3, 4, 5], [5, 3, 2, 1, 0, 4], [3, 5, 0, 2, 4, 1], [4, 5, 3, 1, 2, 0]] {
        let memory = fold(&permuted(&story, &order));
        assert_eq!(memory.row("3", 7), Some(r#"{"id":3,"text":"late"}"#), "{order:?}");
        assert_eq!(memory.row("3", 6), Some(r#"{"id":3,"text":"late"}"#), "{order:?}");
        assert_eq!(memory.row("2", 5), Some(r#"{"id":2,"text":"late"}"#), "{order:?}");
        assert_eq!((memory.row("2", 6), memory.row("1", 5)), (None, None), "{order:?}");
    }
}

/// `UPDATE … SET id = id + 1` over rows 1, 2 and 3 under a deferred constraint: each key but the first gets its new
/// row before it loses its old one.
fn shift() -> Vec<Told> {
    let mut story: Vec<Told> =
        (1..4).map(|id| log(id as u64, &id.to_string(), Create, &row(id, &format!("\"{id}\"")))).collect();
    for id in 1..4 {
        story.extend(moved(10 + id as u64, id, id + 1, UNCHANGED).map(|half| half.tx("shift").at(20)));
    }
    story
}

#[test]
fn rows_stack_within_a_transaction() {
    let memory = fold(&shift());
    assert_eq!(memory.row("1", 20), None);
    for id in 2..5 {
        let expected = row(id, &format!("\"{}\"", id - 1));
        assert_eq!(memory.row(&id.to_string(), 20), Some(expected.as_str()));
    }
}

#[test]
fn a_stack_comes_out_the_same_in_any_order_of_arrival() {
    let story = shift();
    let orders: [Vec<usize>; 4] = [
        (0..9).rev().collect(),
        vec![0, 1, 2, 4, 6, 8, 3, 5, 7],
        vec![8, 7, 6, 5, 4, 3, 0, 1, 2],
        vec![3, 0, 5, 1, 7, 2, 4, 6, 8],
    ];
    for order in orders {
        let memory = fold(&permuted(&story, &order));
        for id in 1..5 {
            let expected = (id > 1).then(|| row(id, &format!("\"{}\"", id - 1)));
            assert_eq!(memory.row(&id.to_string(), 20), expected.as_deref(), "{order:?}");
        }
    }
}

#[test]
fn two_rows_swap_their_keys() {
    let mut story = vec![log(1, "1", Create, &row(1, "\"a\"")), log(2, "2", Create, &row(2, "\"b\""))];
    story.extend(moved(5, 1, 2, UNCHANGED).map(|half| half.tx("swap").at(9)));
    story.extend(moved(6, 2, 1, UNCHANGED).map(|half| half.tx("swap").at(9)));
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [3, 5, 0, 1, 2, 4]] {
        let memory = fold(&permuted(&story, &order));
        assert_eq!(memory.row("1", 9), Some(r#"{"id":1,"text":"b"}"#), "{order:?}");
        assert_eq!(memory.row("2", 9), Some(r#"{"id":2,"text":"a"}"#), "{order:?}");
    }
}

#[test]
fn an_update_changes_the_newest_and_a_delete_takes_the_oldest() {
    let story = [
        log(1, "1", Create, &row(1, "\"old\"")),
        log(5, "1", Create, &row(1, "\"new\"")).tx("t"),
        log(6, "1", Update, &row(1, "\"newer\"")).tx("t"),
        log(7, "1", Delete, "").tx("t"),
    ];
    let memory = fold(&story);
    assert_eq!(memory.row("1", 9), Some(r#"{"id":1,"text":"newer"}"#));
    assert_eq!(memory.told("1")[2].rows.len(), 2);
    assert_eq!(memory.last["1"].record.since.id, id_of(&story, 3));
}

#[test]
fn at_the_first_event_of_another_transaction_only_the_newest_stays() {
    let stacked = [log(1, "1", Create, &row(1, "\"old\"")), log(5, "1", Create, &row(1, "\"new\"")).tx("t")];
    let mut story = stacked.to_vec();
    story.push(log(7, "1", Delete, "").tx("u"));
    assert_eq!(fold(&story).row("1", 9), None);
    let mut story = stacked.to_vec();
    story.push(log(7, "1", Delete, ""));
    story[2].event.transaction_id = None;
    assert_eq!(fold(&story).row("1", 9), None, "an event without a transaction is one of its own");
}

#[test]
fn a_snapshot_row_does_not_end_a_transaction() {
    let story = [
        log(1, "1", Create, &row(1, "\"old\"")),
        log(5, "1", Create, &row(1, "\"new\"")).tx("t"),
        read(6, "1", &row(1, "\"read\"")),
        log(7, "1", Delete, "").tx("t"),
    ];
    assert_eq!(fold(&story).row("1", 9), Some(r#"{"id":1,"text":"read"}"#));
}

#[test]
fn halves_of_different_transactions_do_not_meet() {
    let [delete, create] = moved(5, 1, 2, UNCHANGED);
    let memory = fold(&[log(1, "1", Create, &row(1, "\"long\"")), delete.tx("a"), create.tx("b")]);
    assert_eq!(memory.row("2", 5), Some(r#"{"id":2}"#));
}

#[test]
fn rows_that_wait_for_each_other_come_to_an_end() {
    // No source sends this: each create waits for what the other's delete took, at one place of the log.
    let story: Vec<Told> = [(1, 2, 1), (2, 1, 2)]
        .into_iter()
        .flat_map(|(id, other, offset)| {
            let (own, other) = (id.to_string(), i64::to_string(&other));
            [
                log(5, &own, Create, &row(id, UNCHANGED)).from(&other).tx("t").offset(offset),
                log(5, &own, Delete, "").to(&other).tx("t").offset(offset + 4),
            ]
        })
        .collect();
    let memory = fold(&story);
    assert_eq!((memory.row("1", 9), memory.row("2", 9)), (None, None));
    assert_eq!(memory.told("1").len(), 2);
}
