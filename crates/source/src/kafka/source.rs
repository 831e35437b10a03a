//! The consumer.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
};

use super::{
    KafkaError, KafkaOptions, KafkaStatus, PartitionState, Reading, Records, Start, TopicPartition,
    connection::{Connection, Rebalanced},
    data_loss, metadata,
};

/// A run of records ends with the first that makes it so large.
const RUN_BYTES: usize = 1024 * 1024;
/// How long a broker may take for an answer that we wait for.
const ANSWER: Duration = Duration::from_secs(10);
/// How often it is looked whether all topics are there.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// The same after an error that speaks of a topic, and between attempts of what a broker did not answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A consumer of some topics. It reads nothing while nobody polls it, and leaves its group when it is dropped.
pub struct KafkaSource {
    options: KafkaOptions,
    status: Arc<KafkaStatus>,
    consumer: BaseConsumer<Connection>,
    /// What the group has given us.
    assigned: BTreeMap<TopicPartition, Place>,
    /// What the group wants back, until [`Self::release`].
    leaving: Vec<TopicPartition>,
    /// Partitions that are not read for now.
    held: BTreeSet<TopicPartition>,
    /// Topics that have been there.
    seen: BTreeSet<String>,
    look_at: Instant,
    assign_at: Instant,
    /// Whether a broker has said that an offset is not there.
    is_out_of_range: bool,
}

/// Where a partition is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Where the store stands once everything is in it that was handed on.
    stored: Option<i64>,
    /// The offset that is read next: another one where there is no record between the two.
    next: i64,
}

/// What came of polling.
#[derive(Debug)]
pub enum Polled {
    /// Records; maybe none, where partitions only got a place to start.
    Records(Records),
    /// Nothing has come.
    Nothing,
    /// The group gives these partitions to others. Commit what was read of them, then [`KafkaSource::release`] them.
    Leaving {
        /// Which.
        partitions: Vec<TopicPartition>,
        /// They may be with others already: there is nothing to wait for.
        is_lost: bool,
    },
}

impl KafkaSource {
    /// Joins the group. Whether there is a broker at all will show while polling.
    ///
    /// # Errors
    /// When the options are not such as librdkafka takes.
    pub fn connect(options: KafkaOptions, status: Arc<KafkaStatus>) -> Result<Self, KafkaError> {
        let setup = |error| KafkaError::of_setup(&options.name, error);
        let connection = Connection::new(status.clone(), options.token_file.clone());
        let consumer: BaseConsumer<Connection> =
            options.client_config()?.create_with_context(connection).map_err(setup)?;
        let topics: Vec<String> = options.topics.iter().map(|topic| topic.subscription()).collect();
        consumer.subscribe(&topics.iter().map(String::as_str).collect::<Vec<_>>()).map_err(setup)?;
        let now = Instant::now();
        Ok(Self {
            options,
            status,
            consumer,
            assigned: BTreeMap::new(),
            leaving: Vec::new(),
            held: BTreeSet::new(),
            seen: BTreeSet::new(),
            look_at: now,
            assign_at: now,
            is_out_of_range: false,
        })
    }

