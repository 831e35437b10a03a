//! A keeper's memory in memory, for tests.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    ops::Range,
};

use deltafold_event::{EventId, OrderKey, Position, StoredEvent, Timestamp};

use crate::{Changes, Keeper, KeeperState, Last, Memory, NewestMoved, Observed, Origins, Record, Schemas, Step};

/// An aggregate, the position, and where its newest record had stood until then; the greatest place first.
pub(crate) type Moved = (String, Position, Reverse<(Timestamp, OrderKey)>);

/// A [`Memory`] that holds everything in maps, laid out as a view does, and checks what it is told to write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InMemory {
    /// By aggregate, valid time and order: what is believed now.
    pub records: BTreeMap<String, BTreeMap<(Timestamp, OrderKey), Record>>,
    /// Newest records.
    pub last: BTreeMap<String, Last>,
    /// What was believed before, by aggregate, and until when.
    pub superseded: Vec<(String, Record, Position)>,
    /// Where the newest record became another one, and whether it moved back.
    pub moves: BTreeMap<Moved, bool>,
    /// Events without a position.
    pub seen: BTreeSet<EventId>,
    /// The keeper's state.
    pub state: KeeperState,
    /// The sum of row changes, by aggregate, moment and row.
    pub rows: BTreeMap<(String, Timestamp, String), i64>,
    /// Whether events were taken back: the numbers of their revisions are not given again.
    pub taken_back: bool,
}

impl InMemory {
    /// Folds a batch, with a keeper made of the state that is held here.
    ///
    /// # Panics
    /// When the events cannot be folded, or the changes contradict themselves.
    pub fn fold(&mut self, events: &[StoredEvent], schemas: &Schemas) {
        self.fold_steps(events.iter().map(Step::from), schemas);
    }

    /// Folds the events of a log that are in a range and of the type of its first one, as the origins say: all before were
    /// folded. What has to be read again is, so many events at once.
    ///
    /// # Panics
    /// As [`Self::fold`].
    pub fn fold_log(
        &mut self,
        origins: &mut Origins,
        log: &[StoredEvent],
        range: Range<usize>,
        at_once: usize,
        schemas: &Schemas,
    ) {
        let name = log.iter().map(|stored| &stored.event).find(|event| !event.is_control());
        let is_it = |of: &str| name.is_some_and(|event| *of == *event.aggregate_type);
        let mut steps = Vec::new();
        for stored in &log[range] {
            let observed = match stored.event.is_control() {
                true => {
                    origins.control(stored);
                    None
                }
                false => Some(origins.observe(stored)),
            };
            while let Some((from, until)) = origins.replay() {
                self.fold_steps(std::mem::take(&mut steps), schemas);
                let there = |stored: &&StoredEvent| (from..until).contains(&stored.position);
                let page: Vec<StoredEvent> = log.iter().filter(there).take(at_once).cloned().collect();
                let next = page.get(at_once - 1).map_or(until, |last| last.position.next());
                let replayed: Vec<Step<'_>> = origins
                    .replayed(&page, next)
                    .into_iter()
                    .filter(|(of, _)| is_it(of))
                    .map(|(_, step)| step)
                    .collect();
                self.taken_back |= replayed.iter().any(|step| matches!(step, Step::TakeBack(..)));
                self.fold_steps(replayed, schemas);
            }
            if let Some(Observed::Given { place, completed }) = observed {
                let completed = completed.into_iter().filter(|(of, _)| is_it(of));
                steps.extend(completed.map(|(_, completed)| Step::Complete(completed)));
                steps.extend(is_it(&stored.event.aggregate_type).then_some(Step::Event(stored, place)));
            }
        }
        self.fold_steps(steps, schemas);
    }

