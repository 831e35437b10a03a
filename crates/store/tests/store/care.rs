//! Compaction, checkpoints, clean-up and verification, by hand and by lease.

use std::{fs, time::Duration};

use deltafold_event::Position;
use deltafold_store::Options;
use tokio_util::sync::CancellationToken;

use crate::support::*;

fn data_files(data: &tempfile::TempDir) -> usize {
    let files = fs::read_dir(data.path().join("events")).unwrap();
    files.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "parquet")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_changes_nothing_that_is_read() {
    let data = data();
    let store = open(&data, from_disk()).await;
    let mut made = stored(&fill(&store, 0, 30, 10).await);
    for first in [300, 350, 400] {
        store.compact().await.unwrap();
        assert_eq!(all_from(&store, Position::ZERO).await, made);
        made.extend(stored(&fill(&store, first, 5, 10).await));
    }
    let report = store.compact().await.unwrap();
    assert!(report.written >= 1 && report.bytes_after < report.bytes_before, "{report:?}");
    assert_eq!(all_from(&store, Position::ZERO).await, made);
    assert_eq!(all_from(&store, made[123].position).await, made[123..]);
    assert_eq!(store.compact().await.unwrap(), Default::default());
    let verified = store.verify().await.unwrap();
    assert_eq!((verified.events, verified.problems), (450, vec![]));
    // The times of commits are those that the appends gave.
    assert_ordered(&made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vacuum_keeps_what_is_needed_or_young() {
    let data = data();
    let keep = Options { file_retention: Duration::from_secs(3_600), ..from_disk() };
    let store = open(&data, keep).await;
    let made = stored(&fill(&store, 0, 20, 10).await);
    drop(store.prepare(events(0..10)).await.unwrap());
    store.compact().await.unwrap();
    fs::write(data.path().join("events/_delta_log/00000000000000000099.json#7"), b"{").unwrap();
    let before = data_files(&data);
    assert_eq!(store.vacuum().await.unwrap().files, 0);
    assert_eq!(data_files(&data), before);
    drop(store);
    let store = open(&data, from_disk()).await;
    let report = store.vacuum().await.unwrap();
    assert_eq!(report.files, 20 + 1 + 1);
    assert_eq!(data_files(&data), before - 21);
    assert_eq!(all_from(&store, Position::ZERO).await, made);
    assert_eq!(store.verify().await.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clean_up_stays_behind_the_checkpoint_and_the_compaction_frontier() {
    let data = data();
    let store = open(&data, from_disk()).await;
    fill(&store, 0, 20, 10).await;
    store.vacuum().await.unwrap();
    let entries = || {
        let files = fs::read_dir(data.path().join("events/_delta_log")).unwrap();
        files.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "json")).count()
    };
    assert_eq!(entries(), 21, "without a checkpoint nothing goes");
    store.checkpoint().await.unwrap();
    store.vacuum().await.unwrap();
    assert_eq!(entries(), 20, "before compaction only the first goes, which holds no events");
    store.compact().await.unwrap();
    store.vacuum().await.unwrap();
    assert_eq!(entries(), 2, "the checkpoint's version and what follows stay");
    let keep = Options { log_retention: Duration::from_secs(3_600), ..from_disk() };
    let store = open(&data, keep).await;
    fill(&store, 200, 20, 10).await;
    store.compact().await.unwrap();
    store.checkpoint().await.unwrap();
    store.vacuum().await.unwrap();
    assert_eq!(entries(), 23, "and so does what is young");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_at_a_time_holds_the_lease() {
    let data = data();
    let (store, other) = (open(&data, from_disk()).await, open(&data, from_disk()).await);
    let made = stored(&fill(&store, 0, 30, 10).await);
    let cancel = CancellationToken::new();
    let carer = tokio::spawn({
        let (store, cancel) = (store.clone(), cancel.clone());
        async move { store.maintain(cancel).await }
    });
    let lease = data.path().join("events/_deltafold/lease.json");
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while !lease.exists() || !data.path().join("events/_delta_log/_last_checkpoint").exists() {
        assert!(tokio::time::Instant::now() < limit, "nothing was done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!other.maintain_once().await.unwrap().held);
    cancel.cancel();
    carer.await.unwrap();
    let report = other.maintain_once().await.unwrap();
    assert!(report.held, "the lease was given back");
    assert_eq!(all_from(&other, Position::ZERO).await, made);
    assert_eq!(other.verify().await.unwrap().problems, []);
}
