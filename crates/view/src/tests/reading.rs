//! The order and extent of what a keeper reads back.

use super::{append, entry, moment, open, order, position};
use crate::{At, Entry, Options, Stored, ViewStore};
use deltafold_event::{EventId, Position, Timestamp};

fn recorded(entries: impl Iterator<Item = Result<Stored, crate::ReadError>>) -> Vec<i64> {
    entries.map(|entry| entry.unwrap().entry().recorded_from.as_i64()).collect()
}

#[test]
fn entries_are_read_both_ways_from_a_place() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    for at in 1..=4 {
        append(&views, &mirror, "7", &entry(10 * (at / 2), at, Some("{}")));
        append(&views, &mirror, "70", &entry(0, 10 + at, Some("{}")));
    }
    let reader = views.snapshot().reader(&mirror);
    assert_eq!(recorded(reader.entries("7")), [1, 2, 3, 4]);
    assert_eq!(recorded(reader.entries_newest_first("7")), [4, 3, 2, 1]);
    assert_eq!(recorded(reader.entries_before("7", moment(10), &order(3))), [2, 1]);
    assert_eq!(recorded(reader.entries_from("7", moment(10), &order(3))), [3, 4]);
    assert_eq!(recorded(reader.entries_before("7", moment(0), &order(0))), [0; 0]);
    assert_eq!(recorded(reader.entries("8")), [0; 0]);
}

#[test]
fn mirrors_do_not_see_each_other() {
    let (_dir, views) = open();
    let [orders, items] = ["orders", "items"].map(|name| views.mirror(name).unwrap());
    append(&views, &orders, "1", &entry(0, 1, Some("{\"o\":1}")));
    append(&views, &items, "1", &entry(0, 2, Some("{\"i\":1}")));
    let mut batch = views.batch();
    batch.put_seen(&orders, EventId::from_bytes([1; 16]));
    batch.commit().unwrap();
    let snapshot = views.snapshot();
    for (mirror, row, seen) in [(&orders, "{\"o\":1}", true), (&items, "{\"i\":1}", false)] {
        let reader = snapshot.reader(mirror);
        assert_eq!(reader.current("1").unwrap().unwrap().row(), row);
        assert_eq!(reader.scan(At::NOW).count(), 1);
        assert_eq!(reader.scan(At::time(moment(5))).count(), 1);
        assert_eq!(reader.seen(EventId::from_bytes([1; 16])).unwrap(), seen);
    }
}

#[test]
fn an_absent_row_has_no_version_but_an_entry_and_a_key() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    append(&views, &mirror, "1", &entry(10, 1, Some("{}")));
    append(&views, &mirror, "1", &entry(20, 2, None));
    let reader = views.snapshot().reader(&mirror);
    assert_eq!(reader.current("1").unwrap(), None);
    assert_eq!(reader.last("1").unwrap().unwrap().entry().row, None);
    assert_eq!(reader.keys().map(Result::unwrap).collect::<Vec<_>>(), ["1".into()]);
    let version = reader.as_of("1", At::time(moment(19))).unwrap().unwrap();
    assert_eq!(reader.valid_to(&version, position(i64::MAX)).unwrap(), Some(moment(20)));
    assert_eq!(reader.valid_to(&version, position(1)).unwrap(), None);
}

/// A scan of the past leaves long histories by a seek, and finds the same.
#[test]
fn a_scan_passes_long_histories() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let mut batch = views.batch();
    for at in 0..500 {
        for (aggregate, valid_from) in [("long", at), ("short", 0)] {
            let stored = entry(valid_from, at, Some(&format!("{{\"at\":{at}}}")));
            let is_first_or_long = aggregate == "long" || at == 0;
            if is_first_or_long {
                batch.put_entry(&mirror, aggregate, &stored).unwrap();
                if at > 0 {
                    let before = (moment(valid_from - 1), &order(at as u64 - 1)[..]);
                    batch.put_head(&mirror, aggregate, position(at), before, false).unwrap();
                }
            }
        }
    }
    batch.commit().unwrap();
    let reader = views.snapshot().reader(&mirror);
    for at in [At::time(moment(3)), At::time(moment(300)), At::position(position(4)), At::position(position(400))] {
        let scanned: Vec<_> = reader.scan(at).map(Result::unwrap).collect();
        let read: Vec<_> = ["long", "short"].map(|key| reader.as_of(key, at).unwrap().unwrap()).into();
        assert_eq!(scanned, read, "{at:?}");
    }
}

#[test]
fn a_key_that_does_not_fit_is_refused_by_name() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let long = "x".repeat(70_000);
    let error = views.batch().put_current(&mirror, &long, &entry(0, 1, None)).unwrap_err();
    assert_eq!(error.to_string(), "the key of a row of orders is 70003 bytes long, at most 64511 fit the index");
}

