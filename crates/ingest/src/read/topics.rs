//! Reading topics.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use deltafold_source::{KafkaError, KafkaSource, KafkaStatus, Polled, Records, TopicPartition};
use deltafold_store::EventStore;
use tokio::{runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::Ended;
use crate::{commits::Commits, pace::Pace};

/// How long polling waits for a record.
const WAIT: Duration = Duration::from_millis(50);
/// How often it is looked who is ahead.
const PACE_INTERVAL: Duration = Duration::from_millis(200);
/// How often the group is told what is committed.
const TELL_INTERVAL: Duration = Duration::from_secs(1);
/// How long the commit of what was read of partitions that others get may take. It is only politeness: what is not
/// committed by then is refused if it comes later.
const DRAIN: Duration = Duration::from_secs(10);

/// What reading needs beside the consumer.
pub(crate) struct TopicReader {
    pub(crate) store: EventStore,
    pub(crate) status: Arc<KafkaStatus>,
    pub(crate) pace: Arc<Pace>,
    pub(crate) commits: Arc<Commits>,
}

/// Reads records and hands them on until cancelled. Blocks; to be run on a thread for such tasks.
pub(crate) fn read_topics(
    source: &mut KafkaSource,
    reader: &TopicReader,
    output: &mpsc::Sender<Records>,
    cancel: &CancellationToken,
) -> Result<Ended, KafkaError> {
    let known = |partition: &TopicPartition| reader.known(partition);
    // What was handed on, to be waited for before a partition is given away.
    let mut sent: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let (mut pace_at, mut tell_at) = (Instant::now(), Instant::now());
    while !cancel.is_cancelled() {
        let now = Instant::now();
        if now >= pace_at {
            pace_at = now + PACE_INTERVAL;
            source.hold(&reader.pace.ahead(&reader.status.state()));
        }
        if now >= tell_at {
            tell_at = now + TELL_INTERVAL;
            reader.tell(source, &sent);
        }
        match source.poll(&known, WAIT)? {
            Polled::Records(records) => {
                sent.extend(records.reached().map(|(partition, span)| (partition.clone(), span.next)));
                if output.blocking_send(records).is_err() {
                    break;
                }
            }
            Polled::Nothing => {}
            Polled::Leaving { partitions, is_lost } => {
                let ours: BTreeMap<String, i64> = partitions
                    .iter()
                    .filter_map(|partition| Some((reader.app_id(partition), sent.remove(partition)?)))
                    .collect();
                if !is_lost {
                    reader.commits.wait_for(&ours, DRAIN);
                }
                source.release();
            }
        }
    }
    Ok(Ended::Stopped)
}

impl TopicReader {
    pub(crate) fn app_id(&self, partition: &TopicPartition) -> String {
        partition.app_id(self.status.source())
    }

    /// Where the store stands now, commits of other processes included. Blocks.
    pub(crate) fn known(&self, partition: &TopicPartition) -> Option<i64> {
        // What cannot be read now shows when something is committed.
        if let Err(error) = Handle::current().block_on(self.store.refresh()) {
            tracing::warn!(%error, "commits of other processes cannot be read");
        }
        self.store.offset(&self.app_id(partition))
    }

    fn tell(&self, source: &KafkaSource, sent: &BTreeMap<TopicPartition, i64>) {
        let fresh = self.commits.take();
        if !fresh.is_empty() {
            source
                .committed(sent.keys().filter_map(|partition| Some((partition, *fresh.get(&self.app_id(partition))?))));
        }
    }
}
