//! Files into a real store: what is appended, what is there already, what is set aside.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{fs, path::PathBuf, time::Duration};

use deltafold_event::{Position, StoredEvent, Timestamp, TransactionEnd, control};
use deltafold_ingest::{GroupCommit, Options, Summary, ingest_file};
use deltafold_source::LINE_LIMIT_BYTES;
use deltafold_store::{DeadLetter, DeadLetterFilter, Direction, EventFilter, EventStore};
use tokio_util::sync::CancellationToken;

/// A directory with a store and a file in it.
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

    async fn ingest(&self, content: impl AsRef<[u8]>) -> Summary {
        let path = self.path("orders.jsonl");
        fs::write(&path, content).unwrap();
        ingest_file(&self.store, &path, &Options::default(), CancellationToken::new()).await.unwrap()
    }

    async fn events(&self) -> Vec<StoredEvent> {
        let filter = EventFilter { without_control: true, ..EventFilter::default() };
        self.store.scan(&filter, Direction::Forward, usize::MAX).await.unwrap()
    }

    async fn ids(&self) -> Vec<String> {
        self.events().await.into_iter().map(|stored| stored.event.aggregate_id.unwrap()).collect()
    }

    async fn letters(&self) -> Vec<DeadLetter> {
        let letters = self.store.dead_letters(&DeadLetterFilter::default()).await.unwrap();
        letters.into_iter().map(|recorded| recorded.letter).collect()
    }
}

/// A create of an order, as Debezium says it without schemas.
fn order_of(server: &str, id: u64) -> String {
    format!(
        r#"{{"key":{{"id":{id}}},"value":{{"before":null,"after":{{"id":{id},"status":"paid"}},"source":{{"version":"3.5.0.Final","connector":"postgresql","name":"{server}","ts_ms":1790582400029,"snapshot":"false","db":"shop","sequence":"[\"{id}\",\"{id}\"]","ts_us":1790582400029070,"schema":"public","table":"orders","txId":{id},"lsn":{id}}},"op":"c","ts_ms":1795263674757}}}}"#
    )
}

fn order(id: u64) -> String {
    order_of("shop", id)
}

fn lines(ids: impl IntoIterator<Item = u64>) -> String {
    ids.into_iter().map(|id| order(id) + "\n").collect()
}

