//! A snapshot shows one moment, with and without the cache.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{append, entry, moment, open, position};
use crate::{At, Entry, Snapshot, Stored, Version};

#[test]
fn later_commits_do_not_show() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let nothing = views.snapshot();
    append(&views, &mirror, "1", &entry(0, 1, Some("{\"n\":1}")));
    let first = views.snapshot();
    append(&views, &mirror, "1", &entry(5, 2, Some("{\"n\":2}")));
    append(&views, &mirror, "2", &entry(5, 3, Some("{\"n\":3}")));

    let row = |version: Option<Version>| version.map(|version| version.row().to_owned());
    for _ in 0..2 {
        let reader = first.reader(&mirror);
        assert_eq!(row(reader.current("1").unwrap()).as_deref(), Some("{\"n\":1}"));
        assert_eq!(row(reader.as_of("1", At::time(moment(9))).unwrap()).as_deref(), Some("{\"n\":1}"));
        assert_eq!(reader.current("2").unwrap(), None);
        assert_eq!(reader.scan(At::NOW).count(), 1);
        assert_eq!(first.checkpoint("orders").unwrap(), Some(position(2)));
        assert_eq!(nothing.reader(&mirror).current("1").unwrap(), None);
        assert_eq!(nothing.checkpoint("orders").unwrap(), None);
        // And the newest does show them, whatever the others put into the cache.
        let newest = views.snapshot();
        assert_eq!(row(newest.reader(&mirror).current("1").unwrap()).as_deref(), Some("{\"n\":2}"));
        assert_eq!(newest.checkpoint("orders").unwrap(), Some(position(4)));
    }
}

/// A history is cached while it is short and nothing in it was superseded; whichever snapshot was read first.
#[test]
fn every_snapshot_has_its_own_past() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let mut snapshots = Vec::new();
    for at in 1..=40 {
        append(&views, &mirror, "1", &entry(at, at, Some(&format!("{{\"n\":{at}}}"))));
        if at % 10 == 5 {
            let stored = entry(3, 3, Some("{\"n\":0}"));
            let mut batch = views.batch();
            batch.put_superseded(&mirror, "2", &stored, position(4)).unwrap();
            batch.put_entry(&mirror, "2", &entry(3, at, Some("{\"n\":1}"))).unwrap();
            batch.put_current(&mirror, "2", &entry(3, at, Some("{\"n\":1}"))).unwrap();
            batch.put_head(&mirror, "2", position(4), (moment(3), &3_i64.to_be_bytes()), false).unwrap();
            batch.commit().unwrap();
        }
        snapshots.push((at, views.snapshot()));
        let check = |(newest, snapshot): &(i64, Snapshot)| {
            let reader = snapshot.reader(&mirror);
            let row = |at| reader.as_of("1", at).unwrap().map(|version| version.row().to_owned());
            assert_eq!(row(At::time(moment(1_000))), Some(format!("{{\"n\":{newest}}}")));
            assert_eq!(row(At::time(moment(1))).as_deref(), Some("{\"n\":1}"));
            assert_eq!(row(At::position(position(0))), None);
            let position = position((*newest).min(7));
            assert_eq!(row(At::position(position)), Some(format!("{{\"n\":{}}}", position.as_i64())));
        };
        snapshots.iter().rev().for_each(check);
        snapshots.iter().for_each(check);
    }
    let reader = views.snapshot().reader(&mirror);
    let was = reader.as_of("2", At::position(position(3))).unwrap().unwrap();
    assert_eq!((was.row(), was.recorded_to), ("{\"n\":0}", Some(position(4))));
}

/// A writer sets two rows to the same number, over and over; no reader may ever see them differ, or go back.
#[test]
fn readers_beside_a_writer_see_whole_commits() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (views, mirror, stop) = (views.clone(), mirror.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let snapshot = views.snapshot();
                    let reader = snapshot.reader(&mirror);
                    let number = |version: Option<Version>| version.map_or(0, |version| version.position.as_i64());
                    let [a, b] = ["a", "b"].map(|key| number(reader.current(key).unwrap()));
                    let then = number(reader.as_of("a", At::time(moment(9))).unwrap());
                    let checkpoint = snapshot.checkpoint("orders").unwrap().map_or(0, |p| p.as_i64());
                    assert_eq!((a, b, then), (checkpoint, checkpoint, checkpoint));
                    assert!(checkpoint >= last);
                    last = checkpoint;
                }
            })
        })
        .collect();
    for at in 1..=2_000 {
        let stored = Stored::new(&Entry { row: Some("{}"), ..Entry::absent(moment(1), b"1", position(at)) });
        let mut batch = views.batch();
        for key in ["a", "b"] {
            batch.put_entry(&mirror, key, &stored).unwrap();
            batch.put_current(&mirror, key, &stored).unwrap();
        }
        batch.put_checkpoint("orders", position(at));
        batch.commit().unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.join().unwrap();
    }
}

/// What is hidden shows at once in the end, whatever was cached of it before and meanwhile.
#[test]
fn hidden_commits_show_together() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    append(&views, &mirror, "1", &entry(0, 1, Some("{\"n\":1}")));
    append(&views, &mirror, "2", &entry(0, 2, Some("{\"n\":1}")));
    let rows = |snapshot: &Snapshot| {
        let reader = snapshot.reader(&mirror);
        ["1", "2"].map(|key| {
            let [now, then] = [reader.current(key), reader.as_of(key, At::time(moment(9)))].map(Result::unwrap);
            assert_eq!(now, then);
            now.unwrap().row().to_owned()
        })
    };
    let before = views.snapshot();
    rows(&before);
    views.hide();
    for (n, key) in [(2, "1"), (3, "2"), (4, "1")] {
        append(&views, &mirror, key, &entry(n, n + 1, Some(&format!("{{\"n\":{n}}}"))));
        assert_eq!(rows(&views.snapshot()), ["{\"n\":1}", "{\"n\":1}"]);
    }
    assert_eq!(rows(&views.written()), ["{\"n\":4}", "{\"n\":3}"]);
    views.show().unwrap();
    for _ in 0..3 {
        assert_eq!(rows(&views.snapshot()), ["{\"n\":4}", "{\"n\":3}"]);
        assert_eq!(rows(&before), ["{\"n\":1}", "{\"n\":1}"]);
    }
    append(&views, &mirror, "2", &entry(5, 6, Some("{\"n\":5}")));
    assert_eq!(rows(&views.snapshot()), ["{\"n\":4}", "{\"n\":5}"]);
}

/// A cache far smaller than what is read keeps giving the right answers.
#[test]
fn a_full_cache_forgets_rather_than_misleads() {
    let (_dir, views) = open();
    let mirror = views.mirror("orders").unwrap();
    for round in 1..=3 {
        let mut batch = views.batch();
        for key in 0..500 {
            let row = format!("{{\"key\":{key},\"round\":{round},\"pad\":\"{}\"}}", "x".repeat(300));
            let stored = entry(round, 1_000 * round + key, Some(&row));
            batch.put_current(&mirror, &key.to_string(), &stored).unwrap();
        }
        batch.commit().unwrap();
        let reader = views.snapshot().reader(&mirror);
        for key in (0..500).chain(0..500) {
            let version = reader.current(&key.to_string()).unwrap().unwrap();
            assert_eq!(version.position, position(1_000 * round + key));
        }
    }
}

#[test]
fn only_requests_count_as_such() {
    let (_dir, views) = open();
    views.snapshot();
    assert_eq!(views.last_request(), None);
    views.snapshot_for_request();
    assert!(views.last_request().is_some());
}
