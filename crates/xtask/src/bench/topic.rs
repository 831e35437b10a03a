//! A topic to measure with.

use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;
use xtask::stack::Kafka;

const LIMIT: Duration = Duration::from_secs(60);

/// A topic and a producer for it.
pub(crate) struct Topic {
    name: &'static str,
    partitions: u32,
    brokers: String,
    producer: BaseProducer,
}

/// A record as a line of a generated stream has it.
pub(crate) struct Record<'a> {
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    /// Name, value, name, value.
    headers: Vec<String>,
}

impl<'a> Record<'a> {
    /// What is no pair of key and value, being poison, is a value as it is, text or not.
    pub(crate) fn of_line(line: &'a [u8]) -> Self {
        let present = |part: &'a [u8]| Some(part).filter(|part| *part != b"null");
        let Some((key, value)) = pair(line) else { return Self { key: None, value: Some(line), headers: Vec::new() } };
        // Between the two, where there are any.
        let (key, headers) = match split(key, b",\"headers\":") {
            Some((key, headers)) => (key, serde_json::from_slice(headers).unwrap_or_default()),
            None => (key, Vec::new()),
        };
        Self { key: present(key), value: present(value), headers }
    }
}

fn pair(line: &[u8]) -> Option<(&[u8], &[u8])> {
    split(line.strip_prefix(b"{\"key\":")?.strip_suffix(b"}")?, b",\"value\":")
}

fn split<'a>(text: &'a [u8], between: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(between.len()).position(|window| window == between)?;
    Some((&text[..at], &text[at + between.len()..]))
}

impl Topic {
    pub(crate) fn create(kafka: &Kafka, name: &'static str, partitions: u32) -> Result<Self> {
        kafka.create_topic(name, partitions)?;
        let brokers = kafka.address();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers).set("linger.ms", "5").set("acks", "all");
        // By the key, as Java's clients do, so that a key's records stay in order.
        config.set("partitioner", "murmur2_random").set("queue.buffering.max.kbytes", "262144");
        let producer = config.create().context("make a producer")?;
        Ok(Self { name, partitions, brokers, producer })
    }

    /// Hands a record over; waits while too many are under way.
    pub(crate) fn send(&self, record: &Record<'_>, partition: Option<i32>) -> Result<()> {
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(self.name);
        message.key = record.key;
        message.payload = record.value;
        message.partition = partition;
        if let [name, value] = record.headers.as_slice() {
            message.headers = Some(OwnedHeaders::new().insert(Header { key: name, value: Some(value) }));
        }
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => return Err(error).context("produce"),
            }
        }
    }

    /// Lets deliveries go on.
    pub(crate) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Waits until everything is with the broker.
    pub(crate) fn flush(&self) -> Result<()> {
        self.producer.flush(LIMIT).context("flush what was produced")
    }

    /// Produces every line of a file.
    pub(crate) fn fill(&self, file: &Path) -> Result<()> {
        let lines = BufReader::with_capacity(1 << 20, File::open(file)?);
        for (number, line) in lines.split(b'\n').enumerate() {
            let line = line.with_context(|| format!("read {}", file.display()))?;
            self.send(&Record::of_line(&line), None)?;
            if number % 1000 == 0 {
                self.poll();
            }
        }
        self.flush()
    }

    /// Where each partition ends that holds anything.
    pub(crate) fn ends(&self) -> Result<Vec<(i32, i64)>> {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?;
        let mut ends = Vec::new();
        for partition in 0..self.partitions as i32 {
            let (_, end) =
                consumer.fetch_watermarks(self.name, partition, LIMIT).context("ask for a partition's end")?;
            ends.push((partition, end));
        }
        ends.retain(|(_, end)| *end > 0);
        Ok(ends)
    }
}