fn counts(summary: &Summary) -> (u64, u64, u64) {
    (summary.appended, summary.already_there, summary.dead_letters)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_twice_appends_nothing_the_second_time() {
    let place = Place::new().await;
    assert_eq!(counts(&place.ingest(lines(1..=3)).await), (3, 0, 0));
    assert_eq!(counts(&place.ingest(lines(1..=3)).await), (0, 3, 0));
    // Under another name, compressed, after another opening of the store.
    let store = EventStore::open(&place.path("data"), Default::default()).await.unwrap();
    let path = place.path("other.zst");
    fs::write(&path, zstd_of(&lines(1..=3))).unwrap();
    let summary = ingest_file(&store, &path, &Options::default(), CancellationToken::new()).await.unwrap();
    assert_eq!(counts(&summary), (0, 3, 0));
    assert_eq!(place.ids().await, ["1", "2", "3"]);
}

/// A zstd frame of one raw block: enough for a file of a few lines.
fn zstd_of(text: &str) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0xa0];
    frame.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    let header = (u32::try_from(text.len()).unwrap() << 3) | 1;
    frame.extend_from_slice(&header.to_le_bytes()[..3]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grown_file_appends_what_was_added() {
    let place = Place::new().await;
    assert_eq!(counts(&place.ingest(lines(1..=2)).await), (2, 0, 0));
    assert_eq!(counts(&place.ingest(lines(1..=5)).await), (3, 2, 0));
    assert_eq!(place.ids().await, ["1", "2", "3", "4", "5"]);
    // An older copy of it is nothing new either.
    assert_eq!(counts(&place.ingest(lines(1..=2)).await), (0, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_begins_alike_but_differs_later_is_another() {
    let place = Place::new().await;
    place.ingest(lines([1, 2])).await;
    assert_eq!(counts(&place.ingest(lines([1, 3])).await), (2, 0, 0));
    assert_eq!(counts(&place.ingest(lines([1, 3, 4])).await), (1, 2, 0));
    assert_eq!(counts(&place.ingest(lines([1, 2, 5])).await), (1, 2, 0));
    assert_eq!(place.ids().await, ["1", "2", "1", "3", "4", "5"]);
}

/// The story: an exporter was still writing the last line when the file was read. The line became a dead letter, the
/// offset moved beyond it, and the rest of the line was another dead letter next time: an event was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_last_line_is_set_aside_once_and_read_again_when_it_is_whole() {
    let place = Place::new().await;
    let whole = lines(1..=3);
    let cut = &whole[..whole.len() - 20];
    assert_eq!(counts(&place.ingest(cut).await), (2, 0, 1));
    assert_eq!(counts(&place.ingest(cut).await), (0, 2, 0));
    assert_eq!(counts(&place.ingest(&whole).await), (1, 2, 0));
    assert_eq!(counts(&place.ingest(&whole).await), (0, 3, 0));
    assert_eq!(place.ids().await, ["1", "2", "3"]);
    assert_eq!(place.letters().await[0].line, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_line_without_an_end_is_taken_once() {
    let place = Place::new().await;
    let whole = lines(1..=2);
    assert_eq!(counts(&place.ingest(whole.trim_end()).await), (2, 0, 0));
    assert_eq!(counts(&place.ingest(&whole).await), (0, 2, 0));
    assert_eq!(counts(&place.ingest(whole + &order(3)).await), (1, 2, 0));
    let found: Vec<_> = place.events().await.into_iter().map(|stored| stored.event.coordinates.offset).collect();
    assert_eq!(found, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decoded_is_set_aside_and_the_rest_is_in_the_store() {
    let place = Place::new().await;
    let deep = "[".repeat(10_000);
    let mut bytes = Vec::new();
    for line in [order(1).as_bytes(), b"{\"cut\": ", b"{\"a\":\"\xff\"}", deep.as_bytes(), b"", order(2).as_bytes()] {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes.extend(std::iter::repeat_n(b'x', LINE_LIMIT_BYTES));
    bytes.extend_from_slice(format!("\n{}\n", order(3)).as_bytes());
    assert_eq!(counts(&place.ingest(&bytes).await), (3, 0, 4));
    assert_eq!(place.ids().await, ["1", "2", "3"]);
    let letters = place.letters().await;
    let places: Vec<_> = letters.iter().map(|letter| letter.line.unwrap()).collect();
    assert_eq!(places, [2, 3, 4, 7]);
    assert!(letters.iter().all(|letter| letter.file.as_deref().unwrap().ends_with("orders.jsonl")));
    assert_eq!(letters[1].value.as_deref(), Some(&b"{\"a\":\"\xff\"}"[..]));
    assert_eq!(letters[3].code, "overlong_line");
    assert!(letters[3].value.as_ref().unwrap().len() < LINE_LIMIT_BYTES);
}

/// What a line of the transaction topic says, as `kcat -J` prints it.
fn end_of(transaction: u64, status: &str, count: &str) -> String {
    let value = format!(
        r#"{{"status":"{status}","id":"{transaction}:{transaction}00","event_count":{count},"data_collections":null,"ts_ms":1790582400029}}"#
    );
    serde_json::json!({
        "topic": "shop.transaction", "partition": 2, "offset": transaction, "ts": 1_790_582_400_100_u64,
        "key": null, "payload": value
    })
    .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn which_transactions_ended_is_one_event_of_the_commit_that_read_it() {
    let place = Place::new().await;
    let ends = [end_of(1, "BEGIN", "null"), end_of(1, "END", "1"), end_of(2, "BEGIN", "null"), end_of(2, "END", "3")];
    let content = format!("{}{}\n", lines(1..=2), ends.join("\n"));
    let summary = place.ingest(&content).await;
    assert_eq!((counts(&summary), summary.commits), ((2, 0, 0), 1));
    assert_eq!(summary.ignored.values().sum::<u64>(), 4);
    let ended = place.store.control(control::TRANSACTION).await.unwrap();
    assert_eq!(ended.len(), 1);
    let event = &ended[0].event;
    assert_eq!((&*event.event_type, event.coordinates.partition, event.coordinates.offset), ("ended", 2, 2));
    assert_eq!(
        event.aggregate_id.as_deref(),
        Some(place.store.control(control::FILE).await.unwrap()[0].event.aggregate_id.as_deref().unwrap())
    );
    let end = |transaction: &str, events| TransactionEnd {
        origin: "shop".into(),
        transaction: transaction.into(),
        events,
        ended_at: Timestamp::from_millis(1_790_582_400_029),
    };
    let told = TransactionEnd::from_json(event.after.as_deref().unwrap()).unwrap();
    assert_eq!(told, [end("1", 1), end("2", 3)]);
    // Their events have the same transactions.
    let transactions: Vec<_> = place.events().await.into_iter().map(|stored| stored.event.transaction_id).collect();
    assert_eq!(transactions, [Some("1".into()), Some("2".into())]);

    // Nothing is told twice; what is added is told by the commit that takes it in.
    assert_eq!(counts(&place.ingest(&content).await), (0, 2, 0));
    place.ingest(content + &end_of(3, "END", "1") + "\n").await;
    let ended = place.store.control(control::TRANSACTION).await.unwrap();
    let told = |stored: &StoredEvent| TransactionEnd::from_json(stored.event.after.as_deref().unwrap()).unwrap();
    assert_eq!(ended.iter().map(|stored| told(stored).len()).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_the_same_name_elsewhere_is_set_aside_and_the_setting_is_named() {
    let place = Place::new().await;
    let both = format!("{}\n{}\n", order(1), order_of("crm", 2));
    assert_eq!(counts(&place.ingest(both).await), (1, 0, 1));
    // In another file, after the claim is on record.
    assert_eq!(counts(&place.ingest(order_of("crm", 3) + "\n").await), (0, 0, 1));
    let letters = place.letters().await;
    assert!(
        letters.iter().all(|letter| letter.code == "table_conflict" && letter.reason.contains("[aggregates] name"))
    );
    assert_eq!(place.store.control(control::TABLE).await.unwrap().len(), 1);
}

/// The story: a decoder gives each schema once, and gave it with an event that was set aside; the next event of that
/// schema, of a table that was free, was appended, and nobody could ever tell what its columns were.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_came_with_a_refused_event_is_on_record_with_the_next() {
    let place = Place::new().await;
    place.ingest(lines(1..=1)).await;
    let keyed_by_code = |line: String| line.replace(r#"{"key":{"id":"#, r#"{"key":{"code":"#);
    let refused = keyed_by_code(order_of("crm", 2));
    let accepted = keyed_by_code(order_of("crm", 3)).replace(r#""table":"orders""#, r#""table":"codes""#);
    assert_eq!(counts(&place.ingest(format!("{refused}\n{accepted}\n")).await), (1, 0, 1));
    let schema = place.events().await.pop().unwrap().event.schema_id.unwrap();
    assert!(place.store.has_control(control::SCHEMA, schema.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_read_the_same_file_append_it_once() {
    let place = Place::new().await;
    let path = place.path("orders.jsonl");
    fs::write(&path, lines(1..=4_000)).unwrap();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        // Each with a store of its own, as processes have.
        let store = EventStore::open(&place.path("data"), Default::default()).await.unwrap();
        let path = path.clone();
        let group = GroupCommit { events: 500, ..GroupCommit::default() };
        tasks.push(tokio::spawn(async move {
            let options = Options { group, ..Options::default() };
            ingest_file(&store, &path, &options, CancellationToken::new()).await.unwrap()
        }));
    }
    let mut appended = 0;
    for task in tasks {
        appended += task.await.unwrap().appended;
    }
    assert_eq!(appended, 4_000);
    place.store.refresh().await.unwrap();
    let ids: Vec<_> = place.ids().await;
    assert_eq!(ids, (1..=4_000).map(|id: u64| id.to_string()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_file_is_read_as_it_grows_and_when_it_is_replaced() {
    let place = Place::new().await;
    let path = place.path("orders.jsonl");
    fs::write(&path, "").unwrap();
    let cancel = CancellationToken::new();
    let following = tokio::spawn({
        let (store, path, cancel) = (place.store.clone(), path.clone(), cancel.clone());
        let group = GroupCommit { interval: Duration::from_millis(10), ..GroupCommit::default() };
        async move { ingest_file(&store, &path, &Options { follow: true, group, ..Options::default() }, cancel).await }
    });
    let mut tail = place.store.tail(Position::ZERO);
    let mut seen = Vec::new();
    let mut until = async |count: usize| {
        while seen.len() < count {
            let batch = tokio::time::timeout(Duration::from_secs(60), tail.next()).await.unwrap().unwrap();
            let ids = batch.events.iter().filter(|stored| !stored.event.is_control());
            seen.extend(ids.map(|stored| stored.event.aggregate_id.clone().unwrap()));
        }
        seen.clone()
    };
    let second = order(2);
    let (beginning, rest) = second.split_at(40);
    append(&path, &(order(1) + "\n" + beginning));
    assert_eq!(until(1).await, ["1"]);
    append(&path, &format!("{rest}\n"));
    assert_eq!(until(2).await, ["1", "2"]);
    fs::rename(&path, place.path("orders.1.jsonl")).unwrap();
    fs::write(&path, lines(3..=3)).unwrap();
    assert_eq!(until(3).await, ["1", "2", "3"]);
    cancel.cancel();
    let summary = following.await.unwrap().unwrap();
    assert_eq!(counts(&summary), (3, 0, 0));
}

fn append(path: &std::path::Path, text: &str) {
    use std::io::Write;
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}
