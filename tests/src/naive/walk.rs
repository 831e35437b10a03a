//! The events of all aggregates, applied in order.

use std::collections::BTreeMap;

use deltafold_event::{EventId, Operation, Position, Timestamp};

use super::{
    image::{Image, values},
    known::{Known, Place, Rekey, rekeys},
};

/// One thing that happened to an aggregate.
#[derive(Debug, Clone)]
pub(super) struct Happened {
    pub(super) event: EventId,
    /// Of the event's first delivery; none where the event is another aggregate's or the whole type's.
    pub(super) position: Option<Position>,
    /// Whether it has a place in the source's log.
    pub(super) log: bool,
    pub(super) occurred_at: Timestamp,
    /// The row it leaves.
    pub(super) shown: Option<Image>,
}

/// What is known of one aggregate while walking.
#[derive(Debug, Default)]
struct Aggregate {
    /// Its rows, the one that has been there longest first; the last is the one shown.
    stack: Vec<Image>,
    transaction: Option<String>,
    happened: Vec<Happened>,
}

impl Aggregate {
    /// At the first log event of another transaction only the newest row stays. What has no transaction is one
    /// of its own.
    fn enter(&mut self, transaction: Option<&String>) {
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
    applied: Vec<bool>,
    /// By the delete's index: the row it took.
    took: BTreeMap<usize, Image>,
    aggregates: BTreeMap<String, Aggregate>,
}

enum Step<'k> {
    Event(usize),
    Rekey(&'k Rekey),
}

/// Applies all events; what happened to each aggregate, in order.
pub(super) fn walk(known: &[Known<'_>]) -> BTreeMap<String, Vec<Happened>> {
    let rekeys = rekeys(known);
    let mut steps: Vec<(&Place, Step<'_>)> = Vec::new();
    steps.extend(known.iter().enumerate().map(|(at, event)| (&event.place, Step::Event(at))));
    steps.extend(rekeys.iter().map(|rekey| (&rekey.place, Step::Rekey(rekey))));
    steps.sort_by_key(|(place, _)| *place);
    let mut walk =
        Walk { known, applied: vec![false; known.len()], took: BTreeMap::new(), aggregates: BTreeMap::new() };
    for (_, step) in steps {
        match step {
            Step::Event(at) => walk.apply(at),
            Step::Rekey(rekey) => walk.rekey(rekey),
        }
    }
    walk.aggregates.into_iter().map(|(id, aggregate)| (id, aggregate.happened)).collect()
}

impl Walk<'_> {
    fn apply(&mut self, at: usize) {
        if std::mem::replace(&mut self.applied[at], true) {
            return;
        }
        let known = &self.known[at];
        match &known.event.aggregate_id {
            None if known.is_truncate() => self.truncate(known),
            None => {}
            Some(id) => {
                let moved = known.moved_from.as_ref().map(|from| self.row_moved(known, from));
                self.change(at, id, moved);
            }
        }
    }

    /// The row that the other half of a key update took out of the old key. It stands at the same source
    /// position, so that it may not have been applied yet.
    fn row_moved(&mut self, create: &Known<'_>, from: &String) -> Option<Image> {
        let delete = self.known.iter().position(|other| {
            other.event.operation == Some(Operation::Delete)
                && other.event.aggregate_id.as_ref() == Some(from)
                && other.event.source_position == create.event.source_position
                && other.event.transaction_id == create.event.transaction_id
        })?;
        let mut before: Vec<usize> = (0..self.known.len())
            .filter(|&other| {
                self.known[other].event.aggregate_id.as_ref() == Some(from)
                    && self.known[other].place <= self.known[delete].place
            })
            .collect();
        before.sort_by_key(|&other| &self.known[other].place);
        for other in before {
            self.apply(other);
        }
        self.took.get(&delete).cloned()
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
                self.took.insert(at, aggregate.stack.remove(0));
            }
            // Domain events and logical messages say nothing of a row.
            Some(Operation::Delete | Operation::Truncate) | None => {}
        }
        aggregate.happened.push(Happened {
            event: event.id,
            position: Some(known.position),
            log: known.is_log(),
            occurred_at: event.occurred_at,
            shown: aggregate.shown().cloned(),
        });
    }

    /// Ends every row there is.
    fn truncate(&mut self, truncate: &Known<'_>) {
        for aggregate in self.aggregates.values_mut().filter(|aggregate| !aggregate.stack.is_empty()) {
            aggregate.enter(truncate.event.transaction_id.as_ref());
            aggregate.stack.clear();
            aggregate.happened.push(type_wide(truncate, None));
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
            aggregate.happened.push(type_wide(revealed_by, None));
            moving.push((new, row));
        }
        for (new, row) in moving {
            let aggregate = self.aggregates.entry(new).or_default();
            aggregate.enter(None);
            aggregate.stack.push(row.clone());
            aggregate.happened.push(type_wide(revealed_by, Some(row)));
        }
    }
}

/// What an event of the type does to an aggregate that is not its own.
fn type_wide(known: &Known<'_>, shown: Option<Image>) -> Happened {
    Happened { event: known.event.id, position: None, log: true, occurred_at: known.event.occurred_at, shown }
}
