//! A source of topics against a cluster of librdkafka's own making, in this process: who starts where, what is handed
//! on, what is said of it. What a real broker does beyond that is in the end-to-end tests.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use deltafold_source::{
    Hindrance, KafkaOptions, KafkaSource, KafkaStatus, OnDataLoss, Polled, Reading, Start, TopicPartition,
};
use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

struct Cluster {
    mock: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

impl Cluster {
    fn new() -> Self {
        let mock = MockCluster::new(1).expect("a cluster");
        let producer =
            ClientConfig::new().set("bootstrap.servers", mock.bootstrap_servers()).create().expect("a producer");
        Self { mock, producer }
    }

    fn topic(self, name: &str, partitions: i32) -> Self {
        self.mock.create_topic(name, partitions, 1).expect("a topic");
        self
    }

    /// Appends records with these values to a partition, durably.
    fn produce(&self, topic: &str, partition: i32, values: impl IntoIterator<Item = u32>) {
        for value in values {
            let (key, value) = (format!("k{value}"), value.to_string());
            let record = BaseRecord::to(topic).partition(partition).key(&key).payload(&value);
            self.producer.send(record).expect("room for a record");
        }
        self.producer.flush(LIMIT).expect("the records are taken");
    }

    fn options(&self, topics: &[&str]) -> KafkaOptions {
        KafkaOptions {
            name: "shop".into(),
            brokers: self.mock.bootstrap_servers(),
            topics: topics.iter().map(|topic| topic.parse().expect("a topic or a glob")).collect(),
            group: "deltafold".into(),
            instance: None,
            start: Start::Earliest,
            on_data_loss: OnDataLoss::Stop,
            properties: BTreeMap::new(),
            dead_letter_topic: None,
            token_file: None,
        }
    }
}

/// A source with a store that takes everything at once.
struct Reader {
    source: KafkaSource,
    status: Arc<KafkaStatus>,
    stored: BTreeMap<TopicPartition, i64>,
    values: BTreeMap<TopicPartition, Vec<u32>>,
}

impl Reader {
    fn new(options: KafkaOptions, stored: &[(&str, i32, i64)]) -> Self {
        let status = Arc::new(KafkaStatus::new(&options.name));
        let stored = stored.iter().map(|(topic, number, next)| (partition(topic, *number), *next)).collect();
        let source = KafkaSource::connect(options, Arc::clone(&status)).expect("the options are right");
        Self { source, status, stored, values: BTreeMap::new() }
    }

    fn poll(&mut self) {
        let stored = self.stored.clone();
        match self
            .source
            .poll(&|partition| stored.get(partition).copied(), Duration::from_millis(100))
            .expect("nothing is fatal")
        {
            Polled::Nothing => {}
            Polled::Leaving { .. } => self.source.release(),
            Polled::Records(records) => {
                for record in records.iter() {
                    assert_eq!(record.key.expect("a key")[0], b'k');
                    let value =
                        std::str::from_utf8(record.value.expect("a value")).expect("text").parse().expect("a number");
                    self.values.entry(record.partition.clone()).or_default().push(value);
                }
                for (partition, span) in records.reached() {
                    assert_eq!(span.from, self.stored.insert(partition.clone(), span.next), "of {partition}");
                }
            }
        }
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(
                began.elapsed() < LIMIT,
                "waited in vain until {what}: {:?} {:?}",
                self.status.state(),
                self.values
            );
            self.poll();
        }
    }

    fn of(&self, topic: &str, number: i32) -> &[u32] {
        self.values.get(&partition(topic, number)).map_or(&[], Vec::as_slice)
    }
}

