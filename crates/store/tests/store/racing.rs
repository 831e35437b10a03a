//! Several writers, several handles: what several processes do, but for the file system's cache.

use std::{collections::BTreeSet, sync::Arc};

use deltafold_event::Position;
use deltafold_store::{Append, AppendError};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_writers_race_without_a_gap_or_a_loss() {
    const COMMITS: u64 = 200;
    let data = data();
    let mut tasks = Vec::new();
    for writer in 0..2u64 {
        let store = open(&data, eager()).await;
        tasks.push(tokio::spawn(async move {
            let app = format!("writer/{writer}");
            for commit in 0..COMMITS {
                let first = writer * 1_000_000 + commit * 3;
                let expected = (commit > 0).then_some(commit as i64);
                let offsets = vec![offset(&app, expected, commit as i64 + 1)];
                store.append(Append { events: events(first..first + 3), offsets }).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let store = open(&data, eager()).await;
    assert_eq!(store.high_water_mark(), Position::new(2 * COMMITS + 1, 0).unwrap());
    let found = all_from(&store, Position::ZERO).await;
    assert_ordered(&found);
    let ids: BTreeSet<_> = found.iter().map(|stored| stored.event.id).collect();
    assert_eq!((found.len() as u64, ids.len() as u64), (2 * COMMITS * 3, 2 * COMMITS * 3));
    for writer in 0..2u64 {
        let mine = found.iter().filter(|stored| (stored.event.coordinates.offset as u64) / 1_000_000 == writer);
        assert!(mine.is_sorted_by_key(|stored| stored.event.coordinates.offset));
        assert_eq!(store.offset(&format!("writer/{writer}")), Some(COMMITS as i64));
    }
    assert_eq!(store.verify().await.unwrap().problems, []);
}

/// Two processes read the same source: each record goes in once, whoever wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_the_same_source_take_turns_by_conflict() {
    let data = data();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let store = open(&data, eager()).await;
        tasks.push(tokio::spawn(async move {
            loop {
                let at = store.offset("app").unwrap_or(0);
                if at >= 300 {
                    return;
                }
                let offsets = vec![offset("app", store.offset("app"), at + 10)];
                match store.append(Append { events: events(at as u64..at as u64 + 10), offsets }).await {
                    Ok(_) | Err(AppendError::Conflict(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let store = open(&data, eager()).await;
    let found: Vec<_> = all_from(&store, Position::ZERO).await.into_iter().map(|stored| stored.event).collect();
    assert_eq!(found, events(0..300));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn care_in_two_processes_beside_appends_and_tails_loses_nothing() {
    let data = data();
    let writer = open(&data, eager()).await;
    let cancel = tokio_util::sync::CancellationToken::new();
    let mut tasks = Vec::new();
    for options in [eager(), from_disk()] {
        let store = open(&data, options).await;
        let cancel = cancel.clone();
        tasks.push(tokio::spawn(async move {
            while !cancel.is_cancelled() {
                // Not by lease: both at once.
                match store.compact().await {
                    Ok(_) | Err(deltafold_store::MaintenanceError::Superseded(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                store.checkpoint().await.unwrap();
            }
        }));
    }
    let mut tails = Vec::new();
    for options in [eager(), from_disk()] {
        let mut tail = open(&data, options).await.tail(Position::ZERO);
        tails.push(tokio::spawn(async move {
            let mut found = Vec::new();
            while found.len() < 1_000 {
                found.extend(tail.next().await.unwrap().events.iter().cloned());
            }
            found
        }));
    }
    let made = Arc::new(stored(&fill(&writer, 0, 200, 5).await));
    for tail in tails {
        assert_eq!(tail.await.unwrap(), *made);
    }
    cancel.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(all_from(&writer, Position::ZERO).await, *made);
    assert_eq!(all_from(&open(&data, eager()).await, Position::ZERO).await, *made);
    assert_eq!(writer.verify().await.unwrap().problems, []);
}
