//! What librdkafka calls back: rebalances, errors, statistics, its log, tokens.

use std::{
    collections::VecDeque,
    error::Error,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};

use super::{Hindrance, KafkaStatus, TopicPartition, status::End, token};

/// What the group asks of us. It waits until it is done: nothing of it happens inside the callback, where the
/// consumer cannot be used.
#[derive(Debug)]
pub(crate) enum Rebalanced {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

/// One client's side of the callbacks.
pub(crate) struct Connection {
    status: Arc<KafkaStatus>,
    token_file: Option<PathBuf>,
    rebalanced: Mutex<VecDeque<Rebalanced>>,
    is_closing: AtomicBool,
}

impl Connection {
    pub(crate) fn new(status: Arc<KafkaStatus>, token_file: Option<PathBuf>) -> Self {
        Self { status, token_file, rebalanced: Mutex::default(), is_closing: AtomicBool::new(false) }
    }

    /// What the group has asked and nobody has done yet, in its order.
    pub(crate) fn rebalanced(&self) -> MutexGuard<'_, VecDeque<Rebalanced>> {
        self.rebalanced.lock().expect("nothing panics while it holds the rebalances")
    }

    /// From now on partitions are given back at once: nobody will.
    pub(crate) fn close(&self) {
        self.is_closing.store(true, Ordering::SeqCst);
    }
}

pub(crate) fn partitions(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let partition = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| TopicPartition {
        topic: element.topic().into(),
        partition: element.partition(),
    };
    list.elements().iter().map(partition).collect()
}

impl ConsumerContext for Connection {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, asked: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let is_assigned = asked == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.is_closing.load(Ordering::SeqCst) {
            if !is_assigned && let Err(error) = consumer.incremental_unassign(list) {
                tracing::debug!(%error, "partitions could not be given back");
            }
            return;
        }
        let partitions = partitions(list);
        self.rebalanced().push_back(match is_assigned {
            true => Rebalanced::Assigned(partitions),
            false => Rebalanced::Revoked(partitions),
        });
    }
}

impl ClientContext for Connection {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What matters of it comes as an error, too, and is logged once.
        let source = self.status.source();
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(source, facility, "{message}");
            }
            _ => tracing::debug!(source, facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        use RDKafkaErrorCode::{
            AllBrokersDown, Authentication, BrokerTransportFailure, Resolve, SSL, SaslAuthenticationFailed,
        };
        match error.rdkafka_error_code() {
            Some(Authentication | SaslAuthenticationFailed) => {
                self.status.hindered(Hindrance::Credentials(reason.to_owned()));
            }
            Some(AllBrokersDown | BrokerTransportFailure | Resolve | SSL) => {
                self.status.hindered(Hindrance::Broker(reason.to_owned()));
            }
            _ => tracing::debug!(source = self.status.source(), %error, reason, "librdkafka"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        // Brokers that were only bootstrapped from have no number.
        if statistics.brokers.values().any(|broker| broker.nodeid >= 0 && broker.state == "UP") {
            self.status.connected();
        }
        let ends = statistics.topics.values().flat_map(|topic| {
            let end = |partition: &rdkafka::statistics::Partition| match partition.ls_offset {
                end @ 0.. => Some(end),
                _ => Some(partition.hi_offset).filter(|end| *end >= 0),
            };
            let partition = |number| TopicPartition { topic: topic.topic.as_str().into(), partition: number };
            topic.partitions.values().filter(|known| known.partition >= 0).filter_map(move |known| {
                let committed = end(known)?;
                let uncommitted = u64::try_from(known.hi_offset - committed).unwrap_or(0);
                // `fetchq_cnt` is of all partitions together: they share a queue.
                let is_reached = known.fetchq_cnt == 0 && known.next_offset >= committed;
                Some((partition(known.partition), End { committed, uncommitted, is_reached }))
            })
        });
        self.status.ends(ends);
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        Ok(token::of_file(self.token_file.as_deref())?)
    }
}
