//! A memory of records that forgets nothing.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
};

use deltafold_event::{EventId, OrderKey, Position, Timestamp};
use deltafold_relation::{Changes, KeeperState, Last, Memory, NewestMoved, Record, RowChange};

/// The place of a record: valid time first, as a view keeps it.
type At = (Timestamp, OrderKey);

/// The sum of the row changes, by moment and row.
type RowSums = BTreeMap<(Timestamp, String, bool), i64>;

/// Where the newest record stood until a position, the greatest place first, and whether it moved back then.
type Moves = BTreeMap<(Position, Reverse<At>), bool>;

/// Everything that the keeper of one type has written.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) records: BTreeMap<Arc<str>, BTreeMap<At, Arc<Record>>>,
    /// With the position at which each ceased to be believed.
    pub(super) superseded: BTreeMap<Arc<str>, Vec<(Arc<Record>, Position)>>,
    pub(super) moves: BTreeMap<Arc<str>, Moves>,
    pub(super) last: BTreeMap<Arc<str>, Last>,
    seen: BTreeSet<EventId>,
    /// Whether events were taken back: the numbers of their revisions are not given again.
    pub(super) taken_back: bool,
    /// The sum of the row changes, by aggregate, moment and row.
    pub(super) rows: BTreeMap<Arc<str>, RowSums>,
    state: Vec<u8>,
    /// Row changes that nobody has taken.
    pub(super) changed: Vec<RowChange>,
}

impl Shelf {
    /// Writes what a batch changed, in the order in which a view does.
    pub(super) fn apply(&mut self, changes: Changes) {
        for (aggregate, valid_from, order) in changes.removals {
            let removed = self.records.entry(aggregate.clone()).or_default().remove(&(valid_from, order.clone()));
            assert!(removed.is_some(), "{aggregate}: there is no record at {valid_from} {order:?} to remove");
        }
        for (aggregate, record) in changes.puts {
            let at = (record.valid_from, record.order.clone());
            self.records.entry(aggregate).or_default().insert(at, record);
        }
        for (aggregate, record, recorded_to) in changes.superseded {
            assert!(record.recorded_from < recorded_to, "{aggregate}: never believed: {record:?}");
            self.superseded.entry(aggregate).or_default().push((record, recorded_to));
        }
        for NewestMoved { aggregate, position, valid_from, order, is_back } in changes.moves {
            let from = (position, Reverse((valid_from, order)));
            *self.moves.entry(aggregate).or_default().entry(from).or_default() |= is_back;
        }
        for (aggregate, last) in changes.last {
            match last {
                Some(last) => self.last.insert(aggregate, last),
                None => self.last.remove(&aggregate),
            };
        }
        self.seen.retain(|id| !changes.unseen.contains(id));
        self.seen.extend(changes.seen);
        self.changed.extend_from_slice(&changes.rows);
        for change in changes.rows {
            let row = (change.valid_from, change.row().json.clone(), change.row().incomplete);
            *self.rows.entry(change.aggregate).or_default().entry(row).or_default() += i64::from(change.weight);
        }
        if let Some(state) = changes.state {
            self.state = state.to_bytes();
        }
    }

    /// The keeper's state as it was written last.
    pub(super) fn state(&self) -> KeeperState {
        if self.state.is_empty() {
            return KeeperState::default();
        }
        KeeperState::from_bytes(&self.state).expect("a state can be read again")
    }

    /// Reads every record from the bytes it is written as.
    pub(super) fn reread(&mut self) {
        for record in self.records.values_mut().flat_map(BTreeMap::values_mut) {
            let read = Record::from_bytes(&record.to_bytes(), record.beside()).expect("a record can be read again");
            assert_eq!(**record, read);
        }
        for last in self.last.values_mut() {
            let bytes = [&last.record.to_bytes()[..], &last.tail_bytes()].concat();
            *last = Last::from_bytes(&bytes, last.record.beside()).expect("a record can be read again");
        }
    }

    /// All versions that are shown now, as changes from nothing.
    pub(super) fn shown(&self) -> Vec<RowChange> {
        let mut changes = Vec::new();
        for (aggregate, records) in &self.records {
            let mut standing: Option<&Arc<Record>> = None;
            let records: Vec<_> = records.values().collect();
            for instant in records.chunk_by(|a, b| a.valid_from == b.valid_from) {
                let shown = instant.last().copied().filter(|record| record.shown().is_some());
                let valid_from = instant[0].valid_from;
                let mut change = |record: &Arc<Record>, weight| {
                    let (aggregate, record) = (aggregate.clone(), record.clone());
                    changes.push(RowChange { aggregate, record, valid_from, weight });
                };
                standing.into_iter().for_each(|record| change(record, -1));
                shown.into_iter().for_each(|record| change(record, 1));
                standing = shown;
            }
        }
        changes
    }

    fn ordered(&self, aggregate: &str) -> Vec<&Arc<Record>> {
        let mut records: Vec<_> = self.records.get(aggregate).into_iter().flat_map(BTreeMap::values).collect();
        records.sort_by(|a, b| a.order.cmp(&b.order));
        records
    }
}

impl Memory for Shelf {
    type Error = Infallible;

    fn last(&self, aggregate: &str) -> Result<Option<Last>, Infallible> {
        Ok(self.last.get(aggregate).cloned())
    }

    fn before(&self, aggregate: &str, order: &OrderKey, _: Timestamp) -> Result<Option<Record>, Infallible> {
        let records = self.ordered(aggregate).into_iter().rev();
        Ok(records.map(|record| (**record).clone()).find(|record| record.order < *order))
    }

    fn from(&self, aggregate: &str, order: &OrderKey, _: Timestamp, limit: usize) -> Result<Vec<Record>, Infallible> {
        let records = self.ordered(aggregate).into_iter().filter(|record| record.order >= *order);
        Ok(records.take(limit).map(|record| (**record).clone()).collect())
    }

    fn earlier(&self, aggregate: &str, valid_from: Timestamp) -> Result<Option<Record>, Infallible> {
        let records = self.ordered(aggregate).into_iter().rev();
        Ok(records.map(|record| (**record).clone()).find(|record| record.valid_from < valid_from))
    }

    fn seen(&self, id: EventId) -> Result<bool, Infallible> {
        Ok(self.seen.contains(&id))
    }

    fn aggregates(&self) -> Box<dyn Iterator<Item = Result<String, Infallible>> + '_> {
        let known = self.records.iter().filter(|(_, records)| !records.is_empty());
        Box::new(known.map(|(aggregate, _)| Ok(aggregate.to_string())))
    }
}
