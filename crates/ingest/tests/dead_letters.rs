//! Dead letters that are retried and discarded: what they become, once, whoever else is at it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use deltafold_cdc::{AggregateConfig, DecoderConfig};
use deltafold_event::{Event, StoredEvent, control};
use deltafold_ingest::{
    LetterSelection, Options, SettleError, SettleSummary, discard_dead_letters, ingest_file, retry_dead_letters,
};
use deltafold_source::LINE_LIMIT_BYTES;
use deltafold_store::{
    DeadLetter, DeadLetterFilter, Direction, EventFilter, EventStore, LetterState, Offset, Outcome, RecordedLetter,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A directory with a store in it.
struct Place {
    directory: tempfile::TempDir,
    store: EventStore,
}

impl Place {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EventStore::open(&directory.path().join("data"), Default::default()).await.unwrap();
        Self { directory, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Another process's handle on the same data.
    async fn again(&self) -> EventStore {
        EventStore::open(&self.path("data"), Default::default()).await.unwrap()
    }

    async fn ingest(&self, lines: &[String], decoder: &DecoderConfig) {
        let path = self.path("orders.jsonl");
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        let options = Options { decoder: decoder.clone(), ..Options::default() };
        ingest_file(&self.store, &path, &options, CancellationToken::new()).await.unwrap();
    }

    async fn retry(&self, selection: &LetterSelection, decoder: &DecoderConfig) -> Result<SettleSummary, SettleError> {
        retry(&self.store, selection, decoder).await
    }

    async fn events(&self) -> Vec<StoredEvent> {
        let filter = EventFilter { without_control: true, ..EventFilter::default() };
        self.store.scan(&filter, Direction::Forward, usize::MAX).await.unwrap()
    }

    async fn control(&self, aggregate_type: &str) -> BTreeSet<String> {
        let events = self.store.control(aggregate_type).await.unwrap();
        events.into_iter().map(|stored| stored.event.aggregate_id.unwrap()).collect()
    }

    async fn letters(&self, state: Option<LetterState>) -> Vec<RecordedLetter> {
        self.store.dead_letters(&DeadLetterFilter { state, ..DeadLetterFilter::default() }).await.unwrap()
    }
}

async fn retry(
    store: &EventStore,
    selection: &LetterSelection,
    decoder: &DecoderConfig,
) -> Result<SettleSummary, SettleError> {
    let decoder = decoder.clone();
    retry_dead_letters(store, selection, u64::MAX, move |_| decoder.clone(), "tester").await
}

fn numbers(numbers: &[u64]) -> LetterSelection {
    LetterSelection::Numbers(numbers.iter().map(|number| *number..=*number).collect())
}

/// What is configured once somebody has read the reasons.
fn keyed() -> DecoderConfig {
    let orders = AggregateConfig { key: Some(vec!["id".to_owned()]), ..AggregateConfig::default() };
    DecoderConfig { aggregates: [("orders".to_owned(), orders)].into(), ..DecoderConfig::default() }
}

/// A change of an order of a table without a key, at a position of the log.
fn change(operation: &str, lsn: u64, before: Value, after: Value) -> Value {
    json!({
        "before": before, "after": after, "op": operation, "ts_ms": 1_795_263_674_757_u64,
        "source": {
            "version": "3.5.0.Final", "connector": "postgresql", "name": "shop", "snapshot": "false", "db": "shop",
            "ts_ms": 1_790_582_400_029_u64 + lsn, "ts_us": (1_790_582_400_029_u64 + lsn) * 1_000, "schema": "public",
            "table": "orders", "txId": lsn, "lsn": lsn, "sequence": format!("[\"{lsn}\",\"{lsn}\"]"),
        },
    })
}

fn order(id: u64, status: &str) -> Value {
    json!({ "id": id, "status": status })
}

fn created(id: u64) -> Value {
    change("c", id, Value::Null, order(id, "new"))
}

/// The same, of another server.
fn of_crm(mut change: Value) -> Value {
    change["source"]["name"] = "crm".into();
    change
}

/// A record as `kcat -J` prints it, without a key.
fn captured(offset: u64, payload: &Value) -> String {
    json!({
        "topic": "shop.public.orders", "partition": 1, "offset": offset, "ts": 1_790_582_400_000_u64,
        "headers": ["trace", "a\u{1}b", "empty", null], "key": null, "payload": payload.to_string(),
    })
    .to_string()
}

/// Every shape of a line and every kind of change, of a table without a key.
fn corners() -> Vec<String> {
    let pair = |value: &Value| json!({ "key": null, "value": value }).to_string();
    let mut snapshot = change("r", 1, Value::Null, order(1, "old"));
    snapshot["source"]["snapshot"] = "true".into();
    let mut wrapped = json!({ "payload": created(4) });
    let field = |name: &str| json!({ "type": "string", "optional": true, "field": name });
    let row = |name: &str| {
        let id = json!({ "type": "int64", "optional": false, "field": "id" });
        json!({ "type": "struct", "optional": true, "field": name, "name": "Value", "fields": [id, field("status")] })
    };
    wrapped["schema"] = json!({ "type": "struct", "name": "Envelope", "fields": [row("before"), row("after")] });
    vec![
        pair(&snapshot),
        pair(&snapshot),
        created(2).to_string(),
        pair(&change("u", 11, order(2, "new"), order(2, "paid"))),
        captured(70, &created(3)),
        captured(71, &change("u", 12, order(3, "new"), order(33, "moved"))),
        pair(&wrapped),
        json!({ "key": null, "value": change("d", 13, order(4, "new"), Value::Null).to_string() }).to_string(),
        pair(&change("t", 14, Value::Null, Value::Null)),
        pair(&change("c", 15, Value::Null, order(5, "after the truncate"))),
    ]
}

/// All there is to an event but when it was taken in.
fn told(events: Vec<StoredEvent>) -> Vec<Event> {
    let mut events: Vec<Event> = events.into_iter().map(|stored| stored.event).collect();
    events.sort_by_key(|event| event.id);
    events
}

/// Ingested as it should not have been, and retried as it should: the same events as if it had been so at first, with
/// their ids and coordinates, and the same on record about types and schemas.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_retried_is_what_it_would_have_been() {
    let crm: Vec<String> =
        (1..5).map(|id| json!({ "key": {"id": id}, "value": of_crm(created(id)) }).to_string()).collect();
    let mixed: Vec<String> = corners().into_iter().chain(crm.clone()).collect();
    let reserved = DecoderConfig { name: "${table}".parse().unwrap(), ..DecoderConfig::default() };
    let mut all = keyed();
    all.name = "{server}_{table}".parse().unwrap();
    all.aggregates
        .insert("shop_orders".into(), AggregateConfig { key: Some(vec!["id".into()]), ..AggregateConfig::default() });
    for (lines, wrong, right, expected) in [
        (corners(), DecoderConfig::default(), keyed(), 9),
        (crm, reserved.clone(), DecoderConfig::default(), 4),
        (mixed, reserved, all, 14),
    ] {
        let (late, early) = (Place::new().await, Place::new().await);
        late.ingest(&lines, &wrong).await;
        assert_eq!(late.letters(None).await.len(), expected);
        let summary = late.retry(&LetterSelection::all(), &right).await.unwrap();
        assert_eq!((summary.settled, summary.failed), (expected as u64, 0), "{:?}", summary.failures);
        early.ingest(&lines, &right).await;
        assert_eq!(early.letters(None).await, []);
        assert_eq!(told(late.events().await), told(early.events().await));
        assert_eq!(late.control(control::TABLE).await, early.control(control::TABLE).await);
        assert_eq!(late.control(control::SCHEMA).await, early.control(control::SCHEMA).await);
        assert_eq!(late.store.verify().await.unwrap().problems, []);

        // Every letter says what became of it, and what it became is there.
        let there: BTreeSet<_> = late.events().await.into_iter().map(|stored| stored.event.id).collect();
        for letter in late.letters(None).await {
            let settlement = letter.settlement.unwrap();
            let Outcome::Retried { events, ignored } = settlement.outcome else { panic!("{:?}", settlement.outcome) };
            assert!(!events.is_empty() && events.iter().all(|id| there.contains(id)) && ignored.is_none());
            assert_eq!(settlement.by, "tester");
        }
        assert_eq!(late.letters(Some(LetterState::Open)).await, []);
        assert_eq!(late.letters(Some(LetterState::Retried)).await.len(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_change_stands_by_its_source_position_and_arrives_late() {
    let place = Place::new().await;
    let first = json!({ "key": null, "value": created(7) }).to_string();
    let second = json!({ "key": {"id": 7}, "value": change("u", 20, Value::Null, order(7, "paid")) }).to_string();
    place.ingest(&[first, second], &DecoderConfig::default()).await;
    let summary = place.retry(&numbers(&[1]), &keyed()).await.unwrap();
    let events = place.events().await;
    let [paid, created] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&*paid.event.event_type, &*created.event.event_type), ("updated", "created"));
    assert!(created.event.source_position < paid.event.source_position && created.position > paid.position);
    // Of one commit with the event that says so.
    let said = place.store.control(control::DEAD_LETTER).await.unwrap();
    assert_eq!(said[0].position.version(), created.position.version());
    assert_eq!(summary.position, Some(said[0].position));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_is_settled_once() {
    let place = Place::new().await;
    place.ingest(&[1, 2, 3].map(|id| created(id).to_string()), &DecoderConfig::default()).await;
    assert_eq!(place.retry(&numbers(&[2]), &keyed()).await.unwrap().settled, 1);
    let again = place.retry(&numbers(&[1, 2, 3]), &keyed()).await.unwrap_err();
    assert_eq!(again.to_string(), "dead letter 2 was retried already, by tester");
    assert_eq!(place.events().await.len(), 1, "none of the others was retried");
    let discarded = discard_dead_letters(&place.store, &numbers(&[2]), u64::MAX, "a test", "ops").await.unwrap_err();
    assert!(matches!(discarded, SettleError::Settled { number: 2, state: LetterState::Retried, .. }), "{discarded}");

    let discarded = discard_dead_letters(&place.store, &numbers(&[3]), u64::MAX, "a test", "ops").await.unwrap();
    assert_eq!((discarded.settled, discarded.events), (1, 0));
    // Those that are left are all that are open.
    assert_eq!(place.retry(&LetterSelection::all(), &keyed()).await.unwrap().settled, 1);
    assert_eq!(place.retry(&LetterSelection::all(), &keyed()).await.unwrap(), SettleSummary::default());
    let third = place.letters(Some(LetterState::Discarded)).await.pop().unwrap();
    let settlement = third.settlement.unwrap();
    assert_eq!(third.number, 3);
    assert_eq!(settlement.outcome, Outcome::Discarded { reason: "a test".into() });
    assert_eq!(settlement.by, "ops");

    let missing = place.retry(&numbers(&[4]), &keyed()).await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no dead letter 4: their numbers go up to 3");
    assert!(matches!(place.retry(&numbers(&[0]), &keyed()).await, Err(SettleError::NoSuchLetter { number: 0, .. })));
}

/// Two operators at once, each in a process of their own: between them every letter is retried once.
#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_retry_every_letter_once() {
    let place = Place::new().await;
    let lines: Vec<String> = (1..=500).map(|id| created(id).to_string()).collect();
    place.ingest(&lines, &DecoderConfig::default()).await;
    let mut retries = Vec::new();
    for _ in 0..3 {
        let store = place.again().await;
        retries.push(tokio::task::spawn_blocking(move || {
            tokio::runtime::Handle::current().block_on(retry(&store, &LetterSelection::all(), &keyed()))
        }));
    }
    let mut settled = 0;
    for retry in retries {
        settled += retry.await.unwrap().unwrap().settled;
    }
    assert_eq!(settled, 500);
    place.store.refresh().await.unwrap();
    let ids: Vec<_> = place.events().await.into_iter().map(|stored| stored.event.id).collect();
    assert_eq!((ids.len(), ids.iter().collect::<BTreeSet<_>>().len()), (500, 500));
}

/// Named letters that another process has settled since they were looked at are a conflict, and nothing is appended.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_second_gets_a_conflict() {
    let place = Place::new().await;
    place.ingest(&[created(1).to_string()], &DecoderConfig::default()).await;
    let other = place.again().await;
    discard_dead_letters(&other, &numbers(&[1]), u64::MAX, "mine", "other").await.unwrap();
    let second = place.retry(&numbers(&[1]), &keyed()).await.unwrap_err();
    assert_eq!(second.to_string(), "dead letter 1 was discarded already, by other");
    assert_eq!(place.events().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_prepared_and_not_committed_leaves_the_letter_open() {
    let place = Place::new().await;
    place.ingest(&[created(1).to_string()], &DecoderConfig::default()).await;
    let [open] = &place.letters(None).await[..] else { panic!("one letter") };
    let outcome = Outcome::Discarded { reason: "a crash".into() };
    let event = outcome.event(1, &open.letter, "nobody", open.letter.recorded_at);
    drop(place.store.prepare(vec![event]).await.unwrap());
    let again = place.again().await;
    assert!(!again.is_settled(open.letter.id()));
    assert_eq!(retry(&again, &numbers(&[1]), &keyed()).await.unwrap().settled, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_cannot_be_decoded_stays_and_says_why() {
    let place = Place::new().await;
    let null_key = change("c", 2, Value::Null, json!({ "id": null }));
    let overlong = "x".repeat(LINE_LIMIT_BYTES);
    place.ingest(&[created(1).to_string(), null_key.to_string(), overlong], &DecoderConfig::default()).await;
    let summary = place.retry(&LetterSelection::all(), &DecoderConfig::default()).await.unwrap();
    assert_eq!((summary.settled, summary.failed), (0, 3));
    let summary = place.retry(&LetterSelection::all(), &keyed()).await.unwrap();
    assert_eq!((summary.settled, summary.failed), (1, 2));
    let failures: Vec<_> = summary.failures.iter().map(|failure| (failure.number, failure.code.as_str())).collect();
    assert_eq!(failures, [(2, "null_key"), (3, "overlong_line")]);
    let reason = &summary.failures[1].reason;
    assert!(reason.contains("line 3 of ") && reason.contains("orders.jsonl"), "{reason}");
    let open: Vec<_> = place.letters(Some(LetterState::Open)).await.iter().map(|letter| letter.number).collect();
    assert_eq!(open, [2, 3]);
}

/// A letter of a topic, which is a record; and one that turns out to hold no event.
#[tokio::test(flavor = "multi_thread")]
async fn letters_of_topics_are_retried_with_key_value_headers_and_time() {
    let place = Place::new().await;
    let mut timeless = created(1);
    timeless.as_object_mut().unwrap().remove("ts_ms");
    let source = timeless["source"].as_object_mut().unwrap();
    source.retain(|name, _| !name.starts_with("ts_"));
    let letter = |offset: i64, value: Option<&Value>| DeadLetter {
        source: "shop".into(),
        topic: "shop.public.orders".into(),
        partition: 2,
        offset,
        file: None,
        line: None,
        timestamp_ms: Some(1_790_582_400_123),
        key: Some(br#"{"id":1}"#.to_vec()),
        value: value.map(|value| value.to_string().into_bytes()),
        headers: r#"["trace","abc"]"#.into(),
        code: "unsupported_format".into(),
        reason: "another version did not know it".into(),
        recorded_at: deltafold_event::Timestamp::from_micros(0),
    };
    let letters = vec![letter(41, Some(&timeless)), letter(42, None)];
    let offset = Offset { app_id: "shop/shop.public.orders/2".into(), expected: None, next: 43 };
    place.store.append_dead_letters(letters, vec![offset]).await.unwrap();
    let summary = place.retry(&LetterSelection::all(), &DecoderConfig::default()).await.unwrap();
    assert_eq!((summary.settled, summary.events), (2, 1));
    let [stored] = &place.events().await[..] else { panic!("one event") };
    let at = &stored.event.coordinates;
    assert_eq!((&*at.source, &*at.topic, at.partition, at.offset), ("shop", "shop.public.orders", 2, 41));
    assert!(stored.event.metadata.contains(r#""headers":["trace","abc"]"#), "{}", stored.event.metadata);
    assert_eq!(stored.event.occurred_at.to_string(), "2026-09-28T08:00:00.123000Z");
    let tombstone = place.letters(None).await.pop().unwrap().settlement.unwrap();
    assert_eq!(tombstone.outcome, Outcome::Retried { events: Vec::new(), ignored: Some("tombstone".into()) });
    assert_eq!(place.store.offset("shop/shop.public.orders/2"), None, "retrying reads nothing of the topic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_stops_where_the_next_request_goes_on() {
    let place = Place::new().await;
    let mut lines: Vec<String> = (1..=6).map(|id| created(id).to_string()).collect();
    lines.insert(1, change("c", 9, Value::Null, json!({ "id": null })).to_string());
    place.ingest(&lines, &DecoderConfig::default()).await;
    let (mut after, mut settled, mut failed) = (None, Vec::new(), 0);
    loop {
        let selection = LetterSelection::Open { source: None, topic: None, code: Some("no_key".into()), after };
        let summary = retry_dead_letters(&place.store, &selection, 3, |_| keyed(), "tester").await.unwrap();
        settled.push(summary.settled);
        failed += summary.failed;
        after = summary.stopped_at;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((settled, failed), (vec![2, 3, 1], 1));
}