fn partition(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

#[test]
fn the_store_says_where_a_partition_starts_not_the_group() {
    let cluster = Cluster::new().topic("shop.orders", 2).topic("shop.items", 1).topic("crm.people", 1);
    cluster.produce("shop.orders", 0, 0..10);
    cluster.produce("shop.orders", 1, 0..5);
    cluster.produce("shop.items", 0, 0..3);
    cluster.produce("crm.people", 0, 0..3);
    let mut reader = Reader::new(cluster.options(&["shop.*"]), &[("shop.orders", 0, 7)]);
    reader.until("everything is read", |reader| {
        reader.of("shop.orders", 0).len() >= 3
            && reader.of("shop.orders", 1).len() >= 5
            && reader.of("shop.items", 0).len() >= 3
    });
    assert_eq!(reader.of("shop.orders", 0), [7, 8, 9]);
    assert_eq!(reader.of("shop.orders", 1), [0, 1, 2, 3, 4]);
    assert!(reader.of("crm.people", 0).is_empty());
    // The group was told something else; a second reader goes by its store all the same.
    reader.source.committed([(&partition("shop.orders", 0), 10)]);
    drop(reader);
    let mut again = Reader::new(cluster.options(&["shop.orders"]), &[("shop.orders", 0, 4), ("shop.orders", 1, 5)]);
    again.until("the rest is read", |reader| reader.of("shop.orders", 0).len() >= 6);
    assert_eq!(again.of("shop.orders", 0), [4, 5, 6, 7, 8, 9]);
    assert!(again.of("shop.orders", 1).is_empty());
}

#[test]
fn after_rewinding_everything_from_the_store_s_place_on_comes_again() {
    let cluster = Cluster::new().topic("t", 1);
    cluster.produce("t", 0, 0..100);
    let mut reader = Reader::new(cluster.options(&["t"]), &[]);
    reader.until("something is read", |reader| !reader.of("t", 0).is_empty());
    let t = partition("t", 0);
    reader.stored.insert(t.clone(), 20);
    reader.values.clear();
    let began = Instant::now();
    while !reader.source.rewind(&|_| Some(20)) {
        assert!(began.elapsed() < LIMIT);
    }
    cluster.produce("t", 0, 100..110);
    reader.until("the end is read", |reader| reader.of("t", 0).last() == Some(&109));
    assert_eq!(reader.of("t", 0), (20..110).collect::<Vec<_>>());
    reader.until("the end is known", |reader| reader.status.state().partitions[&t].lag() == Some(0));
}

#[test]
fn where_reading_began_is_recorded_before_anything_came() {
    let cluster = Cluster::new().topic("t", 1);
    cluster.produce("t", 0, 0..5);
    let mut reader = Reader::new(KafkaOptions { start: Start::Latest, ..cluster.options(&["t"]) }, &[]);
    reader.until("the place is recorded", |reader| !reader.stored.is_empty());
    assert_eq!(reader.stored[&partition("t", 0)], 5);
    cluster.produce("t", 0, 5..8);
    reader.until("what came since is read", |reader| reader.of("t", 0).len() >= 3);
    assert_eq!(reader.of("t", 0), [5, 6, 7]);

    let offsets = Start::Offsets(BTreeMap::from([("t/0".to_owned(), 6)]));
    drop(reader);
    let mut reader = Reader::new(KafkaOptions { start: offsets, ..cluster.options(&["t"]) }, &[]);
    reader.until("what is asked for is read", |reader| reader.of("t", 0).len() >= 2);
    assert_eq!(reader.of("t", 0), [6, 7]);
}

#[test]
fn a_store_beyond_the_topic_s_end_is_not_read_on_unasked() {
    let cluster = Cluster::new().topic("t", 1);
    cluster.produce("t", 0, 0..5);
    let t = partition("t", 0);
    let mut reader = Reader::new(cluster.options(&["t"]), &[("t", 0, 9)]);
    reader.until("it is noticed", |reader| reader.status.state().partitions.contains_key(&t));
    assert_eq!(reader.status.state().partitions[&t].reading, Reading::Replaced { expected: 9, end: 5 });
    drop(reader);
    let continuing = KafkaOptions { on_data_loss: OnDataLoss::Continue, ..cluster.options(&["t"]) };
    let mut reader = Reader::new(continuing, &[("t", 0, 9)]);
    reader.until("it is read again", |reader| reader.of("t", 0).len() >= 5);
    assert_eq!(reader.of("t", 0), [0, 1, 2, 3, 4]);
}

#[test]
fn a_partition_that_is_held_waits_and_loses_nothing() {
    let cluster = Cluster::new().topic("t", 2);
    let mut reader = Reader::new(cluster.options(&["t"]), &[]);
    reader.until("both are assigned", |reader| reader.status.state().partitions.len() == 2);
    let first = partition("t", 0);
    reader.source.hold(&[first.clone()].into());
    assert_eq!(reader.status.state().partitions[&first].reading, Reading::Ahead);
    cluster.produce("t", 0, 0..50);
    cluster.produce("t", 1, 0..50);
    reader.until("the other is read", |reader| reader.of("t", 1).len() >= 50);
    assert!(reader.of("t", 0).is_empty());
    reader.source.hold(&[].into());
    reader.until("both are read", |reader| reader.of("t", 0).len() >= 50);
    assert_eq!(reader.of("t", 0), (0..50).collect::<Vec<_>>());
}

/// A lost race took the consumer back while a partition was held for being ahead: it was forgotten to be held, and never
/// read again.
#[test]
fn a_partition_that_is_held_is_read_again_after_rewinding() {
    let cluster = Cluster::new().topic("t", 1);
    let mut reader = Reader::new(cluster.options(&["t"]), &[]);
    reader.until("it is assigned", |reader| reader.status.state().partitions.len() == 1);
    reader.source.hold(&[partition("t", 0)].into());
    cluster.produce("t", 0, 0..10);
    let began = Instant::now();
    while !reader.source.rewind(&|_| None) {
        assert!(began.elapsed() < LIMIT);
    }
    reader.source.hold(&[].into());
    reader.until("it is read", |reader| reader.of("t", 0).len() >= 10);
    assert_eq!(reader.of("t", 0), (0..10).collect::<Vec<_>>());
}

#[test]
fn two_readers_share_and_the_one_that_stays_takes_over() {
    let cluster = Cluster::new().topic("t", 4);
    // The mock group settles after one session or two, and that in the time that is waited for it.
    let options = || {
        let mut options = cluster.options(&["t"]);
        options.properties.insert("session.timeout.ms".into(), "6000".into());
        options.properties.insert("heartbeat.interval.ms".into(), "500".into());
        options
    };
    let mut first = Reader::new(options(), &[]);
    first.until("all are assigned", |reader| reader.status.state().partitions.len() == 4);
    let mut second = Reader::new(options(), &[]);
    let began = Instant::now();
    while second.status.state().partitions.len() != 2 || first.status.state().partitions.len() != 2 {
        assert!(began.elapsed() < LIMIT, "{:?} {:?}", first.status.state(), second.status.state());
        first.poll();
        second.poll();
    }
    drop(second);
    first.until("all are back", |reader| reader.status.state().partitions.len() == 4);
}

#[test]
fn a_topic_that_is_not_there_is_named_and_read_once_it_is() {
    let cluster = Cluster::new().topic("t", 1);
    let mut options = cluster.options(&["t", "later"]);
    options.properties.insert("topic.metadata.refresh.interval.ms".into(), "200".into());
    let mut reader = Reader::new(options, &[]);
    reader.until("it is missed", |reader| !reader.status.state().unknown_topics.is_empty());
    assert_eq!(reader.status.state().unknown_topics, ["later".to_owned()].into());
    let cluster = cluster.topic("later", 1);
    cluster.produce("later", 0, 0..3);
    reader.until("it is read", |reader| reader.of("later", 0).len() >= 3);
}

#[test]
fn brokers_that_go_away_are_waited_for() {
    let cluster = Cluster::new().topic("t", 1);
    cluster.produce("t", 0, 0..3);
    let mut reader = Reader::new(cluster.options(&["t"]), &[]);
    reader.until("the beginning is read", |reader| reader.of("t", 0).len() >= 3);
    cluster.mock.broker_down(1).unwrap();
    reader.until("it is noticed", |reader| matches!(reader.status.state().hindrance, Some(Hindrance::Broker(_))));
    cluster.mock.broker_up(1).unwrap();
    cluster.produce("t", 0, 3..6);
    reader.until("the rest is read", |reader| reader.of("t", 0).len() >= 6);
    assert_eq!(reader.of("t", 0), [0, 1, 2, 3, 4, 5]);
    reader.until("that is noticed, too", |reader| reader.status.state().hindrance.is_none());
}

#[test]
fn properties_that_are_wrong_or_ours_are_refused() {
    let options = |name: &str, value: &str| {
        let cluster = Cluster::new();
        let mut options = cluster.options(&["t"]);
        options.properties.insert(name.into(), value.into());
        KafkaSource::connect(options, Arc::new(KafkaStatus::new("shop"))).err().expect("it is refused").to_string()
    };
    let error = options("enable.auto.commit", "true");
    assert!(error.contains("sources.shop.properties: \"enable.auto.commit\": Deltafold sets it"), "{error}");
    let error = options("sessoin.timeout.ms", "6000");
    assert!(error.contains("\"sessoin.timeout.ms\": No such configuration property"), "{error}");
}
