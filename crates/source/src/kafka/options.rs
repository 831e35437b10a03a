//! What a Kafka source is told.

use std::{collections::BTreeMap, path::PathBuf};

use rdkafka::ClientConfig;

use super::{KafkaError, Start, TopicPattern};

/// How much may be fetched ahead of what is read, all partitions together. librdkafka counts in KiB.
const FETCHED_AHEAD_KIB: u32 = 32 * 1024;

/// What is set unless [`KafkaOptions::properties`] says otherwise.
const DEFAULTS: [(&str, &str); 9] = [
    // A record is a change only once its transaction is committed: exactly-once connectors abort some.
    ("isolation.level", "read_committed"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    // A process that was killed keeps its partitions from the others for so long.
    ("session.timeout.ms", "10000"),
    ("heartbeat.interval.ms", "2000"),
    // How soon new topics and partitions are noticed.
    ("topic.metadata.refresh.interval.ms", "10000"),
    // With these a partition whose queue was full is fetched again at once, rather than after a second.
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.wait.max.ms", "100"),
    ("reconnect.backoff.max.ms", "10000"),
    ("client.id", "deltafold"),
];

/// What exactly-once depends on: not to be set by anyone else.
const OURS: [&str; 6] = [
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "statistics.interval.ms",
];

/// What a Kafka source is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// The source's name in the configuration; the first part of its partitions' app ids.
    pub name: String,
    /// `host:port`, several with commas.
    pub brokers: String,
    /// Which topics.
    pub topics: Vec<TopicPattern>,
    /// The consumer group. All instances that append to one store share it, and no others do.
    pub group: String,
    /// A name that only this instance has, and has again after a restart: then its partitions wait for it
    /// (`session.timeout.ms` long) instead of moving to others and back.
    pub instance: Option<String>,
    /// Where to start in partitions that the store has not seen.
    pub start: Start,
    /// What to do when records are gone that the store has not seen.
    pub on_data_loss: OnDataLoss,
    /// Anything that librdkafka knows; secrets that were in files or the environment are in here.
    pub properties: BTreeMap<String, String>,
    /// For SASL's OAUTHBEARER: a file with the token (a JWT), read again whenever a new one is needed.
    pub token_file: Option<PathBuf>,
}

/// What to do when records are gone that the store has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDataLoss {
    /// The partition is not read until somebody decides; the others are.
    #[default]
    Stop,
    /// It is read from the oldest record that is still there.
    Continue,
}

impl KafkaOptions {
    /// For librdkafka.
    pub(crate) fn client_config(&self) -> Result<ClientConfig, KafkaError> {
        let mut config = ClientConfig::new();
        for (name, value) in DEFAULTS {
            config.set(name, value);
        }
        config.set("queued.max.messages.kbytes", FETCHED_AHEAD_KIB.to_string());
        for (name, value) in &self.properties {
            if OURS.contains(&name.as_str()) {
                return Err(KafkaError::Property {
                    source_name: self.name.clone(),
                    property: name.clone(),
                    reason: "Deltafold sets it, since exactly-once depends on it".to_owned(),
                });
            }
            config.set(name, value);
        }
        if let Some(instance) = &self.instance {
            config.set("group.instance.id", instance);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("group.id", &self.group);
        // Whether records are gone is for us to notice.
        config.set("auto.offset.reset", "error");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("statistics.interval.ms", "500");
        Ok(config)
    }
}
