//! Copies of dead letters against a cluster of librdkafka's own making, in this process.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use deltafold_source::{
    Copies, KafkaOptions, KafkaSource, KafkaStatus, LetterCopies, LetterCopy, OnDataLoss, Polled, Start,
};
use rdkafka::{
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(60);

const LETTER: LetterCopy<'static> = LetterCopy {
    topic: "shop.orders",
    partition: 2,
    offset: 17,
    key: Some(b"\x00k"),
    value: Some(b"{\"cut\":"),
    headers: r#"["trace","abc","empty",null]"#,
    code: "truncated_json",
    reason: "the value ends inside a JSON value",
};

struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    fn new() -> Self {
        let mock = MockCluster::new(1).unwrap();
        mock.create_topic("dead", 1, 1).unwrap();
        Self(mock)
    }

    fn options(&self, properties: &[(&str, &str)]) -> KafkaOptions {
        KafkaOptions {
            name: "shop".into(),
            brokers: self.0.bootstrap_servers(),
            topics: vec!["dead".parse().unwrap()],
            group: "who looks there".into(),
            instance: None,
            start: Start::Earliest,
            on_data_loss: OnDataLoss::Stop,
            properties: properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            dead_letter_topic: Some("dead".into()),
            token_file: None,
        }
    }

    fn copies(&self, properties: &[(&str, &str)]) -> (LetterCopies, Arc<KafkaStatus>) {
        let status = Arc::new(KafkaStatus::new("shop"));
        let copies = LetterCopies::connect(&self.options(properties), Arc::clone(&status)).unwrap();
        (copies.expect("a topic is named"), status)
    }
}

fn until(status: &KafkaStatus, is_so: impl Fn(Copies) -> bool) {
    let began = Instant::now();
    while !is_so(status.state().copies) {
        assert!(began.elapsed() < LIMIT, "waited in vain: {:?}", status.state().copies);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_copy_is_whole_and_says_where_it_comes_from_and_why() {
    let cluster = Cluster::new();
    let (copies, status) = cluster.copies(&[]);
    copies.send(&LETTER);
    copies.send(&LetterCopy { key: None, value: None, headers: "", ..LETTER });
    // Ending waits for those under way.
    drop(copies);
    assert_eq!(status.state().copies, Copies { made: 2, failed: 0, is_failing: false });

    let mut source = KafkaSource::connect(cluster.options(&[]), Arc::new(KafkaStatus::new("reader"))).unwrap();
    let mut found = Vec::new();
    let began = Instant::now();
    while found.len() < 2 {
        assert!(began.elapsed() < LIMIT);
        match source.poll(&|_| None, Duration::from_millis(100)).unwrap() {
            Polled::Records(records) => found.extend(records.iter().map(|record| {
                let header = |(name, value): &(&str, Option<&[u8]>)| {
                    ((*name).to_owned(), value.map(|value| String::from_utf8(value.to_vec()).unwrap()))
                };
                let headers: Vec<(String, Option<String>)> = record.headers.iter().map(header).collect();
                (record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec), headers)
            })),
            Polled::Leaving { .. } => source.release(),
            Polled::Nothing => {}
        }
    }
    let (key, value, headers) = &found[0];
    assert_eq!((key.as_deref(), value.as_deref()), (LETTER.key, LETTER.value));
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.to_owned()));
    let ours = [
        header("deltafold.code", "truncated_json"),
        header("deltafold.reason", "the value ends inside a JSON value"),
        header("deltafold.topic", "shop.orders"),
        header("deltafold.partition", "2"),
        header("deltafold.offset", "17"),
    ];
    let own = vec![header("trace", "abc"), ("empty".to_owned(), None)];
    assert_eq!(*headers, [own, ours.to_vec()].concat());
    assert_eq!(found[1], (None, None, ours.to_vec()));
}

/// A broker that refuses is tried again, and the copy arrives.
#[test]
fn a_copy_that_a_broker_refuses_for_now_is_sent_again() {
    let cluster = Cluster::new();
    let busy = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.0.request_errors(RDKafkaApiKey::Produce, &[busy, busy]);
    let (copies, status) = cluster.copies(&[("retry.backoff.ms", "10")]);
    copies.send(&LETTER);
    until(&status, |copies| copies.made == 1);
    assert_eq!(status.state().copies.failed, 0);
}

/// No broker, a short queue and little patience: nothing waits, and what is not copied is counted.
#[test]
fn a_broker_that_is_away_holds_nobody_up() {
    let cluster = Cluster::new();
    cluster.0.broker_down(1).unwrap();
    let (copies, status) = cluster.copies(&[("message.timeout.ms", "300"), ("queue.buffering.max.messages", "10")]);
    let began = Instant::now();
    for _ in 0..1_000 {
        copies.send(&LETTER);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "it waited {:?}", began.elapsed());
    assert!(status.state().copies.failed >= 990);
    until(&status, |copies| copies.failed == 1_000);
    assert!(status.state().copies.is_failing);
    cluster.0.broker_up(1).unwrap();
    let began = Instant::now();
    while status.state().copies.made == 0 {
        assert!(began.elapsed() < LIMIT, "{:?}", status.state().copies);
        copies.send(&LETTER);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!status.state().copies.is_failing);
}

#[test]
fn a_source_that_names_no_topic_copies_nothing() {
    let options = KafkaOptions { dead_letter_topic: None, ..Cluster::new().options(&[]) };
    assert!(LetterCopies::connect(&options, Arc::new(KafkaStatus::new("shop"))).unwrap().is_none());
    let wrong = KafkaOptions {
        properties: BTreeMap::from([("enable.auto.commit".into(), "true".into())]),
        ..Cluster::new().options(&[])
    };
    assert!(LetterCopies::connect(&wrong, Arc::new(KafkaStatus::new("shop"))).is_err());
}
