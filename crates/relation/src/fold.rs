//! Folding a batch.

mod append;
mod cascade;
mod late;
mod refold;
mod sweep;
mod take_back;
pub(crate) mod type_wide;

use std::{collections::VecDeque, sync::Arc};

use deltafold_event::{EventId, Operation, OrderKey, Position, StoredEvent, Timestamp};
use foldhash::HashMap;

use crate::{
    Changes, FoldError, KeeperState, Memory, NewestMoved, Place, Record, RowChange, Schemas, Step, TypeEvent,
    by_aggregate::KeyNotes,
    fold::cascade::{Cascade, Visits},
    image::same,
    incoming::Incoming,
    work::Work,
};

/// At a position the newest record of an aggregate became another one.
struct Move {
    /// Where the aggregate stands in [`Fold::works`].
    work: usize,
    position: Position,
    /// Where the newest record stood before.
    from: (Timestamp, OrderKey),
    is_back: bool,
}

impl Move {
    /// Where a record stands in the history of its aggregate.
    fn place(record: &Record) -> (Timestamp, OrderKey) {
        (record.valid_from, record.order.clone())
    }
}

/// One batch while it is folded.
pub(crate) struct Fold<'a, M> {
    memory: &'a M,
    schemas: &'a Schemas,
    state: &'a mut KeeperState,
    state_changed: bool,
    /// The aggregates that were touched, in that order.
    works: Vec<Work>,
    /// Where they stand; only for looking up.
    index: HashMap<Arc<str>, usize>,
    /// The events without a position that the batch has brought, or taken back (false).
    seen: HashMap<EventId, bool>,
    changes: Changes,
    moves: Vec<Move>,
    /// The position from which what is being folded counts as recorded.
    position: Position,
    /// What the event still has to change in other aggregates.
    cascades: VecDeque<Cascade>,
    visits: Visits,
    /// The aggregates whose journals have entries, and their newest record before the event.
    journaled: Vec<(usize, Option<Arc<Record>>)>,
    /// Where the columns of the key are noted when events do not come in the order of their positions.
    key_notes: Option<&'a mut KeyNotes>,
    /// The one aggregate that truncates end, when each aggregate is folded with all of them.
    only: Option<usize>,
}

impl<'a, M: Memory> Fold<'a, M> {
    pub(crate) fn new(memory: &'a M, schemas: &'a Schemas, state: &'a mut KeeperState) -> Self {
        Self {
            memory,
            schemas,
            state,
            state_changed: false,
            works: Vec::new(),
            index: HashMap::default(),
            seen: HashMap::default(),
            changes: Changes::default(),
            moves: Vec::new(),
            position: Position::ZERO,
            cascades: VecDeque::new(),
            visits: Visits::default(),
            journaled: Vec::new(),
            key_notes: None,
            only: None,
        }
    }

    /// For events that come aggregate by aggregate.
    pub(crate) fn by_aggregate(self, key_notes: &'a mut KeyNotes) -> Self {
        Self { key_notes: Some(key_notes), ..self }
    }

    /// Folds all events of one aggregate, with the truncates of its type; both by position.
    pub(crate) fn aggregate(
        &mut self,
        truncates: &[StoredEvent],
        events: &[StoredEvent],
    ) -> Result<(), FoldError<M::Error>> {
        self.state.truncates.clear();
        self.only = Some(self.works.len());
        let mut truncates = truncates.iter().peekable();
        for event in events {
            while let Some(truncate) = truncates.next_if(|truncate| truncate.position < event.position) {
                self.event(truncate)?;
            }
            self.event(event)?;
        }
        truncates.try_for_each(|truncate| self.event(truncate))
    }

    /// Folds one event in the first epoch, where it stands.
    pub(crate) fn event(&mut self, stored: &StoredEvent) -> Result<(), FoldError<M::Error>> {
        self.placed(stored, &Place::at(stored.position))
    }

    /// Does what a keeper is told.
    pub(crate) fn step(&mut self, step: Step<'_>) -> Result<(), FoldError<M::Error>> {
        match step {
            Step::Event(stored, place) => self.placed(stored, &place),
            Step::TakeBack(stored, place) => {
                self.position = place.recorded_from;
                self.take_back(stored, place.epoch)?;
                self.finish_event()
            }
            Step::Complete(completed) => {
                self.position = completed.recorded_from;
                self.complete_all(&completed)?;
                self.finish_event()
            }
            Step::TakeBackSnapshot(snapshot, position) => {
                self.position = position;
                self.take_back_snapshot(snapshot)?;
                self.finish_event()
            }
        }
    }

