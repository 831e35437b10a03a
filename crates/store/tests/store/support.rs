//! Events, stores and comparisons.

use std::{sync::Arc, time::Duration};

use deltafold_event::{
    Coordinates, Event, Identity, Operation, Position, RowSchema, SourcePosition, StoredEvent, Timestamp, control,
};
use deltafold_store::{Append, Batch, EventStore, Offset, Options, Tail};
use tempfile::TempDir;

/// Small files, no retention: everything that care can do, it does.
pub(crate) fn eager() -> Options {
    Options {
        poll_interval: Duration::from_millis(2),
        compact_events: 400,
        compact_files: 2,
        checkpoint_commits: 10,
        log_retention: Duration::ZERO,
        file_retention: Duration::ZERO,
        ..Options::default()
    }
}

/// As [`eager`], and nothing is handed to tails in memory.
pub(crate) fn from_disk() -> Options {
    Options { recent_bytes: 0, ..eager() }
}

pub(crate) fn data() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) async fn open(data: &TempDir, options: Options) -> EventStore {
    EventStore::open(data.path(), options).await.unwrap()
}

/// The `number`th event: three types, seven ids, every optional column sometimes there and sometimes not.
pub(crate) fn event(number: u64) -> Event {
    let aggregate_type = ["orders", "customers", "Ärger"][number as usize % 3];
    let truncate = number % 17 == 16;
    let read = number % 5 == 4;
    Event {
        id: Identity::domain().text(Some("test")).number(number).id(),
        aggregate_type: aggregate_type.into(),
        aggregate_id: (!truncate).then(|| format!("{}", number % 7)),
        event_type: if truncate { "truncated" } else { "updated" }.into(),
        operation: (number % 4 != 3).then_some(if truncate { Operation::Truncate } else { Operation::Update }),
        before: number.is_multiple_of(2).then(|| format!("{{\"id\":{},\"old\":true}}", number % 7)),
        after: (!truncate).then(|| format!("{{\"id\":{},\"total\":\"{number}.50\",\"ü\":null}}", number % 7)),
        metadata: match number % 6 {
            0 => format!("{{\"moved_from\":\"{number}\"}}"),
            _ => format!("{{\"source\":{{\"lsn\":{number}}}}}"),
        },
        source_position: (!read).then(|| SourcePosition::postgres(1_000 + number)),
        transaction_id: number.is_multiple_of(3).then(|| (number / 3).to_string().into()),
        occurred_at: Timestamp::from_micros(1_790_000_000_000_000 + number as i64 * 1_001),
        coordinates: Coordinates {
            source: "file".into(),
            topic: "shop.public.orders".into(),
            partition: (number % 2) as i32,
            offset: number as i64,
        },
        schema_id: (number % 2 == 1).then(|| schema(number % 3).id()),
    }
}

pub(crate) fn events(numbers: std::ops::Range<u64>) -> Vec<Event> {
    numbers.map(event).collect()
}

pub(crate) fn schema(number: u64) -> RowSchema {
    RowSchema::new(vec![format!("id{number}")], None, None)
}

/// A control event.
pub(crate) fn about(aggregate_type: &str, id: &str, after: &str) -> Event {
    Event {
        id: Identity::domain().text(Some(aggregate_type)).text(Some(id)).text(Some(after)).id(),
        aggregate_type: aggregate_type.into(),
        aggregate_id: Some(id.to_owned()),
        event_type: "created".into(),
        operation: None,
        before: None,
        after: Some(after.to_owned()),
        source_position: None,
        transaction_id: None,
        schema_id: None,
        ..event(0)
    }
}

pub(crate) fn table_claim(name: &str, after: &str) -> Event {
    about(control::TABLE, name, after)
}

pub(crate) fn offset(app_id: &str, expected: Option<i64>, next: i64) -> Offset {
    Offset { app_id: app_id.to_owned(), expected, next }
}

/// Appends `commits` commits of `each` events, numbered on from `first`, moving `app`.
pub(crate) async fn fill(store: &EventStore, first: u64, commits: u64, each: u64) -> Vec<Arc<Batch>> {
    let mut made = Vec::new();
    for commit in 0..commits {
        let start = first + commit * each;
        let append = Append {
            events: events(start..start + each),
            offsets: vec![offset("app", store.offset("app"), (start + each) as i64)],
        };
        made.push(store.append(append).await.unwrap());
    }
    made
}

/// Everything from a position to the tip.
pub(crate) async fn all_from(store: &EventStore, from: Position) -> Vec<StoredEvent> {
    drain(&mut store.tail(from)).await
}

pub(crate) async fn drain(tail: &mut Tail) -> Vec<StoredEvent> {
    let mut found = Vec::new();
    while let Some(batch) = tail.try_next().await.unwrap() {
        found.extend(batch.events.iter().cloned());
    }
    assert_eq!(tail.position(), tail_end(tail));
    found
}

fn tail_end(tail: &Tail) -> Position {
    Position::new(tail.position().version(), 0).unwrap()
}

pub(crate) fn stored(batches: &[Arc<Batch>]) -> Vec<StoredEvent> {
    batches.iter().flat_map(|batch| batch.events.iter().cloned()).collect()
}

/// Asserts that the events follow each other without a gap or a repetition within commits, times never run back.
pub(crate) fn assert_ordered(events: &[StoredEvent]) {
    for pair in events.windows(2) {
        assert!(pair[0].position < pair[1].position);
        assert!(pair[0].recorded_at <= pair[1].recorded_at);
        let same = pair[0].position.version() == pair[1].position.version();
        assert_eq!(pair[1].position.ordinal(), if same { pair[0].position.ordinal() + 1 } else { 0 });
    }
}
