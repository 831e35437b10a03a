//! The events of all aggregates, applied in order.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{Event, EventId, Operation, Timestamp};

use super::{
    image::{Image, values},
    known::{Known, Place, Rekey, Sweep, rekeys},
};

/// One thing that happened to an aggregate.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) event: EventId,
    /// How many deliveries came before the event's first; none where the event is another aggregate's or the whole type's.
    pub(super) arrived: Option<usize>,
    /// Whether it has a place in the source's log.
    pub(super) log: bool,
    pub(super) occurred_at: Timestamp,
    /// The row it leaves.
    pub(super) shown: Option<Image>,
}

/// How often all events are applied at most.
const MOST_WALKS: usize = 200;

/// What is known of one aggregate while walking.
#[derive(Debug, Default)]
struct Aggregate {
    /// Its rows, the one that has been there longest first; the last is the one shown.
    stack: Vec<Image>,
    transaction: Option<Arc<str>>,
    happened: Vec<Happened>,
}

impl Aggregate {
    /// At the first log event of another transaction only the newest row stays. What has no transaction is one
    /// of its own.
    fn enter(&mut self, transaction: Option<&Arc<str>>) {
        if transaction.is_none() || self.transaction.as_ref() != transaction {
            self.stack.drain(..self.stack.len().saturating_sub(1));
        }
        self.transaction = transaction.cloned();
    }

    fn shown(&self) -> Option<&Image> {
        self.stack.last()
    }
}

struct Walk<'k> {
    known: &'k [Known<'k>],
    /// By the delete's index: the row it took when all was applied the last time.
    took_before: BTreeMap<usize, Image>,
    /// Likewise, this time.
    took: BTreeMap<usize, Image>,
    aggregates: BTreeMap<String, Aggregate>,
}

enum Step<'k> {
    Event(usize),
    Rekey(&'k Rekey),
    Sweep(&'k Event),
}

/// Applies all events; what happened to each aggregate, in order.
pub(super) fn walk(known: &[Known<'_>], sweeps: &[Sweep<'_>]) -> BTreeMap<String, Vec<Happened>> {
    let rekeys = rekeys(known);
    let mut steps: Vec<(&Place, Step<'_>)> = Vec::new();
    steps.extend(known.iter().enumerate().map(|(at, event)| (&event.place, Step::Event(at))));
    steps.extend(rekeys.iter().map(|rekey| (&rekey.place, Step::Rekey(rekey))));
    let sweeps = sweeps.iter().filter(|sweep| sweep.is_complete);
    steps.extend(sweeps.map(|sweep| (&sweep.place, Step::Sweep(sweep.first))));
    steps.sort_by_key(|(place, _)| *place);
    // Either half of a move may stand before the other: everything is applied again until each has the other's row.
    let mut took_before = BTreeMap::new();
    for _ in 0..MOST_WALKS {
        let mut walk = Walk { known, took_before, took: BTreeMap::new(), aggregates: BTreeMap::new() };
        for (_, step) in &steps {
            match step {
                Step::Event(at) => walk.apply(*at),
                Step::Rekey(rekey) => walk.rekey(rekey),
                Step::Sweep(first) => walk.end_all(first, None),
            }
        }
        if walk.took == walk.took_before {
            return walk.aggregates.into_iter().map(|(id, aggregate)| (id, aggregate.happened)).collect();
        }
        took_before = walk.took;
    }
    panic!("rows that move wait for each other")
}

impl Walk<'_> {
    fn apply(&mut self, at: usize) {
        let known = &self.known[at];
        match &known.event.aggregate_id {
            None if known.is_truncate() => self.end_all(known.event, known.event.transaction_id.as_ref()),
            None => {}
            Some(id) => {
                let moved = known.moved_from.as_ref().map(|from| self.row_moved(known, from));
                self.change(at, id, moved);
            }
        }
    }

    /// The row that the other half of a key update took out of the old key. It stands at the same source position of the
    /// same epoch.
    fn row_moved(&self, create: &Known<'_>, from: &String) -> Option<Image> {
        let delete = self.known.iter().position(|other| {
            other.event.operation == Some(Operation::Delete)
                && other.event.aggregate_id.as_ref() == Some(from)
                && other.place.epoch == create.place.epoch
                && other.event.source_position == create.event.source_position
                && other.event.transaction_id == create.event.transaction_id
        })?;
        self.took_before.get(&delete).cloned()
    }

    /// Applies one event of an aggregate. `moved` is the row it is the new home of, if it is one.
    fn change(&mut self, at: usize, id: &str, moved: Option<Option<Image>>) {
        let known = &self.known[at];
        let event = known.event;
        let aggregate = self.aggregates.entry(id.to_owned()).or_default();
        if known.is_log() && event.operation.is_some() {
            aggregate.enter(event.transaction_id.as_ref());
        }
        let image = event.after.as_ref().map(|after| {
            let before = match (&event.before, known.whole_before) {
                (Some(before), true) => values(before),
                _ => BTreeMap::new(),
            };
            let last = match moved {
                Some(row) => row.unwrap_or_default().values,
                None => aggregate.shown().cloned().unwrap_or_default().values,
            };
            Image::read(after, &[&before, &last])
        });
        match event.operation {
            Some(Operation::Create) => aggregate.stack.extend(image),
            Some(Operation::Update | Operation::Read) => {
                aggregate.stack.pop();
                aggregate.stack.extend(image);
            }
            Some(Operation::Delete) if !aggregate.stack.is_empty() => {
                let row = aggregate.stack.remove(0);
                self.took.extend(known.is_moved.then_some((at, row)));
            }
            // Domain events and logical messages say nothing of a row.
            Some(Operation::Delete | Operation::Truncate) | None => {}
        }
        aggregate.happened.push(Happened {
            event: event.id,
            arrived: Some(known.arrived),
            log: known.is_log(),
            occurred_at: event.occurred_at,
            shown: aggregate.shown().cloned(),
        });
    }

    /// Ends every row there is.
    fn end_all(&mut self, event: &Event, transaction: Option<&Arc<str>>) {
        for aggregate in self.aggregates.values_mut().filter(|aggregate| !aggregate.stack.is_empty()) {
            aggregate.enter(transaction);
            aggregate.stack.clear();
            aggregate.happened.push(type_wide(event, None));
        }
    }

    /// Moves every row whose id is another under the new key columns.
    fn rekey(&mut self, rekey: &Rekey) {
        let revealed_by = &self.known[rekey.at];
        let mut moving = Vec::new();
        for (old, aggregate) in &mut self.aggregates {
            let Some(row) = aggregate.shown().cloned() else { continue };
            let Some(new) = row.id(&rekey.columns).filter(|new| new != old) else { continue };
            aggregate.enter(None);
            aggregate.stack.clear();
            aggregate.happened.push(type_wide(revealed_by.event, None));
            moving.push((new, row));
        }
        for (new, row) in moving {
            let aggregate = self.aggregates.entry(new).or_default();
            aggregate.enter(None);
            aggregate.stack.push(row.clone());
            aggregate.happened.push(type_wide(revealed_by.event, Some(row)));
        }
    }
}

/// What an event of the type does to an aggregate that is not its own.
fn type_wide(event: &Event, shown: Option<Image>) -> Happened {
    Happened { event: event.id, arrived: None, log: true, occurred_at: event.occurred_at, shown }
}
