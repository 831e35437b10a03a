//! Walks of indexes, against the rows sorted; and what becomes of an index.

use std::cmp::Ordering;

use deltafold_event::{Column, ColumnType};
use serde_json::{Value, json};

use super::{append, entry, moment, open, position};
use crate::{At, Between, Direction, Mirror, Options, Reader, Version, ViewStore, Walk};

fn column(name: &str, column_type: ColumnType) -> Column {
    Column { name: name.into(), column_type }
}

fn wanted() -> [Vec<Column>; 2] {
    let (number, word) = (column("number", ColumnType::Int), column("word", ColumnType::Text));
    [vec![number.clone(), word.clone()], vec![word, number]]
}

pub(super) fn declare(views: &ViewStore, mirror: &Mirror) {
    views.declare_indexes(mirror, &wanted()).unwrap();
}

fn value(version: &Version, column: &str) -> Value {
    serde_json::from_str::<Value>(version.row()).unwrap()[column].clone()
}

/// Nulls as told; numbers and texts by their order.
fn compare(one: &Value, other: &Value, direction: Direction) -> Ordering {
    let order = match (one, other) {
        (Value::Null, Value::Null) => return Ordering::Equal,
        (Value::Null, _) => return if direction.nulls_first { Ordering::Less } else { Ordering::Greater },
        (_, Value::Null) => return compare(other, one, direction).reverse(),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (one, other) => one.as_i64().cmp(&other.as_i64()),
    };
    if direction.descending { order.reverse() } else { order }
}

/// The rows of a walk, in steps of a size.
fn walked(reader: &Reader, index: usize, at: At, walk: &Walk, most: usize) -> Vec<Version> {
    let mut walk = reader.by_index(&reader.indexes()[index], at, walk).unwrap().unwrap();
    let mut found = Vec::new();
    loop {
        let (looked, rows) = walk.rows(most).unwrap();
        found.extend(rows);
        if looked == 0 {
            return found;
        }
    }
}

/// Some orders of both columns, others for each moment: from the beginning and from every row, gives the rows in that order; what is equal and
/// what lies between bounds is what the rows say.
pub(super) fn check(reader: &Reader, at: At) {
    let rows: Vec<Version> = reader.scan(at).collect::<Result<_, _>>().unwrap();
    let direction = |bits: usize| Direction { descending: bits & 1 > 0, nulls_first: bits & 2 > 0 };
    for (index, columns) in wanted().iter().enumerate() {
        let some = (at.time.as_micros() as usize).wrapping_mul(31).wrapping_add(at.position.as_i64() as usize) % 11;
        for bits in (0..32).skip(some).step_by(11) {
            let (directions, ids_descending) = ([direction(bits), direction(bits >> 2)], bits & 16 > 0);
            let mut expected = rows.clone();
            expected.sort_by(|one, other| {
                let by_column = |at: usize| {
                    let [one, other] = [one, other].map(|version| value(version, &columns[at].name));
                    compare(&one, &other, directions[at])
                };
                let by_id = one.key.cmp(&other.key);
                by_column(0).then_with(|| by_column(1)).then(if ids_descending { by_id.reverse() } else { by_id })
            });
            let whole = Walk { directions: directions.to_vec(), ids_descending, ..Walk::default() };
            assert_eq!(walked(reader, index, at, &whole, 3), expected, "{at:?} {whole:?}");
            if let Some(row) = expected.get(bits % expected.len().max(1)) {
                let values: Vec<Value> = columns.iter().map(|column| value(row, &column.name)).collect();
                let texts: Vec<String> = values.iter().map(Value::to_string).collect();
                let after = Walk { after: Some((texts.clone(), row.key.to_string())), ..whole.clone() };
                let rest =
                    expected.iter().skip_while(|other| other.key != row.key).skip(1).cloned().collect::<Vec<_>>();
                assert_eq!(walked(reader, index, at, &after, 1), rest, "{at:?} {after:?}");

                let equal = Walk {
                    equal: vec![texts[0].clone()],
                    directions: vec![directions[1]],
                    ids_descending,
                    ..Walk::default()
                };
                let same = |other: &&Version| value(other, &columns[0].name) == values[0];
                let found: Vec<Version> = expected.iter().filter(same).cloned().collect();
                assert_eq!(walked(reader, index, at, &equal, 2), found, "{at:?} {equal:?}");

                if !values[0].is_null() {
                    let (is_in, is_low) = (bits & 1 > 0, bits & 4 > 0);
                    let bound = Some((texts[0].clone(), is_in));
                    let between = match is_low {
                        true => Between { low: bound, high: None },
                        false => Between { low: None, high: bound },
                    };
                    let walk = Walk { between: Some(between), ..whole.clone() };
                    let ascending = Direction { descending: false, nulls_first: false };
                    let inside = |other: &&Version| {
                        let other = value(other, &columns[0].name);
                        match compare(&other, &values[0], ascending) {
                            Ordering::Equal => is_in,
                            order => !other.is_null() && (order == Ordering::Greater) == is_low,
                        }
                    };
                    let found: Vec<Version> = expected.iter().filter(inside).cloned().collect();
                    assert_eq!(walked(reader, index, at, &walk, 2), found, "{at:?} {walk:?}");
                }
            }
        }
    }
}