    /// Folds one event.
    fn placed(&mut self, stored: &StoredEvent, place: &Place) -> Result<(), FoldError<M::Error>> {
        self.position = place.recorded_from;
        let event = &stored.event;
        let Some(aggregate) = &event.aggregate_id else {
            if event.operation != Some(Operation::Truncate) {
                return Err(FoldError::NoAggregate { position: stored.position });
            }
            self.truncate(stored, place)?;
            return self.finish_event();
        };
        let incoming = Incoming::read(stored, place.epoch, self.schemas)?;
        let work = self.work(aggregate)?;
        if event.source_position.is_some() {
            self.log_event(work, incoming, place)?;
        } else {
            self.event_without_position(work, incoming, place)?;
        }
        self.finish_event()
    }

    /// The aggregate with this id, read from the memory the first time.
    fn work(&mut self, id: &str) -> Result<usize, FoldError<M::Error>> {
        if let Some(only) = self.only
            && self.works.get(only).is_some_and(|work| &*work.id == id)
        {
            return Ok(only);
        }
        if let Some(&at) = self.index.get(id) {
            return Ok(at);
        }
        let id: Arc<str> = id.into();
        self.works.push(Work::load(self.memory, Arc::clone(&id)).map_err(FoldError::Memory)?);
        self.index.insert(id, self.works.len() - 1);
        Ok(self.works.len() - 1)
    }

    /// The greatest place of the truncates, changes of the key and snapshots of new epochs.
    fn last_type_wide(&self) -> Option<&TypeEvent> {
        let truncate = self.state.truncates.last();
        let rekey = self.state.keys.get(1..).and_then(|spans| spans.last()).map(|span| &span.from);
        let sweep = self.state.sweeps.last().map(|sweep| &sweep.from);
        truncate.into_iter().chain(rekey).chain(sweep).max_by(|one, other| one.order.cmp(&other.order))
    }

    /// Likewise, below a limit.
    fn last_type_wide_below(&self, limit: &OrderKey) -> Option<&TypeEvent> {
        match self.last_type_wide() {
            Some(last) if last.order >= *limit => {
                let below = self.type_wide().filter(|event| event.order < *limit);
                below.max_by(|one, other| one.order.cmp(&other.order))
            }
            last => last,
        }
    }

    /// All of them.
    fn type_wide(&self) -> impl Iterator<Item = &TypeEvent> {
        let rekeys = self.state.keys.get(1..).unwrap_or_default().iter().map(|span| &span.from);
        let sweeps = self.state.sweeps.iter().map(|sweep| &sweep.from);
        self.state.truncates.iter().chain(rekeys).chain(sweeps)
    }

    /// Learns from the row that an event gives.
    fn observe(&mut self, incoming: &Incoming) {
        if let Some(said) = incoming.said()
            && self.state.columns.observe(&said, incoming.schema.as_deref(), self.position)
        {
            self.state_changed = true;
        }
    }

    fn begins(&mut self, record: &Record) {
        if self.state.history_start.is_none_or(|start| record.valid_from < start) {
            self.state.history_start = Some(record.valid_from);
            self.state_changed = true;
        }
    }

    /// Puts or removes a record, and remembers what stood there before the event. `current` is what stands there.
    fn set(
        &mut self,
        at: usize,
        current: Option<&Arc<Record>>,
        now: Option<Arc<Record>>,
    ) -> Result<(), FoldError<M::Error>> {
        let work = &mut self.works[at];
        if work.journal.is_empty() {
            self.journaled.push((at, work.last().cloned()));
        }
        work.set(self.memory, current, now).map_err(FoldError::Memory)
    }

    /// Carries what was changed into other aggregates.
    fn carry_on(&mut self) -> Result<(), FoldError<M::Error>> {
        while let Some(cascade) = self.cascades.pop_front() {
            self.cascade(cascade)?;
        }
        Ok(())
    }

