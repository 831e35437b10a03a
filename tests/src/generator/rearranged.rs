//! Other orders of arrival that mean the same (law 3).

use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Event, EventId, Operation};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    delivery::{Delivered, Delivery},
    stream::Stream,
};

impl Delivery {
    /// The same arrivals in another order: each partition keeps its own, but for log events that are late, and
    /// each event without a position keeps its place in the arrival against the log events of its aggregate and
    /// the type-wide ones of its type.
    pub fn rearranged(&self, stream: &Stream, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut order = Order { after: vec![BTreeSet::new(); self.0.len()] };
        order.keep_partitions(self, stream, &mut random);
        order.keep_anchors(self, stream);
        let mut left: BTreeSet<usize> = (0..self.0.len()).collect();
        let mut arranged = Vec::new();
        while !left.is_empty() {
            let free: Vec<usize> = left.iter().copied().filter(|at| order.after[*at].is_disjoint(&left)).collect();
            let next = free[random.random_range(0..free.len())];
            left.remove(&next);
            arranged.push(self.0[next]);
        }
        Self(arranged)
    }
}

/// By arrival: the arrivals that must come before it.
struct Order {
    after: Vec<BTreeSet<usize>>,
}

impl Order {
    fn keep_partitions(&mut self, delivery: &Delivery, stream: &Stream, random: &mut SmallRng) {
        let mut last: BTreeMap<(&str, i32), usize> = BTreeMap::new();
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        for (at, Delivered { item, late, .. }) in delivery.0.iter().enumerate() {
            if let Some(first) = first.get(item) {
                // Read or delivered again: only that it was there before.
                self.after[at].insert(*first);
                continue;
            }
            first.insert(*item, at);
            let newly_late = stream.is_log(*item) && random.random_ratio(1, 8);
            if !late && !newly_late {
                self.after[at].extend(last.insert(stream.items[*item].partition(), at));
            }
        }
    }

    fn keep_anchors(&mut self, delivery: &Delivery, stream: &Stream) {
        let mut arrivals: BTreeMap<EventId, (&Event, Vec<usize>)> = BTreeMap::new();
        for (at, delivered) in delivery.0.iter().enumerate() {
            for event in &stream.events[delivered.item] {
                arrivals.entry(event.id).or_insert_with(|| (event, Vec::new())).1.push(at);
            }
        }
        let changed = stream.types_with_changed_keys();
        for (id, (anchored, at)) in arrivals.iter().filter(|(_, (event, _))| event.source_position.is_none()) {
            let neighbours = arrivals.iter().filter(|(other, (event, _))| {
                *other != id
                    && event.aggregate_type == anchored.aggregate_type
                    && (event.aggregate_id == anchored.aggregate_id
                        || event.operation == Some(Operation::Truncate)
                        || changed.contains(&*anchored.aggregate_type))
            });
            for (_, (_, others)) in neighbours {
                if others[0] < at[0] {
                    self.after[at[0]].insert(others[0]);
                } else {
                    for other in others {
                        self.after[*other].insert(at[0]);
                    }
                }
            }
        }
    }
}
