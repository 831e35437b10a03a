//! What happens when the disk fails in the middle: a clear error, nothing lost, nothing half visible, and the store
//! works again once the disk does. (Crashes at the same points are tested from outside, on the whole program.)
#![cfg(feature = "failpoints")]
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on has failed its test")]

use std::sync::{Mutex, MutexGuard};

use deltafold_event::{Coordinates, Event, Identity, Position, Timestamp};
use deltafold_store::{Append, AppendError, DiskError, EventStore, MaintenanceError, Offset, OpenError, Options};

/// Fault points are global: one test at a time, none set before or after.
struct Faults<'a> {
    _turn: MutexGuard<'a, ()>,
}

impl Faults<'_> {
    fn begin() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let faults = Self { _turn: turn };
        faults.clear();
        faults
    }

    fn set(&self, point: &str, action: &str) {
        fail::cfg(point, action).unwrap();
    }

    fn clear(&self) {
        for (point, _) in fail::list() {
            fail::remove(point);
        }
    }
}

impl Drop for Faults<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

fn event(number: u64) -> Event {
    Event {
        id: Identity::domain().number(number).id(),
        aggregate_type: "orders".into(),
        aggregate_id: Some(number.to_string()),
        event_type: "created".into(),
        operation: None,
        before: None,
        after: Some(format!("{{\"id\":{number}}}")),
        metadata: "{}".into(),
        source_position: None,
        transaction_id: None,
        occurred_at: Timestamp::from_micros(number as i64),
        coordinates: Coordinates { source: "file".into(), topic: "t".into(), partition: 0, offset: number as i64 },
        schema_id: None,
    }
}

/// The next five events, resumed from what the store says, as ingest does.
async fn append_next(store: &EventStore) -> Result<(), AppendError> {
    let expected = store.offset("app");
    let first = expected.unwrap_or(0);
    let events = (first..first + 5).map(|number| event(number as u64)).collect();
    let offsets = vec![Offset { app_id: "app".into(), expected, next: first + 5 }];
    store.append(Append { events, offsets }).await.map(|_| ())
}

async fn numbers(store: &EventStore) -> Vec<i64> {
    let mut tail = store.tail(Position::ZERO);
    let mut found = Vec::new();
    while let Some(batch) = tail.try_next().await.unwrap() {
        found.extend(batch.events.iter().map(|stored| stored.event.coordinates.offset));
    }
    found
}

fn options() -> Options {
    Options { recent_bytes: 0, ..Options::default() }
}

/// Each point on the way of an append, with each error: whether the append counts or not, trying on gives every event
/// once, in this process and in one that opens the directory anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_append_can_be_tried_again_wherever_it_failed() {
    let faults = Faults::begin();
    let points = [
        "store::before_file_sync",
        "store::after_file_sync",
        "store::before_log_entry",
        "store::after_log_entry",
        "store::io",
        "store::io::write",
        "store::io::sync",
        "store::io::link",
        "store::io::sync_dir",
    ];
    for point in points {
        for (code, is_right) in [
            ("ENOSPC", (|error| matches!(error, DiskError::Full { .. })) as fn(&DiskError) -> bool),
            ("EROFS", |error| matches!(error, DiskError::ReadOnly { .. })),
            ("EIO", |error| matches!(error, DiskError::Failed { .. })),
        ] {
            // At the data file, at the log entry, and at what comes after.
            let all = if code == "ENOSPC" { 0..4 } else { 1..2 };
            for passes in all {
                let data = tempfile::tempdir().unwrap();
                let store = EventStore::open(data.path(), options()).await.unwrap();
                append_next(&store).await.unwrap();
                faults.set(point, &format!("{passes}*off->return({code})"));
                let failed = append_next(&store).await;
                match &failed {
                    Ok(()) => assert!(passes > 0, "{point} was passed"),
                    Err(AppendError::Disk(error)) => assert!(is_right(error), "{point} {code}: {error}"),
                    Err(error) => panic!("{point} {code}: {error}"),
                }
                let visible = numbers_or_none(&store).await;
                assert!(visible.is_none_or(|found| found == (0..5).collect::<Vec<_>>() || found.len() == 10));
                faults.clear();
                store.refresh().await.unwrap();
                while store.offset("app") < Some(15) {
                    append_next(&store).await.unwrap();
                }
                let expected: Vec<i64> = (0..15).collect();
                assert_eq!(numbers(&store).await, expected, "{point} {code} {passes}");
                let again = EventStore::open(data.path(), options()).await.unwrap();
                assert_eq!(numbers(&again).await, expected, "{point} {code} {passes}");
                assert_eq!(again.verify().await.unwrap().problems, []);
            }
        }
    }
}

