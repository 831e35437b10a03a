//! In which order things arrive.

use std::collections::{BTreeMap, VecDeque};

use deltafold_event::{Event, Operation};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    record::{Arrival, Item},
    stream::Stream,
};

/// One arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Which item of the stream.
    pub item: usize,
    /// Whether it is late: its partition had gone on without it.
    pub late: bool,
    /// The partition and offset of another copy of it, where it is not the item's own.
    pub again_at: Option<(i32, i64)>,
}

/// An order in which the items of a stream arrive, each at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery(pub Vec<Delivered>);

impl Item {
    /// The partition it was sent to.
    pub(super) fn partition(&self) -> (&str, i32) {
        match &self.arrival {
            Arrival::Record(record) => (&record.topic, record.partition),
            Arrival::Domain(_) => ("", 0),
        }
    }
}

impl Delivery {
    /// As it was sent, each item once.
    pub fn as_sent(stream: &Stream) -> Self {
        Self((0..stream.items.len()).map(first).collect())
    }

    /// With partitions interleaved at random, some log events late, some records read again.
    pub fn of(stream: &Stream, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut delivery =
            if random.random_ratio(1, 3) { Self::as_sent(stream) } else { interleaved(stream, &mut random) };
        let in_order = stream.in_order();
        for item in 0..stream.items.len() {
            // What must keep its order must keep it against snapshot rows, which leaves it less room.
            let odds = if in_order.contains(&item) { 4 } else { 9 };
            if stream.is_log(item) && random.random_ratio(1, odds) {
                let stays_before = |other: usize| in_order.contains(&item) && !stream.is_log(other);
                delivery.delay(item, stays_before, &mut random);
            }
            if random.random_ratio(1, 12) {
                delivery.repeat(first(item), &mut random);
            }
        }
        delivery
    }

    /// With partitions interleaved at random and some records read again; none late.
    pub fn in_partitions(stream: &Stream, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut delivery =
            if random.random_ratio(1, 3) { Self::as_sent(stream) } else { interleaved(stream, &mut random) };
        for item in (0..stream.items.len()).filter(|item| !stream.is_control(*item)) {
            if random.random_ratio(1, 12) {
                delivery.repeat(first(item), &mut random);
            }
        }
        delivery
    }

    /// The same, and log and domain events delivered again, and any record read again, any number of times.
    pub fn doubled(&self, stream: &Stream, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut delivery = self.clone();
        for item in (0..stream.items.len()).filter(|item| !stream.is_control(*item)) {
            for _ in 0..random.random_range(0..3) {
                delivery.repeat(first(item), &mut random);
            }
            let domain = matches!(stream.items[item].arrival, Arrival::Domain(_));
            if (stream.is_log(item) || domain) && random.random_ratio(1, 2) {
                let later = 100_000 + random.random_range(0..1_000);
                let truncate = stream.events[item].iter().any(|event| event.operation == Some(Operation::Truncate));
                // A truncate has no key: its copy may land in any partition, at any offset. But no run sends anything
                // twice, and this one says the same run: where databases are restored, run and partition tell what is of
                // the old epoch.
                let anywhere = truncate && !stream.is_restored;
                let partition = if anywhere { random.random_range(0..3) } else { stream.items[item].partition().1 };
                let offset = if truncate { random.random_range(0..50) } else { later };
                delivery.repeat(Delivered { again_at: Some((partition, offset)), ..first(item) }, &mut random);
            }
        }
        delivery
    }

    /// Takes an item out and lets it arrive later, but not beyond one that it stays before.
    fn delay(&mut self, item: usize, stays_before: impl Fn(usize) -> bool, random: &mut SmallRng) {
        let Some(at) = self.0.iter().position(|delivered| delivered.item == item) else { return };
        self.0.remove(at);
        let latest = self.0[at..].iter().position(|other| stays_before(other.item)).unwrap_or(usize::MAX);
        let to = (at + latest.min(random.random_range(1..24))).min(self.0.len());
        self.0.insert(to, Delivered { late: true, ..first(item) });
    }

    /// Lets an item arrive once more, some time after it did first.
    fn repeat(&mut self, again: Delivered, random: &mut SmallRng) {
        let Some(at) = self.0.iter().position(|delivered| delivered.item == again.item) else { return };
        let to = random.random_range(at..self.0.len()) + 1;
        self.0.insert(to, again);
    }
}

impl Stream {
    /// Whether it is an event of the store itself: nobody delivers those.
    fn is_control(&self, item: usize) -> bool {
        self.events[item].iter().any(Event::is_control)
    }

    /// Whether it has events, all with a place in a log.
    pub(super) fn is_log(&self, item: usize) -> bool {
        !self.events[item].is_empty() && self.events[item].iter().all(|event| event.source_position.is_some())
    }
}

fn first(item: usize) -> Delivered {
    Delivered { item, late: false, again_at: None }
}

/// Any interleaving that keeps each partition's order.
fn interleaved(stream: &Stream, random: &mut SmallRng) -> Delivery {
    let mut partitions: BTreeMap<(&str, i32), VecDeque<usize>> = BTreeMap::new();
    let in_order = stream.in_order();
    for (at, item) in stream.items.iter().enumerate() {
        let partition = if in_order.contains(&at) { ("in order", 0) } else { item.partition() };
        partitions.entry(partition).or_default().push_back(at);
    }
    let mut queues: Vec<VecDeque<usize>> = partitions.into_values().collect();
    let mut delivered = Vec::new();
    while !queues.is_empty() {
        let from = random.random_range(0..queues.len());
        // A consumer fetches several records of a partition at once.
        let count = random.random_range(1..4).min(queues[from].len());
        delivered.extend(queues[from].drain(..count).map(first));
        queues.retain(|queue| !queue.is_empty());
    }
    Delivery(delivered)
}
