//! What happens when the disk fails while a batch is written: an error, nothing half visible, nothing written on top,
//! and the store works again once it is opened again.
#![cfg(feature = "failpoints")]
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

use std::path::Path;

use deltafold_event::{Position, Timestamp};
use deltafold_view::{Batch, Entry, Options, Stored, ViewStore, WriteError};
use fail::FailScenario;

fn open(dir: &Path) -> ViewStore {
    ViewStore::open(dir, Options { memtable_bytes: 1 << 20, unwritten_bytes: 4 << 20, ..Options::default() }).unwrap()
}

/// Commits one row and the checkpoint behind it.
fn put(views: &ViewStore, number: i64) -> Result<(), WriteError> {
    row(views, number)?.commit()
}

/// A row and the checkpoint behind it.
fn row(views: &ViewStore, number: i64) -> Result<Batch, WriteError> {
    let orders = views.mirror("orders").unwrap();
    let position = Position::from_i64(number).unwrap();
    let moment = Timestamp::from_micros(number);
    let entry = Stored::new(&Entry { row: Some("{}"), ..Entry::absent(moment, &number.to_be_bytes(), position) });
    let aggregate = number.to_string();
    let mut batch = views.batch();
    batch.put_entry(&orders, &aggregate, &entry)?;
    batch.put_current(&orders, &aggregate, &entry)?;
    batch.put_checkpoint("orders", position.next());
    Ok(batch)
}

/// The rows that are there now, and the checkpoint.
fn found(views: &ViewStore) -> (Vec<String>, Option<i64>) {
    let snapshot = views.snapshot();
    let reader = snapshot.reader(&views.mirror("orders").unwrap());
    let keys = reader.keys().map(|key| key.unwrap().into_string()).collect();
    (keys, snapshot.checkpoint("orders").unwrap().map(Position::as_i64))
}

#[test]
fn a_batch_that_fails_is_not_there_and_nothing_follows_it() {
    let faults = FailScenario::setup();
    for (what, errno) in [("ENOSPC", 28), ("EROFS", 30), ("EIO", 5)] {
        let dir = tempfile::tempdir().unwrap();
        let views = open(dir.path());
        put(&views, 1).unwrap();
        fail::cfg("view::io", &format!("return({what})")).unwrap();
        match put(&views, 2) {
            Err(WriteError::Io(error)) => assert_eq!(error.raw_os_error(), Some(errno), "{error}"),
            other => panic!("{other:?}"),
        }
        fail::remove("view::io");
        assert!(matches!(put(&views, 3), Err(WriteError::Stopped)));
        assert_eq!(found(&views), (vec!["1".to_owned()], Some(2)));
        drop(views);
        let views = open(dir.path());
        assert_eq!(found(&views), (vec!["1".to_owned()], Some(2)));
        put(&views, 2).unwrap();
        assert_eq!(found(&views), (vec!["1".to_owned(), "2".to_owned()], Some(3)));
    }
    faults.teardown();
}

/// Runs of some trees are in, those of others are not: readers see neither, and who opens it starts from nothing.
#[test]
fn a_bulk_load_that_fails_in_the_middle_starts_again_from_nothing() {
    let faults = FailScenario::setup();
    for passes in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let views = open(dir.path());
        views.begin_bulk().unwrap();
        put(&views, 1).unwrap();
        fail::cfg("view::io", &format!("{passes}*off->return(ENOSPC)")).unwrap();
        assert!(matches!(put(&views, 2), Err(WriteError::Io(_))), "after {passes} runs");
        fail::remove("view::io");
        assert_eq!(found(&views), (Vec::new(), None), "after {passes} runs");
        assert!(matches!(put(&views, 3), Err(WriteError::Stopped)));
        assert!(matches!(views.end_bulk(), Err(WriteError::Stopped)), "it must not be called whole");
        drop(views);
        let views = open(dir.path());
        assert_eq!(found(&views), (Vec::new(), None), "after {passes} runs");
    }
    faults.teardown();
}

/// One run of each tree, from several batches: it is there when it is finished, not when it was dropped, and what fails
/// in it is not called whole.
#[test]
fn sorted_runs_are_there_when_they_are_finished() {
    let faults = FailScenario::setup();
    let dir = tempfile::tempdir().unwrap();
    let views = open(dir.path());
    views.begin_bulk().unwrap();
    let mut dropped = views.sorted_runs().unwrap();
    dropped.add(row(&views, 1).unwrap()).unwrap();
    drop(dropped);
    let mut runs = views.sorted_runs().unwrap();
    for number in 2..=4 {
        runs.add(row(&views, number).unwrap()).unwrap();
    }
    runs.finish().unwrap();
    assert_eq!(found(&views), (Vec::new(), None), "no reader sees it yet");
    views.end_bulk().unwrap();
    let expected = (vec!["2".to_owned(), "3".to_owned(), "4".to_owned()], Some(5));
    assert_eq!(found(&views), expected);
    drop(views);
    assert_eq!(found(&open(dir.path())), expected);

    for passes in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let views = open(dir.path());
        views.begin_bulk().unwrap();
        fail::cfg("view::io", &format!("{passes}*off->return(ENOSPC)")).unwrap();
        let mut runs = views.sorted_runs().unwrap();
        let added = (1..=3).try_for_each(|number| runs.add(row(&views, number).unwrap()));
        let done = added.and_then(|()| runs.finish());
        fail::remove("view::io");
        if done.is_ok() {
            assert!(passes > 12, "every tree's every piece can fail");
            break;
        }
        assert!(matches!(views.end_bulk(), Err(WriteError::Stopped)), "it must not be called whole");
        drop(views);
        assert_eq!(found(&open(dir.path())), (Vec::new(), None), "after {passes} pieces");
    }
    faults.teardown();
}
