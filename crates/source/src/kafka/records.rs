//! Records as they were read.

use std::ops::Range;

use rdkafka::{
    Message,
    message::{BorrowedMessage, Headers},
};

use super::TopicPartition;

/// A run of records, those of each partition in their order. One allocation holds all their bytes.
#[derive(Debug, Default)]
pub struct Records {
    bytes: Vec<u8>,
    partitions: Vec<TopicPartition>,
    records: Vec<Slices>,
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
    /// Per partition, as they stand in `partitions`.
    spans: Vec<Span>,
}

/// What a run takes care of in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where the store stands when everything before this run is in it; none where it has not seen the partition.
    pub from: Option<i64>,
    /// The next offset once this run is in it, too.
    pub next: i64,
}

#[derive(Debug)]
struct Slices {
    partition: usize,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
}

/// One record.
#[derive(Debug)]
pub struct KafkaRecord<'a> {
    /// Where it came from.
    pub partition: &'a TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// The broker's or producer's time, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in their order.
    pub headers: Vec<(&'a str, Option<&'a [u8]>)>,
}

impl Records {
    /// Whether it holds neither a record nor a place to go on from.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes of keys, values and headers.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// What they take care of, partition by partition.
    pub fn reached(&self) -> impl Iterator<Item = (&TopicPartition, Span)> {
        self.partitions.iter().zip(self.spans.iter().copied())
    }

    pub(crate) fn reached_mut(&mut self) -> impl Iterator<Item = (&TopicPartition, &mut Span)> {
        self.partitions.iter().zip(&mut self.spans)
    }

    /// The records, those of each partition in their order.
    pub fn iter(&self) -> impl Iterator<Item = KafkaRecord<'_>> {
        self.records.iter().map(|slices| {
            let bytes = |range: &Range<usize>| &self.bytes[range.clone()];
            let header = |(name, value): &(Range<usize>, Option<Range<usize>>)| {
                (std::str::from_utf8(bytes(name)).unwrap_or_default(), value.as_ref().map(bytes))
            };
            KafkaRecord {
                partition: &self.partitions[slices.partition],
                offset: slices.offset,
                timestamp_ms: slices.timestamp_ms,
                key: slices.key.as_ref().map(bytes),
                value: slices.value.as_ref().map(bytes),
                headers: self.headers[slices.headers.clone()].iter().map(header).collect(),
            }
        })
    }

    /// Says where a partition goes on, without a record of it.
    pub(crate) fn reach(&mut self, partition: &TopicPartition, next: i64) {
        let at = self.partition(&partition.topic, partition.partition);
        self.spans[at].next = next;
    }

    pub(crate) fn push(&mut self, message: &BorrowedMessage<'_>) {
        let partition = self.partition(message.topic(), message.partition());
        self.spans[partition].next = message.offset() + 1;
        let key = message.key().map(|key| self.keep(key));
        let value = message.payload().map(|value| self.keep(value));
        let first_header = self.headers.len();
        for header in message.headers().into_iter().flat_map(Headers::iter) {
            let name = self.keep(header.key.as_bytes());
            let value = header.value.map(|value| self.keep(value));
            self.headers.push((name, value));
        }
        self.records.push(Slices {
            partition,
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis(),
            key,
            value,
            headers: first_header..self.headers.len(),
        });
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        from..self.bytes.len()
    }

    /// Records of one partition come in runs: the one before is the likeliest.
    fn partition(&mut self, topic: &str, partition: i32) -> usize {
        let is_it = |known: &TopicPartition| known.partition == partition && *known.topic == *topic;
        let last = self.records.last().map(|record| record.partition).filter(|at| is_it(&self.partitions[*at]));
        last.or_else(|| self.partitions.iter().position(is_it)).unwrap_or_else(|| {
            self.partitions.push(TopicPartition { topic: topic.into(), partition });
            self.spans.push(Span { from: None, next: 0 });
            self.partitions.len() - 1
        })
    }
}
