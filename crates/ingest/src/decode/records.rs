//! Decoding records of topics.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use deltafold_cdc::{DecoderConfig, Headers, Record};
use deltafold_source::{KafkaRecord, Records, TopicPartition};
use deltafold_store::{DeadLetter, EventStore};

use super::{Admission, Reason};
use crate::{
    clock::now,
    pace::Pace,
    registry::Registry,
    work::{Reached, Work},
};

/// Turns the records of one source's topics into events and dead letters.
pub(crate) struct RecordDecoder {
    source: Arc<str>,
    store: EventStore,
    admission: Admission,
    registry: Registry,
    inputs: HashMap<TopicPartition, Input>,
    pace: Arc<Pace>,
}

/// A partition.
#[derive(Clone)]
struct Input {
    app_id: Arc<str>,
    /// Dead letters of records below it were recorded by an earlier attempt.
    recorded_to: Option<i64>,
}

impl RecordDecoder {
    pub(crate) fn new(store: &EventStore, config: DecoderConfig, registry: Registry, pace: Arc<Pace>) -> Self {
        Self {
            source: Arc::clone(&config.source),
            store: store.clone(),
            admission: Admission::new(config),
            registry,
            inputs: HashMap::new(),
            pace,
        }
    }

    pub(crate) fn decode(&mut self, records: &Records) -> Work {
        let mut work =
            Work { events: Vec::with_capacity(records.len()), bytes: records.size_bytes() as u64, ..Work::default() };
        let mut reached = BTreeMap::new();
        for (partition, span) in records.reached() {
            let Input { app_id, recorded_to } = self.input(partition);
            reached.insert(
                app_id,
                Reached {
                    from: span.from,
                    to: Some(span.next),
                    mark: None,
                    letters: 0,
                    letters_from: recorded_to,
                    letters_to: span.next,
                },
            );
        }
        for record in records.iter() {
            let (first, ends) = (work.events.len(), work.ended.len());
            let decoded = self.record(&record, &mut work);
            let last = work.events[first..].iter().rev().find(|event| event.source_position.is_some());
            let ended = work.ended.get(ends..).and_then(<[_]>::last);
            if let Some(time) = last.map(|event| event.occurred_at).or(ended.map(|end| end.ended_at)) {
                self.pace.reached(record.partition, time);
            }
            let Err(reason) = decoded else { continue };
            let Input { app_id, recorded_to } = self.input(record.partition);
            if recorded_to.is_none_or(|recorded_to| record.offset >= recorded_to) {
                work.letters.push(self.letter(&record, reason));
                reached.get_mut(&app_id).expect("every record's partition is reached").letters += 1;
            }
        }
        work.reached = reached;
        work
    }

    fn record(&mut self, record: &KafkaRecord<'_>, work: &mut Work) -> Result<(), Reason> {
        let record = Record {
            topic: &record.partition.topic,
            partition: record.partition.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key: record.key,
            value: record.value,
            headers: headers(record),
        };
        self.admission.admit(&record, &mut self.registry, work).map(|_| ())
    }

    fn input(&mut self, partition: &TopicPartition) -> Input {
        if let Some(known) = self.inputs.get(partition) {
            return known.clone();
        }
        let app_id: Arc<str> = partition.app_id(&self.source).into();
        let input = Input { recorded_to: self.store.dead_letter_offset(&app_id), app_id };
        self.inputs.insert(partition.clone(), input.clone());
        input
    }

    fn letter(&self, record: &KafkaRecord<'_>, reason: Reason) -> DeadLetter {
        DeadLetter {
            source: self.source.to_string(),
            topic: record.partition.topic.to_string(),
            partition: record.partition.partition,
            offset: record.offset,
            file: None,
            line: None,
            timestamp_ms: record.timestamp_ms,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers(record).to_json().unwrap_or_default().into_owned(),
            code: reason.code.to_owned(),
            reason: reason.text,
            recorded_at: now(),
        }
    }
}

fn headers<'a>(record: &'a KafkaRecord<'a>) -> Headers<'a> {
    match record.headers.as_slice() {
        [] => Headers::None,
        list => Headers::List(list),
    }
}
