//! What a Kafka source is doing, for whoever shows it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, MutexGuard},
};

use super::TopicPartition;

/// The state of a source, shared by the thread that reads and those that show it. What changes is logged when it
/// changes, not as long as it lasts.
#[derive(Debug)]
pub struct KafkaStatus {
    source: String,
    state: Mutex<KafkaState>,
}

/// The state of a source at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KafkaState {
    /// What keeps it from reading anything.
    pub hindrance: Option<Hindrance>,
    /// Topics that are named in the configuration and are not there.
    pub unknown_topics: BTreeSet<String>,
    /// Topics that were there, and are not any more.
    pub deleted_topics: BTreeSet<String>,
    /// The partitions that this instance reads.
    pub partitions: BTreeMap<TopicPartition, PartitionState>,
    /// The copies of dead letters.
    pub copies: Copies,
}

/// How many dead letters were copied to the topic for them, since this process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copies {
    /// Those that a broker has.
    pub made: u64,
    /// Those that no broker has taken.
    pub failed: u64,
    /// Whether the last one failed.
    pub is_failing: bool,
}

/// What keeps a source from reading; it is tried again and again, with a back-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hindrance {
    /// No broker answers.
    Broker(String),
    /// The brokers refuse who we say we are.
    Credentials(String),
}

/// How a partition is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartitionState {
    /// The next offset to be read.
    pub next: i64,
    /// Where its committed records end; none while it is not known.
    pub end: Option<i64>,
    /// How many records are beyond that: nobody may read them before a transaction ends.
    pub uncommitted: u64,
    /// Whether it is read.
    pub reading: Reading,
}

/// Where a partition ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// Of what was committed.
    pub(crate) committed: i64,
    /// Records beyond.
    pub(crate) uncommitted: u64,
    /// Whether everything before was handed on.
    pub(crate) is_reached: bool,
}

/// Whether a partition is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// It is.
    #[default]
    Reading,
    /// Not now: its records are later, by the source's time, than what others still have to read.
    Ahead,
    /// No: the records from `expected` on are gone up to `oldest`, and `on_data_loss` says "stop".
    Lost {
        /// The offset that the store wants next.
        expected: i64,
        /// The oldest that is there.
        oldest: i64,
    },
    /// No: the store has read to `expected`, and the topic ends at `end`; it was deleted and made again.
    Replaced {
        /// The offset that the store wants next.
        expected: i64,
        /// Where the topic ends.
        end: i64,
    },
}

impl PartitionState {
    /// Records that are there and not read yet.
    pub fn lag(&self) -> Option<u64> {
        self.end.map(|end| u64::try_from(end.saturating_sub(self.next)).unwrap_or(0))
    }
}

impl Reading {
    /// Its name where it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reading => "reading",
            Self::Ahead => "ahead",
            Self::Lost { .. } => "data_lost",
            Self::Replaced { .. } => "topic_replaced",
        }
    }

    /// Whether it waits for a person.
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Replaced { .. })
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reading | Self::Ahead => f.write_str(self.name()),
            Self::Lost { expected, oldest } => write!(
                f,
                "retention ran past us: the records from offset {expected} up to {oldest} are gone before they were read"
            ),
            Self::Replaced { expected, end } => write!(
                f,
                "the topic was deleted and made again: the store has read up to offset {expected}, and it ends at {end}"
            ),
        }
    }
}

impl fmt::Display for Hindrance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker(reason) => write!(f, "no broker can be reached: {reason}"),
            Self::Credentials(reason) => write!(f, "the brokers refuse our credentials: {reason}"),
        }
    }
}