/// What a reader sees while the disk still fails: everything or an error, never a part.
async fn numbers_or_none(store: &EventStore) -> Option<Vec<i64>> {
    let mut tail = store.tail(Position::ZERO);
    let mut found = Vec::new();
    loop {
        match tail.try_next().await {
            Ok(Some(batch)) => found.extend(batch.events.iter().map(|stored| stored.event.coordinates.offset)),
            Ok(None) => return Some(found),
            Err(_) => return None,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_made_says_so() {
    let faults = Faults::begin();
    for passes in 0..6 {
        let data = tempfile::tempdir().unwrap();
        faults.set("store::io", &format!("{passes}*off->return(EROFS)"));
        let error = EventStore::open(data.path(), options()).await.unwrap_err();
        assert!(matches!(error, OpenError::Disk(DiskError::ReadOnly { .. }) | OpenError::Read(_)), "{error}");
        assert!(error.to_string().contains("Read-only file system"), "{error}");
        faults.clear();
        let store = EventStore::open(data.path(), options()).await.unwrap();
        append_next(&store).await.unwrap();
        assert_eq!(numbers(&store).await.len(), 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_care_does_no_harm() {
    let faults = Faults::begin();
    let points = [
        "store::io",
        "store::io::remove",
        "store::maintenance::before_compaction",
        "store::maintenance::after_compaction",
        "store::maintenance::before_checkpoint",
        "store::maintenance::after_checkpoint",
        "store::maintenance::clean",
        "store::maintenance::vacuum",
    ];
    for point in points {
        for passes in [0, 3] {
            let data = tempfile::tempdir().unwrap();
            let none = std::time::Duration::ZERO;
            let eager = Options { log_retention: none, file_retention: none, ..options() };
            let store = EventStore::open(data.path(), eager.clone()).await.unwrap();
            for _ in 0..8 {
                append_next(&store).await.unwrap();
            }
            faults.set(point, &format!("{passes}*off->return(ENOSPC)"));
            let mut failures = 0;
            failures += usize::from(full(store.compact().await.map(|_| ())));
            failures += usize::from(full(store.checkpoint().await.map(|_| ())));
            failures += usize::from(full(store.vacuum().await.map(|_| ())));
            assert!(failures > 0 || passes > 0, "{point} was passed");
            faults.clear();
            let expected: Vec<i64> = (0..40).collect();
            for store in [store, EventStore::open(data.path(), eager).await.unwrap()] {
                assert_eq!(numbers(&store).await, expected, "{point} {passes}");
                assert_eq!(store.verify().await.unwrap().problems, [], "{point} {passes}");
                store.compact().await.unwrap();
                store.checkpoint().await.unwrap();
                store.vacuum().await.unwrap();
                assert_eq!(numbers(&store).await, expected, "{point} {passes}");
            }
        }
    }
}

/// Whether care failed, and for the reason that was set.
fn full(result: Result<(), MaintenanceError>) -> bool {
    match result {
        Ok(()) => false,
        Err(error) => {
            assert!(error.to_string().contains("no space left"), "{error}");
            true
        }
    }
}
