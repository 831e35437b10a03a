//! The whole, with nothing made up: a database at work, Debezium, Kafka and Deltafold, while each of them is stopped,
//! killed, sent back, joined by another and left again. In the end the views are what the database's own SELECT said, at
//! every moment of that time, and the store has every event of the topics once.

use std::process::Stdio;

use deltafold_tests::live::{Live, Reader, Site, halt, leave, resume, wait_until};
use serde_json::{Value, json};
use xtask::stack::{Options, Stack};

fn is_soak() -> bool {
    std::env::var_os("DELTAFOLD_SOAK").is_some()
}

/// How many times the database works between two faults.
fn rounds() -> u32 {
    if is_soak() { 10 } else { 3 }
}

/// How many times Deltafold is killed alone, and as often again beside a second instance.
fn kills() -> u32 {
    if is_soak() { 5 } else { 1 }
}

fn survives_everything(mut live: Live) {
    let work = |live: &mut Live| (0..rounds()).for_each(|_| live.work());
    work(&mut live);
    let bookmark = live.bookmark();
    work(&mut live);
    for _ in 0..kills() {
        live.site().kill_and_run();
        work(&mut live);
    }

    live.restart_broker();
    work(&mut live);

    live.send_again(&bookmark);
    work(&mut live);

    let second = live.site().second();
    work(&mut live);
    for _ in 0..kills() {
        live.site().kill_and_run();
        work(&mut live);
    }
    leave(second);
    work(&mut live);

    let records = live.settle();
    live.assert_truth();
    live.assert_consistent();
    live.assert_events(&records);
}

#[test]
fn postgres() {
    survives_everything(Live::shop(20_261_127));
}

#[test]
fn mariadb() {
    survives_everything(Live::warehouse(20_261_127));
}

/// The database is set back to a backup and goes on, read by a new connector with a new snapshot. Until an operator says
/// so, answers stay what they were; then they are what the database has, without the rows that were lost; and so they
/// are when everything is folded again.
fn waits_for_an_operator(mut live: Live, name: &str) {
    live.work();
    let backup = live.back_up();
    (0..4).for_each(|_| live.work());
    live.settle();
    let before = live.last().clone();

    live.restore(backup);
    live.work_until("it is noticed", |live| {
        let answer = live.site_ref().query("{ sources { name origins { id status } } }")?;
        let origins =
            answer["sources"].as_array().into_iter().flatten().flat_map(|source| source["origins"].as_array());
        let is_suspect = |origin: &Value| origin["status"] == json!("suspect");
        if origins.flatten().any(is_suspect) { Ok(()) } else { Err(live.site_ref().reading()) }
    });
    live.answers(&before).expect("answers stay those of before");

    live.site_ref().ask(&["sources", "new-epoch", name, "--reason", "restored from a backup"]);
    live.forget();
    // Until a change comes that is in no snapshot, the consistent moment is one of before.
    live.work();
    live.settle();
    live.site().fold_again();
    let last = live.last().clone();
    live.answers(&last).expect("folded again it is the same");
    // The numbers of its transactions were given before.
    live.assert_consistent();
}

#[test]
fn a_restored_postgres_waits_for_an_operator() {
    waits_for_an_operator(Live::shop(20_261_128), "shop");
}

#[test]
fn a_restored_mariadb_waits_for_an_operator() {
    waits_for_an_operator(Live::warehouse(20_261_128), "warehouse");
}

/// Transactions are spread over topics and partitions. Whoever reads as of the consistent moment sees no order that costs
/// anything else than its lines do, even while nobody reads the lines; whoever does not, sees some then.
#[test]
fn no_order_is_seen_in_halves_at_the_consistent_moment() {
    let (mut live, lines) = Live::shop_read_by_two(20_261_129);
    live.work();
    live.settle();
    let reader = Reader::of(live.site_ref());
    (0..rounds()).for_each(|_| live.work());

    halt(&lines);
    live.work();
    wait_until("orders are there whose lines are not", || {
        let seen = reader.seen();
        if seen.halves_now > 0 { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    (0..rounds()).for_each(|_| live.work());
    resume(&lines);
    (0..rounds()).for_each(|_| live.work());
    live.settle();
    live.assert_consistent();
    wait_until("the reader has seen the moment move on", || {
        let seen = reader.seen();
        if seen.moments.len() > 1 { Ok(()) } else { Err(format!("{seen:?}")) }
    });

    let seen = reader.end();
    assert!(seen.halves.is_empty(), "{seen:?}");
    assert_eq!(seen.estimated, 0, "the moment is known: {seen:?}");
}

/// A listener that wants encryption and a password: with the right one everything is read, with a wrong one that is said
/// once, and tried again.
#[test]
fn a_secure_broker_is_read_with_the_right_password_only() {
    let stack = Stack::up(&Options { kafka: true, secure: true, ..Options::default() }).expect("the stack starts");
    let kafka = stack.kafka().expect("the broker");
    let secure = kafka.secure().expect("it has a secure listener");
    kafka.create_topic("shop.orders", 1).expect("a topic is made");
    let source = json!({"connector": "postgresql", "name": "shop", "ts_ms": 1, "db": "shop", "schema": "public",
        "table": "orders", "txId": 1, "lsn": 8});
    let value = json!({"before": null, "after": {"id": 1}, "source": source, "op": "c", "ts_ms": 1}).to_string();
    kafka.produce("shop.orders", None, &[("{\"id\":1}", &value)]).expect("a record is produced");

    let right = secure.properties();
    let properties: Vec<(&str, &str)> = right.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut site = Site::new("shop", &secure.address, &["shop.*"], &properties);
    site.run();
    wait_until("the record is there", || {
        let answer = site.query("{ store { events } projection(name: \"orders\") { rows } }")?;
        if answer["projection"]["rows"] == json!("1") { Ok(()) } else { Err(answer.to_string()) }
    });

    // A producer that dies leaves its transaction open: what it has written is there, and is nobody's to read.
    let mut producer = kafka.tool("org.apache.kafka.tools.ProducerPerformance");
    producer.args(["--topic", "shop.orders", "--num-records", "100000", "--record-size", "10", "--throughput", "20"]);
    producer.args(["--transactional-id", "dies", "--transaction-duration-ms", "600000", "--producer-props"]);
    producer.arg(format!("bootstrap.servers={}", kafka.address())).stdout(Stdio::null());
    let mut producer = producer.spawn().expect("the producer starts");
    let ends = || {
        let answer = site.query("{ sources { partitions { lag uncommitted } } }")?;
        let partition = &answer["sources"][0]["partitions"][0];
        match (&partition["lag"], &partition["uncommitted"]) {
            (Value::String(lag), Value::String(waiting)) if lag == "0" && waiting != "0" => Ok(()),
            _ => Err(answer.to_string()),
        }
    };
    wait_until("the records of the open transaction are told", ends);
    producer.kill().expect("it runs");
    producer.wait().expect("it ends");
    wait_until("they still wait", ends);

    let wrong = properties.iter().map(|(name, value)| (*name, if *name == "sasl.password" { "wrong" } else { value }));
    let site = Site::new("shop", &secure.address, &["shop.*"], &wrong.collect::<Vec<_>>());
    let refused = |line: &String| line.contains("refuse our credentials");
    // librdkafka tells of each attempt; what it said first is said, and no more while nothing changes.
    let heard = site.hear_for(std::time::Duration::from_secs(5), |heard| heard.iter().any(refused));
    assert_eq!(heard.iter().filter(|line| refused(line)).count(), 1, "{heard:#?}");
}