    /// Ends an event: says what is no longer believed, and what is the newest now.
    fn finish_event(&mut self) -> Result<(), FoldError<M::Error>> {
        self.carry_on()?;
        self.visits.clear();
        for (at, newest_before) in std::mem::take(&mut self.journaled) {
            let work = &mut self.works[at];
            for (order, was) in std::mem::take(&mut work.journal) {
                let Some(was) = was else { continue };
                let slots = work.slots();
                let now =
                    slots.binary_search_by(|slot| slot.order().cmp(&order)).ok().and_then(|at| slots[at].now.as_ref());
                // What began at this very position was never believed.
                let was_believed = was.recorded_from < self.position;
                if was_believed && now.is_none_or(|now| now.recorded_from != was.recorded_from) {
                    self.changes.superseded.push((Arc::clone(&work.id), was, self.position));
                }
            }
            let Some(before) = newest_before else { continue };
            let (from, newest) = (Move::place(&before), work.last().map(|newest| Move::place(newest)));
            if newest.as_ref() != Some(&from) {
                let is_back = newest.is_none_or(|newest| newest < from);
                self.moves.push(Move { work: at, position: self.position, from, is_back });
            }
        }
        Ok(())
    }

    /// What the batch changes, by aggregate id: what is written sorted need not be sorted again.
    pub(crate) fn finish(mut self) -> Changes {
        let mut sorted: Vec<usize> = (0..self.works.len()).collect();
        sorted.sort_unstable_by(|one, other| self.works[*one].id.cmp(&self.works[*other].id));
        let mut ranks = vec![0; sorted.len()];
        for (rank, work) in sorted.iter().enumerate() {
            ranks[*work] = rank;
        }
        self.moves.sort_by_key(|moved| ranks[moved.work]);
        let moves = self.moves.into_iter().map(|Move { work, position, from: (valid_from, order), is_back }| {
            NewestMoved { aggregate: Arc::clone(&self.works[work].id), position, valid_from, order, is_back }
        });
        self.changes.moves = moves.collect();
        for work in sorted.into_iter().map(|work| &self.works[work]) {
            for slot in work.slots() {
                if let Some(stored) = &slot.stored
                    && slot.now.as_ref().is_none_or(|now| now.valid_from != stored.valid_from)
                {
                    self.changes.removals.push((Arc::clone(&work.id), stored.valid_from, stored.order.clone()));
                }
                if let Some(now) = &slot.now
                    && slot.stored.as_ref() != Some(now)
                {
                    self.changes.puts.push((Arc::clone(&work.id), Arc::clone(now)));
                }
            }
            if !work.slots().is_empty() {
                self.changes.last.push((Arc::clone(&work.id), work.to_last()));
            }
        }
        for (id, is_seen) in self.seen {
            if is_seen { self.changes.seen.push(id) } else { self.changes.unseen.push(id) }
        }
        if self.state_changed {
            self.changes.state = Some(self.state.clone());
        }
        self.changes
    }
}

/// The difference between what a stretch of records showed and what it shows now, where both stand on `base`.
fn row_changes(
    base: Option<&Arc<Record>>,
    old: &[Arc<Record>],
    new: &[Arc<Record>],
    aggregate: &Arc<str>,
) -> impl Iterator<Item = RowChange> {
    let mut steps: Vec<(Timestamp, &Arc<Record>, i8)> = Vec::new();
    for (records, sign) in [(old, -1), (new, 1)] {
        let mut before = base;
        for record in records {
            let went = before.filter(|before| before.shown().is_some());
            if !same(went.and_then(|went| went.shown()), record.shown()) {
                steps.extend(went.map(|went| (record.valid_from, went, -sign)));
                steps.extend(record.shown().map(|_| (record.valid_from, record, sign)));
            }
            before = Some(record);
        }
    }
    let shows = |record: &Arc<Record>| record.shown().map(|row| (row.json.clone(), row.incomplete));
    steps.sort_by_cached_key(|(valid_from, record, _)| (*valid_from, shows(record)));
    let mut changes: Vec<RowChange> = Vec::new();
    for same_row in steps.chunk_by(|one, other| one.0 == other.0 && one.1.shown() == other.1.shown()) {
        let weight: i8 = same_row.iter().map(|step| step.2).sum();
        let (valid_from, record, _) = same_row[0];
        if weight != 0 {
            let (aggregate, record) = (Arc::clone(aggregate), Arc::clone(record));
            changes.push(RowChange { aggregate, record, valid_from, weight });
        }
    }
    changes.into_iter()
}
