//! Which cases a delivery is made of.

use std::collections::{BTreeMap, BTreeSet};

use deltafold_event::{Event, EventId, Operation, StoredEvent};

use super::{
    case::{Case, Counts},
    delivery::Delivery,
    stream::Stream,
};
use crate::naive::Relation;

impl Stream {
    /// Counts the cases of a delivery, as `stored`, with what the naive fold makes of it by type.
    pub fn count(&self, delivery: &Delivery, stored: &[StoredEvent], relations: &BTreeMap<&str, Relation>) -> Counts {
        let mut counts = self.counts.clone();
        let items: BTreeSet<usize> = delivery.0.iter().map(|delivered| delivered.item).collect();
        for case in items.iter().flat_map(|item| &self.items[*item].cases) {
            counts.count(*case);
        }
        let mut seen = Seen { stream: self, events: Vec::new() };
        for StoredEvent { event, .. } in stored {
            for case in seen.cases_of(event) {
                counts.count(case);
            }
            seen.events.push(event);
        }
        for case in self.cases_of_rows(stored, relations) {
            counts.count(case);
        }
        counts
    }

    fn key(&self, event: &Event) -> Option<&[String]> {
        event.schema_id.as_ref().and_then(|id| self.schemas.get(id)).map(|schema| schema.key())
    }

    /// What is seen only once everything has arrived.
    fn cases_of_rows(&self, stored: &[StoredEvent], relations: &BTreeMap<&str, Relation>) -> Vec<Case> {
        let events: BTreeMap<EventId, &Event> = stored.iter().map(|stored| (stored.event.id, &stored.event)).collect();
        let mut cases = Vec::new();
        for history in relations.values().flat_map(|relation| relation.history.values()) {
            for pair in history.windows(2) {
                let [before, after] = [&pair[0], &pair[1]];
                let (one, two) = (events[&before.event], events[&after.event]);
                if two.operation == Some(Operation::Read) {
                    match (&before.content, &after.content) {
                        (Some(old), Some(new)) if old == new => cases.push(Case::EqualSnapshotRow),
                        (Some(old), Some(new)) if old.incomplete && !new.incomplete => {
                            cases.push(Case::SnapshotHealsUnknownValue);
                        }
                        _ => {}
                    }
                    if two.occurred_at < before.valid_from {
                        cases.push(Case::SnapshotBeforeItsNeighbour);
                    }
                }
                if one.operation == Some(Operation::Read) && one.occurred_at > before.valid_from {
                    cases.push(Case::LogEventPullsSnapshotBack);
                }
                if one.source_position.is_some() && two.source_position.is_some() {
                    let other = one.transaction_id != two.transaction_id;
                    if other && one.occurred_at == two.occurred_at {
                        cases.push(Case::EqualInstants);
                    }
                    if two.occurred_at < one.occurred_at {
                        cases.push(Case::ClockBackwards);
                    }
                }
                if after.revision.is_none() && after.content.is_some() {
                    cases.push(Case::ChangedKey);
                }
            }
            if history.first().is_some_and(|first| first.revision.is_none() && first.content.is_some()) {
                cases.push(Case::ChangedKey);
            }
        }
        cases
    }
}

/// What has arrived so far.
struct Seen<'a> {
    stream: &'a Stream,
    events: Vec<&'a Event>,
}

impl Seen<'_> {
    fn cases_of(&self, event: &Event) -> Vec<Case> {
        let again = self.events.iter().find(|seen| seen.id == event.id);
        match again {
            Some(first) => vec![repeated(first, event)],
            None if event.source_position.is_some() => self.cases_of_log(event),
            None => self.cases_of_read(event),
        }
    }

    fn of_type<'s>(&'s self, event: &'s Event) -> impl Iterator<Item = &'s Event> {
        self.events.iter().copied().filter(move |seen| seen.aggregate_type == event.aggregate_type)
    }

    fn cases_of_log(&self, event: &Event) -> Vec<Case> {
        let mut cases = Vec::new();
        let truncate = Some(Operation::Truncate);
        let later = |seen: &&Event| seen.source_position > event.source_position;
        if event.operation == truncate && self.of_type(event).any(|seen| later(&seen)) {
            cases.push(Case::LateTruncate);
        }
        if event.operation != truncate && self.of_type(event).any(|seen| seen.operation == truncate && later(&seen)) {
            cases.push(Case::EventBeforeTruncateArrivesLater);
        }
        if self.of_type(event).filter(later).any(|seen| seen.aggregate_id == event.aggregate_id) {
            cases.push(Case::LateEvent);
            if event.operation == Some(Operation::Delete) {
                cases.push(Case::LateDelete);
            }
        }
        let mut sequel = self.of_type(event).filter(later).filter_map(|seen| self.stream.key(seen));
        if self.stream.key(event).is_some_and(|key| sequel.any(|other| other != key)) {
            cases.push(Case::LateEventBeforeChangedKey);
        }
        let other_partition = self.of_type(event).filter(later).filter(|seen| {
            seen.coordinates.topic == event.coordinates.topic
                && seen.coordinates.partition != event.coordinates.partition
        });
        if other_partition.count() > 0 {
            cases.push(Case::PartitionsInterleaved);
        }
        cases.extend(self.cases_of_move(event));
        cases
    }

    /// The halves of a key update, in the order of their arrival.
    fn cases_of_move(&self, event: &Event) -> Vec<Case> {
        let other = self.of_type(event).find(|seen| {
            seen.source_position == event.source_position
                && (seen.metadata.contains("moved_") && event.metadata.contains("moved_"))
                && (metadata(seen, "moved_to") == event.aggregate_id
                    && seen.aggregate_id == metadata(event, "moved_from")
                    || metadata(seen, "moved_from") == event.aggregate_id
                        && seen.aggregate_id == metadata(event, "moved_to"))
        });
        let Some(other) = other else { return Vec::new() };
        let mut cases = Vec::new();
        if other.coordinates.partition != event.coordinates.partition {
            cases.push(Case::KeyUpdateInTwoPartitions);
        }
        let (create, order) = match event.operation {
            Some(Operation::Create) => (event, Case::MovedUnchangedDeleteFirst),
            _ => (other, Case::MovedUnchangedCreateFirst),
        };
        if create.after.as_ref().is_some_and(|after| after.contains("__debezium_unavailable_value")) {
            cases.push(order);
        }
        cases
    }

    fn cases_of_read(&self, event: &Event) -> Vec<Case> {
        let key = self.stream.key(event);
        let mut before = self.of_type(event).filter_map(|seen| self.stream.key(seen)).peekable();
        let reveals = key.is_some() && before.peek().is_some() && before.all(|seen| Some(seen) != key);
        if reveals { vec![Case::ChangedKeyShownBySnapshot] } else { Vec::new() }
    }
}

fn repeated(first: &Event, event: &Event) -> Case {
    match event.operation {
        _ if first.coordinates == event.coordinates => Case::ReadAgain,
        Some(Operation::Truncate) if first.coordinates.partition != event.coordinates.partition => {
            Case::DuplicateTruncateInAnotherPartition
        }
        _ if event.source_position.is_some() => Case::DuplicateLogEvent,
        _ => Case::DuplicateDomainEvent,
    }
}

fn metadata(event: &Event, member: &str) -> Option<String> {
    let metadata: serde_json::Value = serde_json::from_str(&event.metadata).ok()?;
    metadata[member].as_str().map(str::to_owned)
}
