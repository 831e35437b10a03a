//! Look-ups against the plain answer over all events.

use deltafold_event::{Identity, Position, StoredEvent, Timestamp};
use deltafold_store::{Append, Direction, EventFilter, EventStore};

use crate::support::*;

async fn compacted_and_loose(data: &tempfile::TempDir) -> (EventStore, Vec<StoredEvent>) {
    let store = open(data, from_disk()).await;
    fill(&store, 0, 20, 30).await;
    store.compact().await.unwrap();
    fill(&store, 600, 5, 30).await;
    // Delivered again: the first delivery counts.
    store.append(Append { events: events(100..120), offsets: Vec::new() }).await.unwrap();
    let all = all_from(&store, Position::ZERO).await;
    assert_eq!(all.len(), 770);
    (store, all)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_found_by_position_and_by_id() {
    let data = data();
    let (store, all) = compacted_and_loose(&data).await;
    let mut wanted: Vec<_> = all.iter().step_by(13).map(|stored| stored.position).collect();
    wanted.reverse();
    wanted.extend([Position::ZERO, Position::MAX, Position::new(3, 9_999).unwrap(), wanted[5]]);
    let expected: Vec<_> = all.iter().step_by(13).cloned().collect();
    assert_eq!(store.events_at(&wanted).await.unwrap(), expected);
    assert_eq!(store.events_at(&[]).await.unwrap(), []);
    for stored in all.iter().step_by(37) {
        let first = all.iter().find(|other| other.event.id == stored.event.id).unwrap();
        assert_eq!(store.find(stored.event.id).await.unwrap().as_ref(), Some(first));
    }
    assert_eq!(store.find(Identity::read().id()).await.unwrap(), None);
}

fn naive(all: &[StoredEvent], filter: &EventFilter, direction: Direction, limit: usize) -> Vec<StoredEvent> {
    let takes = |stored: &&StoredEvent| {
        let event = &stored.event;
        filter.aggregate_type.as_deref().is_none_or(|wanted| *event.aggregate_type == *wanted)
            && (filter.aggregate_id.is_none() || filter.aggregate_id == event.aggregate_id)
            && filter.event_type.as_deref().is_none_or(|wanted| *event.event_type == *wanted)
            && filter.id.is_none_or(|wanted| event.id == wanted)
            && (filter.transaction_id.is_none() || filter.transaction_id.as_deref() == event.transaction_id.as_deref())
            && filter.from.is_none_or(|from| stored.position >= from)
            && filter.to.is_none_or(|to| stored.position < to)
            && filter.occurred_from.is_none_or(|from| event.occurred_at >= from)
            && filter.occurred_to.is_none_or(|to| event.occurred_at < to)
            && (!filter.without_control || !event.is_control())
    };
    match direction {
        Direction::Forward => all.iter().filter(takes).take(limit).cloned().collect(),
        Direction::Backward => all.iter().rev().filter(takes).take(limit).cloned().collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_give_what_looking_at_every_event_gives() {
    let data = data();
    let (store, all) = compacted_and_loose(&data).await;
    let at = |index: usize| Some(all[index].position);
    let when = |number: i64| Some(Timestamp::from_micros(1_790_000_000_000_000 + number * 1_001));
    let text = |text: &str| Some(text.to_owned());
    let all_of = EventFilter::default;
    let filters = [
        all_of(),
        EventFilter { aggregate_type: text("orders"), ..all_of() },
        EventFilter { aggregate_type: text("Ärger"), aggregate_id: text("3"), ..all_of() },
        EventFilter { aggregate_id: text("5"), from: at(55), to: at(700), ..all_of() },
        EventFilter { aggregate_type: text("nothing"), ..all_of() },
        EventFilter { aggregate_id: text("99"), ..all_of() },
        EventFilter { event_type: text("truncated"), ..all_of() },
        EventFilter { id: Some(all[77].event.id), ..all_of() },
        EventFilter { transaction_id: text("44"), ..all_of() },
        EventFilter { transaction_id: text("44"), aggregate_type: text("orders"), ..all_of() },
        EventFilter { from: at(44), to: at(45), ..all_of() },
        EventFilter { occurred_from: when(111), occurred_to: when(222), ..all_of() },
        EventFilter { aggregate_type: text("customers"), occurred_from: when(700), without_control: true, ..all_of() },
    ];
    for filter in &filters {
        for direction in [Direction::Forward, Direction::Backward] {
            for limit in [0, 1, 7, usize::MAX] {
                let found = store.scan(filter, direction, limit).await.unwrap();
                assert_eq!(found, naive(&all, filter, direction, limit), "{filter:?} {direction:?} {limit}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_events_are_found_wherever_they_are() {
    let data = data();
    let store = open(&data, from_disk()).await;
    for number in 0..30u64 {
        let mut events = events(number * 10..number * 10 + 10);
        events.insert(3, about("$file", "file/a", &format!("{{\"bytes\":{number}}}")));
        if number % 10 == 0 {
            events.push(about("$schema", &schema(number).id().to_string(), &schema(number).to_json()));
        }
        store.append(Append { events, offsets: Vec::new() }).await.unwrap();
        if number == 14 || number == 22 {
            store.compact().await.unwrap();
        }
    }
    for store in [store, open(&data, from_disk()).await] {
        let schemas = store.control("$schema").await.unwrap();
        let found: Vec<_> = schemas.iter().filter_map(|stored| stored.event.after.clone()).collect();
        assert_eq!(found, [0, 10, 20].map(|number| schema(number).to_json()));
        assert_eq!(store.control("$file").await.unwrap().len(), 30);
        assert_eq!(store.control("$table").await.unwrap(), []);
        let last = store.control_last("$file", "file/a").await.unwrap().unwrap();
        assert_eq!(last.event.after.as_deref(), Some("{\"bytes\":29}"));
        assert_eq!(store.control_last("$file", "file/b").await.unwrap(), None);
        assert!(store.has_control("$schema", schema(20).id().as_str()));
        assert!(!store.has_control("$schema", schema(21).id().as_str()));
    }
}