#[test]
fn of_several_puts_to_one_place_the_last_counts() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let mut batch = views.batch();
    for row in ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"] {
        batch.put_entry(&mirror, "1", &entry(0, 1, Some(row))).unwrap();
        batch.put_current(&mirror, "1", &entry(0, 1, Some(row))).unwrap();
    }
    batch.put_entry(&mirror, "2", &entry(0, 1, Some("{}"))).unwrap();
    batch.remove_entry(&mirror, "2", moment(0), &order(1)).unwrap();
    batch.commit().unwrap();
    let reader = views.snapshot().reader(&mirror);
    assert_eq!(reader.current("1").unwrap().unwrap().row(), "{\"n\":3}");
    assert_eq!(reader.entries("1").count(), 1);
    assert_eq!(reader.entries("2").count(), 0);
}

/// A number that was given again would find in caches what was there before.
#[test]
fn a_view_that_comes_after_one_that_was_dropped_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let open = || ViewStore::open(folder.path(), Options::default()).unwrap();
    let views = open();
    let put = |views: &ViewStore, generation: u32| {
        let view = views.generation("totals", generation).unwrap();
        let entry = Stored::new(&Entry { row: Some("{}"), ..Entry::absent(moment(1), &[], position(1)) });
        let mut batch = views.batch();
        batch.put_entry(&view, "a", &entry).unwrap();
        batch.put_current(&view, "a", &entry).unwrap();
        batch.commit().unwrap();
        view
    };
    let first = put(&views, 1);
    assert!(views.snapshot().reader(&first).current("a").unwrap().is_some());
    views.drop_generation("totals", 1).unwrap();
    let second = views.generation("totals", 2).unwrap();
    assert_eq!(views.snapshot().reader(&second).current("a").unwrap(), None);
    assert!(views.snapshot().generation("totals", 1).is_none());
    views.drop_generation("totals", 2).unwrap();
    drop((first, second, views));
    let views = open();
    let third = put(&views, 3);
    assert_eq!(views.snapshot().reader(&third).keys().count(), 1);
}

/// What was believed before a position goes; what was believed from there on stays, at every position and moment.
#[test]
fn what_is_forgotten_is_what_nobody_believed_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let views = ViewStore::open(folder.path(), Options::default()).unwrap();
    let view = views.generation("totals", 1).unwrap();
    let position = |version: u64| Position::new(version, 0).unwrap();
    let moment = Timestamp::from_micros;
    // At each position the row of one moment is another one, and the newest moment moves.
    let entry = |version: u64, at: i64, row: &str| {
        Stored::new(&Entry { row: Some(row), ..Entry::absent(moment(at), &[], position(version)) })
    };
    for version in 1..=9_u64 {
        let row = |version: u64| format!("{{\"n\":{version}}}");
        let mut batch = views.batch();
        if version > 1 {
            batch.put_superseded(&view, "a", &entry(version - 1, 5, &row(version - 1)), position(version)).unwrap();
        }
        batch.put_entry(&view, "a", &entry(version, 5, &row(version))).unwrap();
        let newest = entry(version, 10 + version as i64, "{}");
        batch.put_entry(&view, "a", &newest).unwrap();
        batch.put_current(&view, "a", &newest).unwrap();
        batch.put_head(&view, "a", position(version), (moment(9 + version as i64), &[]), false).unwrap();
        batch.put_end(position(version).next(), moment(version as i64));
        batch.commit().unwrap();
    }
    let shown = |version: u64, time: i64| {
        let at = At { time: moment(time), position: position(version) };
        let row = views.snapshot().reader(&view).as_of("a", at).unwrap();
        row.map(|row| (row.valid_from, row.row().to_owned()))
    };
    let all = || (5..=9).flat_map(|version| [7, 30].map(|time| shown(version, time))).collect::<Vec<_>>();
    let before = all();
    assert_eq!(views.snapshot().first_end_since(moment(5)).unwrap(), Some(position(5).next()));
    views.forget_ends(position(5).next()).unwrap();
    views.forget(&view, position(5), &|| false).unwrap();
    // Readers see it with the next commit.
    let mut batch = views.batch();
    batch.put_end(position(10).next(), moment(10));
    batch.commit().unwrap();
    assert_eq!(all(), before);
    assert_eq!(views.snapshot().reader(&view).superseded("a").count(), 4, "of positions 5 to 8");
    assert!(
        !views.snapshot().is_end(position(4).next()).unwrap() && views.snapshot().is_end(position(5).next()).unwrap()
    );
}
