//! The stack's promises, on real databases, a real broker and a real Debezium: what end-to-end tests build on.
#![expect(clippy::print_stdout, reason = "tests say how long each step took")]

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};
use xtask::stack::{Connect, Options, Stack};

/// How long a change may take from a database into its topic.
const LIMIT: Duration = Duration::from_secs(60);

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Says how long a step took; seen with `--show-output`.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, what: &str) {
        println!("{:6.1?}  {what}", self.0.elapsed());
        self.0 = Instant::now();
    }
}

/// The change event in a record, if its value is one.
fn change(record: &Value) -> Value {
    let value =
        record["payload"].as_str().and_then(|value| serde_json::from_str::<Value>(value).ok()).unwrap_or_default();
    value["payload"].clone()
}

/// The rows that a topic's records say there were, by column `key`, in the order of arrival.
fn keys(records: &[Value], key: &str) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    records.iter().map(|record| text(&change(record)["after"][key])).collect()
}

/// What the source says the time of a change was.
fn time(record: &Value) -> Result<SystemTime> {
    let millis = change(record)["source"]["ts_ms"].as_u64().context("a change has a time")?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_millis(millis))
}

fn ensure_near(one: SystemTime, other: SystemTime) -> Result<()> {
    let apart = one.duration_since(other).unwrap_or_else(|error| error.duration());
    ensure!(apart < Duration::from_secs(20), "{one:?} and {other:?} are {apart:?} apart");
    Ok(())
}

/// A row made in each database arrives, at the time of a clock that moves by weeks; what was sent is sent again; every part stops,
/// is killed and goes on; a database returns to an earlier state.
#[test]
fn changes_of_both_databases_arrive_through_everything_that_happens_to_the_parts() -> Result<()> {
    let mut steps = Steps(Instant::now());
    let stack =
        Stack::up(&Options { postgres: true, mariadb: true, connect: true, clock: true, ..Options::default() })?;
    let (postgres, mariadb) = (stack.postgres()?, stack.mariadb()?);
    let (kafka, connect) = (stack.kafka()?, stack.connect()?);
    steps.done("all parts are up");

    connect.register("shop", &Connect::definition("shop", &json!({"heartbeat.interval.ms": null}))?)?;
    connect.register("warehouse", &Connect::definition("warehouse", &json!({}))?)?;
    steps.done("both connectors run");

    // Weeks pass between two rows.
    let insert = "INSERT INTO products (sku, name, price) VALUES ";
    postgres.sql(&format!("{insert} ('one', 'mug', 12.60)"))?;
    mariadb.sql("INSERT INTO stock (sku, bin) VALUES ('one', 'A-1')")?;
    let (shop, warehouse) = ("shop.public.products", "warehouse.warehouse.stock");
    let first = kafka.wait_for(shop, LIMIT, |records| keys(records, "sku") == ["one"])?;
    ensure_near(time(&first[0])?, SystemTime::now())?;
    let first = kafka.wait_for(warehouse, LIMIT, |records| keys(records, "sku") == ["one"])?;
    ensure_near(time(&first[0])?, SystemTime::now())?;
    steps.done("a row of each has arrived");

    let in_shop = stack.bookmark("shop")?;
    let in_warehouse = stack.bookmark("warehouse")?;
    postgres.clock()?.advance(6 * WEEK)?;
    mariadb.clock()?.advance(2 * WEEK)?;
    postgres.sql(&format!("{insert} ('two', 'lamp', 39.90)"))?;
    mariadb.sql("INSERT INTO stock (sku, bin) VALUES ('two', 'A-2')")?;
    let arrived = |topic: &str, sku: &str, count: usize| {
        let wanted = |records: &[Value]| keys(records, "sku").iter().filter(|key| *key == sku).count() == count;
        let records = kafka.wait_for(topic, LIMIT, wanted).with_context(|| format!("{count} of {sku} in {topic}"))?;
        records.into_iter().find(|record| change(record)["after"]["sku"] == sku).context("it is there")
    };
    ensure_near(time(&arrived(shop, "two", 1)?)?, SystemTime::now() + 6 * WEEK)?;
    ensure_near(time(&arrived(warehouse, "two", 1)?)?, SystemTime::now() + 2 * WEEK)?;
    steps.done("a row of each from another week has arrived");

    stack.send_again(&in_shop)?;
    stack.send_again(&in_warehouse)?;
    arrived(shop, "two", 2)?;
    arrived(warehouse, "two", 2)?;
    steps.done("both have arrived again");

    // The broker goes away and comes back; then Connect, killed.
    kafka.stop()?;
    ensure!(!kafka.is_running() && kafka.topics().is_err(), "a broker that is stopped does not answer");
    steps.done("Kafka was stopped");
    kafka.start()?;
    steps.done("Kafka was started");
    connect.kill()?;
    connect.start()?;
    steps.done("Connect was killed and started");
    connect.wait_until_running("shop")?;
    connect.wait_until_running("warehouse")?;
    steps.done("its connectors run again");
    postgres.sql(&format!("{insert} ('three', 'desk', 420)"))?;
    mariadb.sql("INSERT INTO stock (sku, bin) VALUES ('three', 'A-3')")?;
    arrived(shop, "three", 1)?;
    arrived(warehouse, "three", 1)?;
    steps.done("rows made after that have arrived");

    // The shop's database is set back to a backup, and read by a new connector.
    connect.stop_connector("shop")?;
    postgres.save("backup")?;
    postgres.sql(&format!("{insert} ('lost', 'chair', 149)"))?;
    postgres.kill()?;
    postgres.restore("backup")?;
    ensure!(postgres.sql("SELECT count(*) FROM products")? == "3", "what came after the backup is gone");
    let changed = json!({"topic.prefix": "again", "slot.name": "again", "snapshot.mode": "initial"});
    connect.register("again", &Connect::definition("shop", &changed)?)?;
    let records = kafka.wait_for("again.public.products", LIMIT, |records| records.len() == 3)?;
    let mut found = keys(&records, "sku");
    found.sort();
    ensure!(found == ["one", "three", "two"], "{found:?}");
    ensure!(records.iter().all(|record| change(record)["op"] == "r"), "a snapshot reads");
    steps.done("the shop was set back and read anew");

    let dir = stack.dir().to_owned();
    drop(stack);
    ensure!(!dir.exists(), "nothing is left behind");
    steps.done("all is down");
    Ok(())
}

