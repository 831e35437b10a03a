//! Tails: in memory and from files, at the tip and far behind, through all that care does to the log.

use std::time::Duration;

use deltafold_event::{Metadata, Position, StoredEvent};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_disk_give_the_same() {
    let data = data();
    let store = open(&data, eager()).await;
    let mut waiting = store.tail(Position::ZERO);
    let made = stored(&fill(&store, 0, 30, 7).await);
    assert_eq!(drain(&mut waiting).await, made);
    let disk = open(&data, from_disk()).await;
    assert_eq!(all_from(&disk, Position::ZERO).await, made);
    for position in [made[0].position, made[100].position, made[209].position, store.high_water_mark()] {
        assert_eq!(all_from(&disk, position).await, all_from(&store, position).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregate_by_aggregate_every_event_is_read_once() {
    let data = data();
    let store = open(&data, eager()).await;
    let mut made = stored(&fill(&store, 0, 60, 9).await);
    for turn in 0..3 {
        let mut reader = store.by_aggregate().await.unwrap();
        assert_eq!(reader.end(), store.high_water_mark());
        let (found, aggregates) = tokio::task::spawn_blocking(move || {
            let (mut found, mut aggregates) = (Vec::new(), Vec::new());
            let (mut events, mut spare) = (Vec::new(), Vec::new());
            while reader.next(usize::MAX, &mut events, &mut spare).unwrap() {
                // What is written over is another event, with texts where that one has none.
                spare.clone_from(&events);
                let whose =
                    |stored: &StoredEvent| (stored.event.aggregate_type.clone(), stored.event.aggregate_id.clone());
                assert!(events.is_sorted_by_key(|stored| stored.position));
                assert!(events.iter().all(|stored| whose(stored) == whose(&events[0])));
                aggregates.push(whose(&events[0]));
                found.append(&mut events);
            }
            (found, aggregates)
        })
        .await
        .unwrap();
        assert!(aggregates.is_sorted_by(|one, other| one < other), "in order, none twice: {aggregates:?}");
        let mut by_position = found;
        by_position.sort_by_key(|stored| stored.position);
        let plain = made.iter().filter(|stored| Metadata::is_plain(&stored.event.metadata)).count();
        assert!(plain > 0 && plain < made.len(), "of {} events {plain} have metadata of no use to folding", made.len());
        let folded = |stored: &StoredEvent| {
            let mut stored = stored.clone();
            if Metadata::is_plain(&stored.event.metadata) {
                stored.event.metadata = "{}".to_owned();
            }
            stored
        };
        assert_eq!(by_position, made.iter().map(folded).collect::<Vec<_>>());
        if turn == 0 {
            store.compact().await.unwrap();
            made.extend(stored(&fill(&store, 540, 3, 9).await));
        }
    }
    let mut reader = store.by_aggregate().await.unwrap();
    let most = tokio::task::spawn_blocking(move || {
        let mut events = Vec::new();
        let mut most = 0;
        while reader.next(5, &mut events, &mut Vec::new()).unwrap() {
            most = most.max(events.len());
        }
        most
    });
    assert_eq!(most.await.unwrap(), 6, "one more than was asked for says that there are more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_at_the_tip_wakes_for_this_process_and_for_others() {
    let data = data();
    let (store, other) = (open(&data, eager()).await, open(&data, eager()).await);
    for writer in [&store, &other] {
        let mut tail = store.tail(store.refresh().await.unwrap());
        let waiting = tokio::spawn(async move { tail.next().await.unwrap() });
        writer.refresh().await.unwrap();
        let made = fill(writer, 0, 1, 3).await;
        let found = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap();
        assert_eq!(found, made[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_goes_on_through_compaction_and_clean_up() {
    let data = data();
    let store = open(&data, from_disk()).await;
    let other = open(&data, from_disk()).await;
    let mut made = stored(&fill(&store, 0, 60, 5).await);
    let mut early = other.tail(Position::ZERO);
    let mut found = Vec::new();
    for _ in 0..7 {
        found.extend(early.next().await.unwrap().events.iter().cloned());
    }
    let compacted = store.compact().await.unwrap();
    assert_eq!((compacted.events, compacted.merged), (300, 60));
    store.checkpoint().await.unwrap();
    let vacuumed = store.vacuum().await.unwrap();
    assert_eq!(vacuumed.files, 60);
    assert!(vacuumed.log.entries >= 60, "{vacuumed:?}");
    made.extend(stored(&fill(&store, 300, 20, 5).await));
    found.extend(drain(&mut early).await);
    assert_eq!(found, made);
    // Also for one that never saw what was cleaned, and for one that opens now.
    assert_eq!(all_from(&other, made[33].position).await, made[33..]);
    let fresh = open(&data, from_disk()).await;
    assert_eq!(all_from(&fresh, Position::ZERO).await, made);
    assert_eq!(fresh.offset("app"), Some(400));
    assert_eq!(fresh.verify().await.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_that_slept_through_a_clean_up_goes_on_from_the_checkpoint() {
    let data = data();
    let (store, sleeper) = (open(&data, from_disk()).await, open(&data, from_disk()).await);
    let made = stored(&fill(&store, 0, 40, 5).await);
    store.compact().await.unwrap();
    store.checkpoint().await.unwrap();
    store.vacuum().await.unwrap();
    let mut tail = sleeper.tail(Position::ZERO);
    let mut found = Vec::new();
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while found.len() < made.len() {
        let batch = tokio::time::timeout_at(limit, tail.next()).await.unwrap().unwrap();
        found.extend(batch.events.iter().cloned());
    }
    assert_eq!(found, made);
    // And appends to the tip, not to a version that is gone.
    fill(&sleeper, 200, 1, 5).await;
    assert_eq!(all_from(&store, Position::ZERO).await.len(), 205);
}

/// A writer that slept while its version was used, checkpointed and cleaned can win that version: nobody would read it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_nobody_reads_is_not_acknowledged() {
    let data = data();
    let (store, sleeper) = (open(&data, from_disk()).await, open(&data, from_disk()).await);
    fill(&store, 0, 40, 5).await;
    store.compact().await.unwrap();
    store.checkpoint().await.unwrap();
    store.vacuum().await.unwrap();
    assert!(!data.path().join("events/_delta_log/00000000000000000001.json").exists());
    let append = deltafold_store::Append { events: events(500..505), offsets: vec![offset("other", None, 1)] };
    let batch = sleeper.append(append).await.unwrap();
    assert!(batch.version > 40, "{}", batch.version);
    assert!(!data.path().join("events/_delta_log/00000000000000000001.json").exists());
    let found = all_from(&store, Position::ZERO).await;
    assert_eq!(found.len(), 205);
    assert_eq!(found[200..], batch.events);
    assert_eq!(store.verify().await.unwrap().problems, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_wait_loses_no_batch() {
    let data = data();
    let store = open(&data, from_disk()).await;
    let made = stored(&fill(&store, 0, 50, 3).await);
    let mut tail = store.tail(Position::ZERO);
    let mut found = Vec::new();
    while found.len() < made.len() {
        // Polled once or a few times, then dropped.
        if let Ok(batch) = tokio::time::timeout(Duration::from_micros(50), tail.next()).await {
            found.extend(batch.unwrap().events.iter().cloned());
        }
    }
    assert_eq!(found, made);
}