    /// The next records. Waits up to `wait` for the first. `known` says where the store stands in a partition, none
    /// where it has not seen it: there the options say where to start, and a place that is not simply the beginning is
    /// handed on at once, to be recorded.
    ///
    /// # Errors
    /// When the client cannot go on.
    pub fn poll(
        &mut self,
        known: &dyn Fn(&TopicPartition) -> Option<i64>,
        wait: Duration,
    ) -> Result<Polled, KafkaError> {
        let mut records = Records::default();
        self.rebalance(known, &mut records);
        if !self.leaving.is_empty() {
            return Ok(Polled::Leaving { partitions: self.leaving.clone(), is_lost: self.consumer.assignment_lost() });
        }
        self.look_for_topics();
        let mut wait = wait;
        while records.size_bytes() < RUN_BYTES && self.consumer.context().rebalanced().is_empty() {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => records.push(&message),
                Some(Err(error)) => {
                    let (code, is_fatal) = (error.rdkafka_error_code(), error.to_string());
                    if matches!(error, ClientError::MessageConsumptionFatal(_)) {
                        return Err(KafkaError::Fatal { source_name: self.options.name.clone(), reason: is_fatal });
                    }
                    self.note(code);
                }
            }
            wait = Duration::ZERO;
        }
        if self.is_out_of_range {
            self.check_offsets();
        }
        if records.is_empty() {
            return Ok(Polled::Nothing);
        }
        for (partition, span) in records.reached_mut() {
            if let Some(place) = self.assigned.get_mut(partition) {
                span.from = place.stored;
                *place = Place { stored: Some(span.next), next: span.next };
            }
        }
        self.status.reached(records.reached().map(|(partition, span)| (partition, span.next)));
        Ok(Polled::Records(records))
    }

    /// Gives back what the group wants back: what was read of it is committed, or will not be.
    pub fn release(&mut self) {
        let leaving = std::mem::take(&mut self.leaving);
        if leaving.is_empty() {
            return;
        }
        for partition in &leaving {
            self.assigned.remove(partition);
            self.held.remove(partition);
        }
        self.status.released(&leaving);
        let list = list(leaving.iter().map(|partition| (partition, Offset::Invalid)));
        if let Err(error) = self.consumer.incremental_unassign(&list) {
            tracing::debug!(%error, source = self.options.name, "partitions could not be given back");
        }
    }

    /// Goes back (or on) to where the store stands in every partition. False when a broker did not answer in time: ask
    /// again.
    pub fn rewind(&mut self, known: &dyn Fn(&TopicPartition) -> Option<i64>) -> bool {
        let mut places = BTreeMap::new();
        for partition in self.assigned.keys().cloned().collect::<Vec<_>>() {
            let stored = known(&partition);
            match self.place(&partition, stored) {
                Ok(state) => places.insert(partition, (stored, state)),
                Err(_) => return false,
            };
        }
        let list = list(places.iter().map(|(partition, (_, state))| (partition, Offset::Offset(state.next))));
        let is_done = match self.consumer.seek_partitions(list, ANSWER) {
            Ok(list) => list.elements().iter().all(|element| element.error().is_ok()),
            Err(_) => places.is_empty(),
        };
        if is_done {
            self.take_up(places);
        }
        is_done
    }

    /// Tells the group how far the store is, for lag monitors.
    pub fn committed<'a>(&self, next: impl IntoIterator<Item = (&'a TopicPartition, i64)>) {
        let ours = next.into_iter().filter(|(partition, _)| self.assigned.contains_key(*partition));
        let list = list(ours.map(|(partition, next)| (partition, Offset::Offset(next))));
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, source = self.options.name, "offsets for lag monitors could not be committed");
        }
    }

    /// Reads these partitions no further for now, and all others again.
    pub fn hold(&mut self, partitions: &BTreeSet<TopicPartition>) {
        let is_stopped = |partition: &TopicPartition| {
            self.status.state().partitions.get(partition).is_some_and(|state| state.reading.is_stopped())
        };
        let wanted: BTreeSet<TopicPartition> = partitions
            .iter()
            .filter(|partition| self.assigned.contains_key(*partition) && !is_stopped(partition))
            .cloned()
            .collect();
        let (pause, resume): (Vec<_>, Vec<_>) =
            (wanted.difference(&self.held).cloned().collect(), self.held.difference(&wanted).cloned().collect());
        if self.change(&pause, |consumer, list| consumer.pause(list)) {
            pause.iter().for_each(|partition| self.status.read(partition, Reading::Ahead));
            self.held.extend(pause);
        }
        if self.change(&resume, |consumer, list| consumer.resume(list)) {
            for partition in resume {
                self.status.read(&partition, Reading::Reading);
                self.held.remove(&partition);
            }
        }
    }

    /// Pauses partitions, or resumes them; whether that was done.
    fn change(
        &self,
        partitions: &[TopicPartition],
        how: impl Fn(&BaseConsumer<Connection>, &TopicPartitionList) -> KafkaResult<()>,
    ) -> bool {
        if partitions.is_empty() {
            return true;
        }
        let list = list(partitions.iter().map(|partition| (partition, Offset::Invalid)));
        let done = how(&self.consumer, &list);
        if let Err(error) = &done {
            tracing::debug!(%error, source = self.options.name, "partitions could not be held or let go");
        }
        done.is_ok()
    }

    /// Does what the group has asked, in its order, up to what it wants back.
    fn rebalance(&mut self, known: &dyn Fn(&TopicPartition) -> Option<i64>, records: &mut Records) {
        while self.leaving.is_empty() {
            let Some(asked) = self.consumer.context().rebalanced().pop_front() else { return };
            match asked {
                Rebalanced::Revoked(partitions) => {
                    self.leaving = partitions;
                    if self.leaving.is_empty() {
                        // The group waits for an answer to that, too.
                        let _ = self.consumer.incremental_unassign(&TopicPartitionList::new());
                    }
                }
                Rebalanced::Assigned(partitions) => {
                    if self.assign_at > Instant::now() || !self.assign(&partitions, known, records) {
                        self.consumer.context().rebalanced().push_front(Rebalanced::Assigned(partitions));
                        return;
                    }
                }
            }
        }
    }

    /// Begins to read partitions; false when a broker did not answer.
    fn assign(
        &mut self,
        partitions: &[TopicPartition],
        known: &dyn Fn(&TopicPartition) -> Option<i64>,
        records: &mut Records,
    ) -> bool {
        let mut places = BTreeMap::new();
        for partition in partitions {
            let stored = known(partition);
            match self.place(partition, stored) {
                Ok(state) => {
                    // Where reading began is on record before there is anything to read: a restart must not begin later.
                    if stored.is_none() && self.options.start != Start::Earliest {
                        records.reach(partition, state.next);
                    }
                    places.insert(partition.clone(), (stored, state));
                }
                Err(error) => {
                    tracing::debug!(%error, %partition, source = self.options.name, "where to start is not known yet");
                    self.assign_at = Instant::now() + RETRY_INTERVAL;
                    return false;
                }
            }
        }
        let list = list(places.iter().map(|(partition, (_, state))| (partition, Offset::Offset(state.next))));
        if let Err(error) = self.consumer.incremental_assign(&list) {
            tracing::warn!(%error, source = self.options.name, "partitions could not be taken over");
            self.assign_at = Instant::now() + RETRY_INTERVAL;
            return false;
        }
        self.take_up(places);
        true
    }

    /// Reads partitions from these places on. Those that were not read until now, for being ahead or for what they lack,
    /// are read again: who is ahead is to be found out anew.
    fn take_up(&mut self, places: BTreeMap<TopicPartition, (Option<i64>, PartitionState)>) {
        let (mut stopped, mut let_go) = (Vec::new(), Vec::new());
        let before = self.status.state();
        let was_stopped = |partition: &TopicPartition| {
            before.partitions.get(partition).is_some_and(|state| state.reading.is_stopped())
        };
        for (partition, (stored, state)) in places {
            let was_held = self.held.remove(&partition);
            if state.reading.is_stopped() {
                stopped.push(partition.clone());
            } else if was_held || was_stopped(&partition) {
                let_go.push(partition.clone());
            }
            self.assigned.insert(partition.clone(), Place { stored, next: state.next });
            self.status.assigned(partition, state);
        }
        if !self.change(&let_go, |consumer, list| consumer.resume(list)) {
            // As if they were ahead: the next look at who is tries again.
            self.held.extend(let_go);
        }
        self.change(&stopped, |consumer, list| consumer.pause(list));
    }

    /// Where a partition goes on.
    fn place(&self, partition: &TopicPartition, stored: Option<i64>) -> KafkaResult<PartitionState> {
        let (oldest, end) = self.consumer.fetch_watermarks(&partition.topic, partition.partition, ANSWER)?;
        let from = |next| PartitionState { next, end: Some(end), ..PartitionState::default() };
        if let Some(expected) = stored {
            let state = data_loss::resume(expected, oldest, end, self.options.on_data_loss);
            if state.next != expected {
                let options = &self.options;
                tracing::warn!(source = options.name, %partition, expected, oldest, end, "records are gone; going on without them");
            }
            return Ok(state);
        }
        Ok(match &self.options.start {
            Start::Earliest => from(oldest),
            Start::Latest => from(end),
            Start::Time(millis) => {
                let asked = list([(partition, Offset::Offset(*millis))]);
                let found = self.consumer.offsets_for_times(asked, ANSWER)?;
                match found.find_partition(&partition.topic, partition.partition).map(|element| element.offset()) {
                    Some(Offset::Offset(offset)) => from(offset),
                    _ => from(end),
                }
            }
            Start::Offsets(offsets) => {
                from(offsets.get(&partition.to_string()).map_or(oldest, |at| *at.clamp(&oldest, &end)))
            }
        })
    }

    /// What an error that passes is a reason to look at.
    fn note(&mut self, code: Option<RDKafkaErrorCode>) {
        use RDKafkaErrorCode::{
            AutoOffsetReset, OffsetOutOfRange, TopicAuthorizationFailed, UnknownPartition, UnknownTopic,
            UnknownTopicOrPartition,
        };
        match code {
            Some(AutoOffsetReset | OffsetOutOfRange) => self.is_out_of_range = true,
            Some(UnknownTopic | UnknownTopicOrPartition | UnknownPartition | TopicAuthorizationFailed) => {
                self.look_at = self.look_at.min(Instant::now() + RETRY_INTERVAL);
            }
            _ => {}
        }
    }

    /// A broker has said that some offset is not there: finds out whose, and goes on or stops there.
    fn check_offsets(&mut self) {
        let mut moved = BTreeMap::new();
        let state = self.status.state();
        for (partition, at) in self.assigned.clone() {
            let is_stopped = state.partitions.get(&partition).is_some_and(|state| state.reading.is_stopped());
            match self.place(&partition, Some(at.next)) {
                Ok(place) if !is_stopped && (place.next != at.next || place.reading.is_stopped()) => {
                    moved.insert(partition, (at.stored, place));
                }
                Ok(_) => {}
                // Asked again at the next poll.
                Err(_) => return,
            }
        }
        let going_on = moved.iter().filter(|(_, (_, place))| !place.reading.is_stopped());
        let list = list(going_on.map(|(partition, (_, place))| (partition, Offset::Offset(place.next))));
        if list.count() == 0 || self.consumer.seek_partitions(list, ANSWER).is_ok() {
            self.take_up(moved);
            self.is_out_of_range = false;
        }
    }

    /// Looks from time to time whether the topics are there.
    fn look_for_topics(&mut self) {
        let now = Instant::now();
        if now < self.look_at || self.status.state().hindrance.is_some() {
            return;
        }
        self.look_at = now + LOOK_INTERVAL;
        match self.consumer.fetch_metadata(None, ANSWER) {
            Ok(found) => {
                let there = found.topics().iter().filter(|topic| topic.error().is_none()).map(|topic| topic.name());
                let (unknown, deleted) = metadata::missing(&self.options.topics, there, &mut self.seen);
                self.status.topics(unknown, deleted);
            }
            Err(error) => {
                tracing::debug!(%error, source = self.options.name, "which topics there are is not known");
                self.look_at = now + RETRY_INTERVAL;
            }
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // Leaving the group revokes everything, and nobody polls any more to give it back.
        self.consumer.context().close();
        self.release();
        let asked: Vec<Rebalanced> = self.consumer.context().rebalanced().drain(..).collect();
        for asked in asked {
            if let Rebalanced::Revoked(partitions) = asked {
                self.leaving = partitions;
                self.release();
            }
        }
    }
}

fn list<'a>(partitions: impl IntoIterator<Item = (&'a TopicPartition, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(&partition.topic, partition.partition, offset)
            .expect("every offset of ours is one that Kafka has");
    }
    list
}