fn row(number: i64, word: &str) -> String {
    format!(r#"{{"number":{number},"word":"{word}"}}"#)
}

fn keys(reader: &Reader, at: At) -> Vec<String> {
    walked(reader, 0, at, &Walk::default(), 10).into_iter().map(|version| version.key.into()).collect()
}

#[test]
fn an_index_is_kept_over_openings_and_filled_with_what_was_there() {
    let (dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    append(&views, &mirror, "a", &entry(10, 1, Some(&row(2, "x"))));
    append(&views, &mirror, "b", &entry(10, 2, Some(&row(1, "x"))));
    declare(&views, &mirror);
    assert!(views.has_unfilled(&mirror));
    assert!(views.snapshot().reader(&mirror).indexes().is_empty());
    append(&views, &mirror, "b", &entry(20, 3, Some(&row(3, "x"))));
    // Stopped before its first step, it is taken up again, by whoever opens the store next.
    views.fill_indexes(&mirror, &|| true).unwrap();
    assert!(views.has_unfilled(&mirror));
    drop(views);
    let views = ViewStore::open(dir.path(), Options::default()).unwrap();
    views.fill_indexes(&mirror, &|| false).unwrap();
    assert!(!views.has_unfilled(&mirror));
    let reader = views.snapshot().reader(&mirror);
    assert_eq!(keys(&reader, At::NOW), ["a", "b"]);
    assert_eq!(keys(&reader, At::time(moment(15))), ["b", "a"]);
    assert_eq!(keys(&reader, At::time(moment(5))), [""; 0]);
}

/// What is written in a bulk load is written past them.
#[test]
fn a_bulk_load_leaves_indexes_to_be_filled() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    declare(&views, &mirror);
    views.begin_bulk().unwrap();
    assert!(!views.declare_indexes(&mirror, &wanted()).unwrap());
    append(&views, &mirror, "a", &entry(10, 1, Some(&row(2, "x"))));
    views.end_bulk().unwrap();
    assert!(views.has_unfilled(&mirror) && views.snapshot().reader(&mirror).indexes().is_empty());
    assert!(views.declare_indexes(&mirror, &wanted()).unwrap());
    views.fill_indexes(&mirror, &|| false).unwrap();
    assert_eq!(keys(&views.snapshot().reader(&mirror), At::NOW), ["a"]);
}

/// Recorded at 1, and by the same commit known better at 2: nothing else holds what it was at 1.
#[test]
fn what_came_and_went_within_a_commit_is_found_as_of_then() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    declare(&views, &mirror);
    let (was, is) = (entry(10, 1, Some(&row(1, "x"))), entry(10, 2, Some(&row(2, "x"))));
    let mut batch = views.batch();
    batch.put_superseded(&mirror, "a", &was, position(2)).unwrap();
    batch.put_entry(&mirror, "a", &is).unwrap();
    batch.put_current(&mirror, "a", &is).unwrap();
    batch.commit().unwrap();
    let reader = views.snapshot().reader(&mirror);
    let number =
        |at| walked(&reader, 0, at, &Walk::default(), 10).iter().map(|row| value(row, "number")).collect::<Vec<_>>();
    assert_eq!((number(At::position(position(1))), number(At::NOW)), (vec![json!(1)], vec![json!(2)]));
}

#[test]
fn an_index_that_nobody_wants_goes() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    declare(&views, &mirror);
    append(&views, &mirror, "a", &entry(10, 1, Some(&row(2, "x"))));
    let before = views.snapshot().reader(&mirror);
    assert_eq!(keys(&before, At::NOW), ["a"]);
    let other = [vec![column("number", ColumnType::BigInt)]];
    views.declare_indexes(&mirror, &other).unwrap();
    views.fill_indexes(&mirror, &|| false).unwrap();
    let reader = views.snapshot().reader(&mirror);
    assert_eq!(reader.indexes().iter().map(|index| index.columns().to_vec()).collect::<Vec<_>>(), other);
    assert_eq!(keys(&reader, At::NOW), ["a"]);
    // Who reads still reads what was.
    assert_eq!(keys(&before, At::NOW), ["a"]);
    views.declare_indexes(&mirror, &[]).unwrap();
    views.fill_indexes(&mirror, &|| false).unwrap();
    assert!(views.shared.keyspaces.indexes.is_empty().unwrap());
}

#[test]
fn what_is_too_long_for_an_index_ends_it_and_nothing_else() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    declare(&views, &mirror);
    append(&views, &mirror, "a", &entry(10, 1, Some(&row(1, &"x".repeat(5_000)))));
    append(&views, &mirror, "b", &entry(10, 2, Some(&row(2, "x"))));
    let reader = views.snapshot().reader(&mirror);
    assert!(reader.indexes().is_empty());
    assert_eq!(reader.scan(At::NOW).count(), 2);
}

#[test]
fn a_generation_takes_its_indexes_with_it() {
    let (_dir, views) = open();
    let view = views.generation("totals", 1).unwrap();
    declare(&views, &view);
    let mut batch = views.batch();
    let stored = entry(10, 1, Some(&row(1, "x")));
    batch.put_entry(&view, "a", &stored).unwrap();
    batch.put_current(&view, "a", &stored).unwrap();
    batch.commit_runs().unwrap();
    let reader = views.snapshot().reader(&view);
    assert_eq!(keys(&reader, At::NOW), ["a"]);
    assert_eq!(keys(&reader, At::time(moment(10))), ["a"]);
    views.drop_generation("totals", 1).unwrap();
    assert!(views.shared.keyspaces.indexes.is_empty().unwrap());
}
