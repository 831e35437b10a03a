//! Appending to an aggregate that is expected to be as it was.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{Event, EventId, Identity, Position};
use deltafold_store::{
    Append, AppendError, AppendedTo, Conflict, EventStore, ExpectedRevision, KnownAggregate, Options,
};

use crate::support::{all_from, data, event, fill, from_disk, open, table_claim};

/// An event of a cart, by its own name.
fn of_cart(cart: &str, name: &str) -> Event {
    Event {
        id: Identity::domain().text(Some("carts")).text(Some(name)).id(),
        aggregate_type: "carts".into(),
        aggregate_id: Some(cart.to_owned()),
        event_type: "item_added".into(),
        operation: None,
        before: None,
        after: Some(format!("{{\"item\":\"{name}\"}}")),
        source_position: None,
        schema_id: None,
        ..event(0)
    }
}

async fn append(store: &EventStore, names: &[&str], expected: ExpectedRevision) -> Result<AppendedTo, Conflict> {
    let events = names.iter().map(|name| of_cart("1", name)).collect();
    match store.append_to(events, expected, KnownAggregate::default()).await {
        Ok(appended) => Ok(appended),
        Err(AppendError::Conflict(conflict)) => Err(conflict),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_is_expected_is_checked() {
    let dir = data();
    let store = open(&dir, Options::default()).await;
    fill(&store, 0, 3, 10).await;
    let told = |conflict: Conflict| conflict.to_string();
    let exact = ExpectedRevision::Exact;
    assert_eq!(
        append(&store, &["a"], exact(1)).await.map_err(told),
        Err("carts 1 is at revision 0, and 1 was expected".to_owned())
    );
    assert_eq!(
        append(&store, &["a"], ExpectedRevision::Exists).await.map_err(told),
        Err("carts 1 is at revision 0, and one at least was expected".to_owned())
    );
    assert_eq!(append(&store, &["a", "b"], ExpectedRevision::None).await.unwrap().revision, 2);
    assert_eq!(
        append(&store, &["c"], ExpectedRevision::None).await.map_err(told),
        Err("carts 1 is at revision 2, and none was expected".to_owned())
    );
    assert_eq!(append(&store, &["c"], exact(2)).await.unwrap().revision, 3);
    assert_eq!(append(&store, &["d"], ExpectedRevision::Exists).await.unwrap().revision, 4);
    let last = append(&store, &["e"], ExpectedRevision::Any).await.unwrap();
    assert_eq!((last.revision, last.was_there), (5, false));
    assert_eq!(all_from(&store, Position::ZERO).await.last().unwrap().position, last.position);
}

#[tokio::test]
async fn what_is_there_is_not_appended_again() {
    let dir = data();
    let store = open(&dir, Options::default()).await;
    let first = append(&store, &["a", "b"], ExpectedRevision::None).await.unwrap();
    append(&store, &["c"], ExpectedRevision::Any).await.unwrap();
    // Tried again after an answer that was lost: whatever it expected has come true.
    let again = append(&store, &["a", "b"], ExpectedRevision::None).await.unwrap();
    assert_eq!(again, AppendedTo { position: first.position, revision: 3, was_there: true });
    let partly = append(&store, &["d", "b"], ExpectedRevision::Any).await.unwrap_err();
    let b = of_cart("1", "b").id;
    assert_eq!(partly, Conflict::Partly { event: b });
    assert_eq!(all_from(&store, Position::ZERO).await.len(), 3);
}

#[tokio::test]
async fn what_is_known_is_not_read() {
    let dir = data();
    let store = open(&dir, from_disk()).await;
    append(&store, &["a", "b"], ExpectedRevision::None).await.unwrap();
    let known = |has: &[&str]| {
        let has: Vec<EventId> = has.iter().map(|name| of_cart("1", name).id).collect();
        let below = store.high_water_mark();
        KnownAggregate { below, revision: 7, has: Arc::new(move |id| has.contains(&id)) }
    };
    let add = async |name: &str, expected, known| {
        store.append_to(vec![of_cart("1", name)], expected, known).await.map(|appended| appended.revision)
    };
    let before = known(&["x"]);
    assert_eq!(add("c", ExpectedRevision::Exact(7), before.clone()).await.unwrap(), 8);
    // One that is known came once more since, and counts no more than before.
    store.append(Append { events: vec![of_cart("1", "x")], offsets: Vec::new() }).await.unwrap();
    assert_eq!(add("d", ExpectedRevision::Exact(8), before.clone()).await.unwrap(), 9);
    assert_eq!(add("x", ExpectedRevision::Exact(0), before).await.unwrap(), 9);
}

#[tokio::test]
async fn a_table_s_aggregates_are_the_table_s() {
    let dir = data();
    let store = open(&dir, Options::default()).await;
    store.append(Append { events: vec![table_claim("carts", "{}")], offsets: Vec::new() }).await.unwrap();
    let refused = append(&store, &["a"], ExpectedRevision::Any).await.unwrap_err();
    assert_eq!(refused, Conflict::Fed { aggregate_type: "carts".to_owned() });
}

/// Four stores on one directory, as four processes have them, with four writers each: every success is in the log once,
/// and every loser is told the revision that beat it.
#[tokio::test(flavor = "multi_thread")]
async fn of_writers_that_race_one_wins_each_revision() {
    const APPENDS: u64 = 4;
    let dir = Arc::new(data());
    let mut writers = Vec::new();
    for process in 0..4 {
        // One of them has nothing in memory.
        let options = if process == 0 { from_disk() } else { Options::default() };
        let store = open(&dir, options).await;
        for writer in 0..4 {
            let store = store.clone();
            let handle = tokio::runtime::Handle::current();
            // On threads of their own: what reads the log is not known to be `Send` (rust-lang/rust#102211).
            writers.push(tokio::task::spawn_blocking(move || {
                handle.block_on(async move {
                    let mut conflicts = 0;
                    for number in 0..APPENDS {
                        let cart = format!("{}", number % 3);
                        let name = format!("{process}-{writer}-{number}");
                        let mut expected = 0;
                        loop {
                            let events = vec![of_cart(&cart, &name)];
                            let exact = ExpectedRevision::Exact(expected);
                            match store.append_to(events, exact, KnownAggregate::default()).await {
                                Ok(appended) => {
                                    assert_eq!((appended.revision, appended.was_there), (expected + 1, false));
                                    break;
                                }
                                Err(AppendError::Conflict(Conflict::Revision { found, .. })) => {
                                    assert!(found > expected, "{found} is no more than {expected}");
                                    expected = found;
                                    conflicts += 1;
                                }
                                Err(error) => panic!("{error}"),
                            }
                        }
                    }
                    conflicts
                })
            }));
        }
    }
    let mut conflicts = 0;
    for writer in writers {
        conflicts += writer.await.unwrap();
    }
    assert!(conflicts > 0, "nobody raced");
    let store = open(&dir, Options::default()).await;
    let mut counts: BTreeMap<EventId, u32> = BTreeMap::new();
    for stored in all_from(&store, Position::ZERO).await {
        *counts.entry(stored.event.id).or_default() += 1;
    }
    assert_eq!(counts.len() as u64, 16 * APPENDS);
    assert!(counts.values().all(|count| *count == 1));
}