impl KafkaStatus {
    /// Of a source that has not read anything yet.
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), state: Mutex::default() }
    }

    /// The source's name.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// How it is now.
    pub fn state(&self) -> KafkaState {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, KafkaState> {
        self.state.lock().expect("nothing panics while it holds a source's state")
    }

    pub(crate) fn hindered(&self, by: Hindrance) {
        let mut state = self.lock();
        let is_known = match (&state.hindrance, &by) {
            // Brokers that refuse us hang up, too: the first is the cause.
            (Some(Hindrance::Credentials(_)), _) | (Some(Hindrance::Broker(_)), Hindrance::Broker(_)) => true,
            (Some(Hindrance::Broker(_)) | None, _) => false,
        };
        if !is_known {
            tracing::warn!(source = self.source, "{by}; trying again until it succeeds");
            state.hindrance = Some(by);
        }
    }

    pub(crate) fn connected(&self) {
        if self.lock().hindrance.take().is_some() {
            tracing::info!(source = self.source, "connected again");
        }
    }

    /// Where partitions end, and whether everything before was handed on: what lies between the last record and the end
    /// may be no record, but the mark of a transaction.
    pub(crate) fn ends(&self, ends: impl IntoIterator<Item = (TopicPartition, End)>) {
        let mut state = self.lock();
        for (partition, End { committed, uncommitted, is_reached }) in ends {
            if let Some(known) = state.partitions.get_mut(&partition) {
                (known.end, known.uncommitted) = (Some(committed), uncommitted);
                if is_reached && known.reading == Reading::Reading {
                    known.next = known.next.max(committed);
                }
            }
        }
    }

    /// What is read next.
    pub(crate) fn reached<'a>(&self, next: impl IntoIterator<Item = (&'a TopicPartition, i64)>) {
        let mut state = self.lock();
        for (partition, next) in next {
            if let Some(known) = state.partitions.get_mut(partition) {
                known.next = next;
            }
        }
    }

    pub(crate) fn assigned(&self, partition: TopicPartition, now: PartitionState) {
        if now.reading.is_stopped() {
            tracing::error!(
                source = self.source,
                %partition,
                "{}; it is not read until on_data_loss = \"continue\" says to go on without them",
                now.reading
            );
        }
        self.lock().partitions.insert(partition, now);
    }

    pub(crate) fn read(&self, partition: &TopicPartition, reading: Reading) {
        if let Some(known) = self.lock().partitions.get_mut(partition) {
            known.reading = reading;
        }
    }

    pub(crate) fn released<'a>(&self, partitions: impl IntoIterator<Item = &'a TopicPartition>) {
        let mut state = self.lock();
        for partition in partitions {
            state.partitions.remove(partition);
        }
    }

    pub(crate) fn copied(&self) {
        let copies = &mut self.lock().copies;
        copies.made += 1;
        if std::mem::take(&mut copies.is_failing) {
            let failed = copies.failed;
            tracing::info!(source = self.source, failed, "dead letters are copied again");
        }
    }

    pub(crate) fn copy_failed(&self, error: &dyn fmt::Display) {
        let copies = &mut self.lock().copies;
        copies.failed += 1;
        if !std::mem::replace(&mut copies.is_failing, true) {
            tracing::warn!(
                source = self.source,
                %error,
                "a dead letter cannot be copied to the topic for them; it is in the table, and ingestion goes on"
            );
        }
    }

    /// Which of the topics that should be there are not.
    pub(crate) fn topics(&self, unknown: BTreeSet<String>, deleted: BTreeSet<String>) {
        let mut state = self.lock();
        for topic in unknown.difference(&state.unknown_topics) {
            tracing::warn!(source = self.source, topic, "there is no such topic; it is read once there is");
        }
        for topic in deleted.difference(&state.deleted_topics) {
            tracing::warn!(source = self.source, topic, "the topic was deleted; what was read of it stays");
        }
        (state.unknown_topics, state.deleted_topics) = (unknown, deleted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_that_refuse_us_are_told_from_brokers_that_are_away() {
        let status = KafkaStatus::new("shop");
        status.hindered(Hindrance::Broker("connection refused".into()));
        status.hindered(Hindrance::Credentials("authentication failed".into()));
        status.hindered(Hindrance::Broker("all brokers are down".into()));
        assert_eq!(status.state().hindrance, Some(Hindrance::Credentials("authentication failed".into())));
        status.connected();
        assert_eq!(status.state().hindrance, None);
    }

    #[test]
    fn lag_is_known_once_the_end_is() {
        let partition = TopicPartition { topic: "t".into(), partition: 1 };
        let status = KafkaStatus::new("shop");
        status.assigned(partition.clone(), PartitionState { next: 5, ..PartitionState::default() });
        let lag = || status.state().partitions[&partition].lag();
        assert_eq!(lag(), None);
        let end = |is_reached| [(partition.clone(), End { committed: 9, uncommitted: 2, is_reached })];
        status.ends(end(false));
        assert_eq!((lag(), status.state().partitions[&partition].uncommitted), (Some(4), 2));
        status.reached([(&partition, 8)]);
        assert_eq!(lag(), Some(1));
        // The last place is the mark of a transaction, which is never handed on.
        status.ends(end(true));
        assert_eq!(lag(), Some(0));
        status.released([&partition]);
        assert!(status.state().partitions.is_empty());
    }
}