/// A client that knows the password and the authority gets in, others do not.
#[test]
fn the_encrypted_listener_lets_in_whom_it_knows() -> Result<()> {
    let mut steps = Steps(Instant::now());
    let stack = Stack::up(&Options { kafka: true, secure: true, ..Options::default() })?;
    let kafka = stack.kafka()?;
    let secure = kafka.secure()?;
    steps.done("a broker with two listeners is up");
    kafka.create_topic("letters", 2)?;
    kafka.produce("letters", Some(1), &[("a", "1"), ("b", "2")])?;
    // Not by kcat: Debian's librdkafka is older than 2.6.1 and gets SCRAM wrong, which brokers of version 4 notice.
    let read = |password: &str| -> Result<std::process::Output> {
        let client = stack.dir().join("client.properties");
        let login = "org.apache.kafka.common.security.scram.ScramLoginModule required";
        let settings = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
             sasl.jaas.config={login} username=\"{}\" password=\"{password}\";\n",
            secure.authority.display(),
            secure.user
        );
        std::fs::write(&client, settings)?;
        let mut consumer = kafka.tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
        consumer.args(["--bootstrap-server", &secure.address, "--topic", "letters", "--from-beginning"]);
        consumer.args(["--max-messages", "2", "--timeout-ms", "30000", "--command-config"]).arg(&client);
        // Its log goes where the records go.
        Ok(consumer.output()?)
    };
    let known = read(secure.password)?;
    ensure!(known.status.success() && contains(&known, "\n1\n2\n"), "{known:?}");
    let unknown = read("guessed")?;
    ensure!(contains(&unknown, "SaslAuthenticationException") && !contains(&unknown, "\n1\n"), "{unknown:?}");
    steps.done("it was read through the encrypted one");
    Ok(())
}

fn contains(output: &std::process::Output, words: &str) -> bool {
    [&output.stdout, &output.stderr].into_iter().any(|text| String::from_utf8_lossy(text).contains(words))
}
