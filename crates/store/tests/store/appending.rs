//! Append, offsets, tail, and the same after opening again.

use deltafold_event::Position;
use deltafold_store::{Append, AppendError, Conflict};

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_appended_is_read_in_order_and_still_after_opening_again() {
    let data = data();
    let store = open(&data, eager()).await;
    assert_eq!(store.offset("app"), None);
    let made = stored(&fill(&store, 0, 12, 25).await);
    assert_ordered(&made);
    let appended: Vec<_> = made.iter().map(|stored| stored.event.clone()).collect();
    assert_eq!(appended, events(0..300));
    assert_eq!(all_from(&store, Position::ZERO).await, made);
    let middle = made[137].position;
    assert_eq!(all_from(&store, middle).await, made[137..]);
    drop(store);

    let store = open(&data, eager()).await;
    assert_eq!(store.offset("app"), Some(300));
    assert_eq!(store.offsets().into_iter().collect::<Vec<_>>(), [("app".to_owned(), 300)]);
    assert_eq!(store.high_water_mark(), Position::new(13, 0).unwrap());
    assert_eq!(store.event_count(), 300);
    assert_eq!(all_from(&store, Position::ZERO).await, made);
    assert_eq!(all_from(&store, middle).await, made[137..]);
    assert!(store.opened().torn.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_move_without_events_and_nothing_makes_no_commit() {
    let data = data();
    let store = open(&data, eager()).await;
    let offsets = vec![offset("a", None, 7), offset("b", None, i64::MAX)];
    let batch = store.append(Append { events: Vec::new(), offsets }).await.unwrap();
    assert!(batch.events.is_empty());
    assert_eq!((store.offset("a"), store.offset("b")), (Some(7), Some(i64::MAX)));
    let before = store.high_water_mark();
    store.append(Append::default()).await.unwrap();
    assert_eq!(store.high_water_mark(), before);
    let tailed = store.tail(Position::ZERO).try_next().await.unwrap().unwrap();
    assert_eq!((tailed.events.len(), tailed.end()), (0, before));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_another_has_moved_is_a_conflict_and_nothing_is_appended() {
    let data = data();
    let (store, other) = (open(&data, eager()).await, open(&data, eager()).await);
    fill(&store, 0, 1, 10).await;
    let stale = Append { events: events(10..20), offsets: vec![offset("app", None, 20)] };
    let error = other.append(stale).await.unwrap_err();
    let AppendError::Conflict(Conflict::Moved { app_id, expected, found }) = error else { panic!("{error}") };
    assert_eq!((app_id.as_str(), expected, found), ("app", None, Some(10)));
    assert_eq!(other.offset("app"), Some(10));
    fill(&other, 10, 1, 10).await;
    assert_eq!(all_from(&store, Position::ZERO).await.len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_can_be_claimed_once() {
    let data = data();
    let (store, other) = (open(&data, eager()).await, open(&data, eager()).await);
    let claim = |after: &str| Append { events: vec![table_claim("orders", after), event(1)], offsets: Vec::new() };
    store.append(claim("{\"server\":\"a\"}")).await.unwrap();
    let error = other.append(claim("{\"server\":\"b\"}")).await.unwrap_err();
    let AppendError::Conflict(Conflict::Claimed { aggregate_id, .. }) = error else { panic!("{error}") };
    assert_eq!(aggregate_id, "orders");
    assert!(other.has_control("$table", "orders"));
    assert_eq!(other.control("$table").await.unwrap().len(), 1);
    // Other control events may come again.
    for after in ["{\"bytes\":1}", "{\"bytes\":2}"] {
        let events = vec![about("$file", "file/1", after)];
        store.append(Append { events, offsets: Vec::new() }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_prepared_side_by_side_and_committed_in_order() {
    let data = data();
    let store = open(&data, eager()).await;
    let (first, second, dropped) =
        tokio::join!(store.prepare(events(0..50)), store.prepare(events(50..90)), store.prepare(events(500..600)));
    drop(dropped);
    store.commit(first.unwrap(), vec![offset("app", None, 50)]).await.unwrap();
    store.commit(second.unwrap(), vec![offset("app", Some(50), 90)]).await.unwrap();
    let found: Vec<_> = all_from(&store, Position::ZERO).await.into_iter().map(|stored| stored.event).collect();
    assert_eq!(found, events(0..90));
    assert_eq!(store.vacuum().await.unwrap().files, 1);
    assert_eq!(store.verify().await.unwrap().problems, []);
}