    fn fold_steps<'e>(&mut self, steps: impl IntoIterator<Item = Step<'e>>, schemas: &Schemas) {
        let mut keeper = Keeper::new(KeeperState::from_bytes(&self.state.to_bytes()).expect("state round-trips"));
        let changes = keeper.fold(steps, schemas, self).expect("the events can be folded");
        if let Some(state) = &changes.state {
            assert_eq!(state, keeper.state());
        }
        self.apply(changes);
        assert_eq!(&self.state, keeper.state());
    }

    /// Writes what a batch changes.
    ///
    /// # Panics
    /// When the changes contradict themselves.
    pub fn apply(&mut self, changes: Changes) {
        for (aggregate, valid_from, order) in changes.removals {
            let records = self.records.get_mut(&*aggregate).expect("what is removed was there");
            assert!(records.remove(&(valid_from, order)).is_some(), "what is removed was there");
        }
        let touched: BTreeSet<String> = changes.last.iter().map(|(aggregate, _)| aggregate.to_string()).collect();
        for (aggregate, record) in changes.puts {
            assert!(touched.contains(&*aggregate), "an aggregate that changes tells its newest record");
            let read = Record::from_bytes(&record.to_bytes(), record.beside()).expect("records round-trip");
            assert_eq!(read, *record);
            let place = (record.valid_from, record.order.clone());
            self.records.entry(aggregate.to_string()).or_default().insert(place, read);
        }
        for (aggregate, last) in changes.last {
            match last {
                Some(last) => drop(self.last.insert(aggregate.to_string(), last)),
                None => drop(self.last.remove(&*aggregate)),
            }
        }
        for (aggregate, record, until) in changes.superseded {
            assert!(record.recorded_from < until, "a belief lasts");
            self.superseded.push((aggregate.to_string(), Record::clone(&record), until));
        }
        for NewestMoved { aggregate, position, valid_from, order, is_back } in changes.moves {
            let from = Reverse((valid_from, order));
            *self.moves.entry((aggregate.to_string(), position, from)).or_default() |= is_back;
        }
        self.seen.retain(|id| !changes.unseen.contains(id));
        self.seen.extend(changes.seen);
        self.state = changes.state.unwrap_or_else(|| std::mem::take(&mut self.state));
        for change in changes.rows {
            let key = (change.aggregate.to_string(), change.valid_from, change.row().json.clone());
            *self.rows.entry(key).or_default() += i64::from(change.weight);
        }
        self.rows.retain(|_, weight| *weight != 0);
        self.records.retain(|_, records| !records.is_empty());
        self.superseded.sort_by(|one, other| {
            let key = |(aggregate, record, until): &(String, Record, Position)| {
                (aggregate.clone(), record.valid_from, record.order.clone(), record.recorded_from, *until)
            };
            key(one).cmp(&key(other))
        });
        self.check();
    }

    /// Whether no record that was believed at a position stands above where the next move from there on began, be it
    /// known of all moves or only of those back.
    pub fn is_bounded(&self, aggregate: &str, by: Position) -> bool {
        let newest = self.as_of(aggregate, Timestamp::MAX, by).map(|newest| (newest.valid_from, newest.order.clone()));
        let from = |is_counted: fn(bool) -> bool| {
            let later = |of: &str, position: Position| of == aggregate && position > by;
            let mut moves = self.moves.iter().filter(|((of, position, _), _)| later(of, *position));
            moves.find(|(_, is_back)| is_counted(**is_back)).map(|((.., Reverse(from)), _)| from)
        };
        [from(|_| true), from(|is_back| is_back)].into_iter().flatten().all(|from| newest.as_ref() <= Some(from))
    }

    fn check(&self) {
        assert_eq!(self.records.len(), self.last.len());
        for (aggregate, records) in &self.records {
            let by_order: BTreeMap<_, _> = records.values().map(|record| (&record.order, record)).collect();
            assert_eq!(by_order.len(), records.len(), "orders are distinct");
            assert!(by_order.values().copied().eq(records.values()), "valid time never falls along the order");
            let last = records.values().next_back().expect("not empty");
            let own = records.values().filter(|record| record.kind.is_own()).count() as u64;
            let (newest, revisions) = (&*self.last[aggregate].record, self.last[aggregate].revisions);
            assert!(newest == last && (own == revisions || (self.taken_back && own < revisions)));
        }
    }

    /// The record that is shown as of a moment and a position: of those believed there, the last one by valid time
    /// and order.
    pub fn as_of(&self, aggregate: &str, moment: Timestamp, position: Position) -> Option<&Record> {
        let now = self.records.get(aggregate).into_iter().flat_map(BTreeMap::values);
        let then = self.superseded.iter().filter(|(id, _, until)| id == aggregate && position < *until);
        now.chain(then.map(|(_, record, _)| record))
            .filter(|record| record.recorded_from <= position && record.valid_from <= moment)
            .max_by_key(|record| (record.valid_from, record.order.clone()))
    }

    fn by_order(&self, aggregate: &str) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.get(aggregate).into_iter().flat_map(BTreeMap::values)
    }
}

impl Memory for InMemory {
    type Error = Infallible;

    fn last(&self, aggregate: &str) -> Result<Option<Last>, Self::Error> {
        Ok(self.last.get(aggregate).cloned())
    }

    fn before(&self, aggregate: &str, order: &OrderKey, _hint: Timestamp) -> Result<Option<Record>, Self::Error> {
        Ok(self.by_order(aggregate).rfind(|record| record.order < *order).cloned())
    }

    fn from(
        &self,
        aggregate: &str,
        order: &OrderKey,
        _hint: Timestamp,
        limit: usize,
    ) -> Result<Vec<Record>, Self::Error> {
        Ok(self.by_order(aggregate).filter(|record| record.order >= *order).take(limit).cloned().collect())
    }

    fn earlier(&self, aggregate: &str, valid_from: Timestamp) -> Result<Option<Record>, Self::Error> {
        Ok(self.by_order(aggregate).rfind(|record| record.valid_from < valid_from).cloned())
    }

    fn seen(&self, id: EventId) -> Result<bool, Self::Error> {
        Ok(self.seen.contains(&id))
    }

    fn aggregates(&self) -> Box<dyn Iterator<Item = Result<String, Self::Error>> + '_> {
        Box::new(self.last.keys().cloned().map(Ok))
    }
}
