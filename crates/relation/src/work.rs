//! One aggregate while a batch is folded: what the batch has changed so far, over what the memory holds.

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{OrderKey, Timestamp};
use smallvec::SmallVec;

use crate::{Last, Memory, Record};

/// A place in an aggregate's order that the batch has changed.
#[derive(Debug)]
pub(crate) struct Slot {
    /// What the memory holds there.
    pub(crate) stored: Option<Arc<Record>>,
    /// What stands there now.
    pub(crate) now: Option<Arc<Record>>,
}

impl Slot {
    pub(crate) fn order(&self) -> &OrderKey {
        let record = self.now.as_ref().or(self.stored.as_ref());
        &record.expect("a slot has what is stored or what is new").order
    }
}

/// The last record before the instant at which the newest one holds.
#[derive(Debug, Clone)]
struct Below {
    instant: Timestamp,
    record: Option<Arc<Record>>,
}

/// One aggregate while a batch is folded.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) id: Arc<str>,
    /// The newest record in the memory.
    stored_last: Option<Arc<Record>>,
    /// By order.
    slots: SmallVec<[Slot; 2]>,
    last: Option<Arc<Record>>,
    below: Option<Below>,
    pub(crate) revisions: u64,
    /// What stood, before the event that is being folded, at the places it has changed.
    pub(crate) journal: BTreeMap<OrderKey, Option<Arc<Record>>>,
}

impl Work {
    /// With what the memory knows; this is the one time its newest record is read.
    pub(crate) fn load<M: Memory>(memory: &M, id: Arc<str>) -> Result<Self, M::Error> {
        let stored = memory.last(&id)?;
        let revisions = stored.as_ref().map_or(0, |last| last.revisions);
        let stored_last = stored.map(|last| last.record);
        let last = stored_last.clone();
        Ok(Self { id, stored_last, slots: SmallVec::new(), last, below: None, revisions, journal: BTreeMap::new() })
    }

    /// The newest record.
    pub(crate) fn last(&self) -> Option<&Arc<Record>> {
        self.last.as_ref()
    }

    /// The newest record with the aggregate's number of events, as the memory will keep it.
    pub(crate) fn to_last(&self) -> Option<Last> {
        self.last.as_ref().map(|record| Last { record: Arc::clone(record), revisions: self.revisions })
    }

    /// The places that the batch has changed.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Adds a record that stands after all others.
    pub(crate) fn append(&mut self, record: Arc<Record>) {
        if let Some(last) = self.last.replace(Arc::clone(&record))
            && last.valid_from < record.valid_from
        {
            self.below = Some(Below { instant: record.valid_from, record: Some(last) });
        }
        // Places beyond it may have been left in this batch.
        self.put(record.order.clone(), None, Some(record));
    }

    fn put(&mut self, order: OrderKey, current: Option<&Arc<Record>>, now: Option<Arc<Record>>) {
        let at = self.slots.partition_point(|slot| *slot.order() < order);
        match self.slots.get_mut(at) {
            Some(slot) if *slot.order() == order => {
                slot.now = now;
                if slot.now.is_none() && slot.stored.is_none() {
                    self.slots.remove(at);
                }
            }
            _ => self.slots.insert(at, Slot { stored: current.cloned(), now }),
        }
    }

    /// Puts or removes the record at a place. `current` is what stands there.
    pub(crate) fn set<M: Memory>(
        &mut self,
        memory: &M,
        current: Option<&Arc<Record>>,
        now: Option<Arc<Record>>,
    ) -> Result<(), M::Error> {
        let record = now.as_ref().or(current).expect("a place that is set has had a record, or gets one");
        let order = record.order.clone();
        self.below = None;
        self.journal.entry(order.clone()).or_insert_with(|| current.cloned());
        self.put(order.clone(), current, now.clone());
        match now {
            Some(record) if self.last.as_ref().is_none_or(|last| last.order <= order) => self.last = Some(record),
            None if self.last.as_ref().is_some_and(|last| last.order == order) => {
                let hint = self.last.as_ref().map_or(Timestamp::MAX, |last| last.valid_from);
                self.last = self.before(memory, &order, hint)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Forgets what [`Self::earlier`] found, while records were not where they belong.
    pub(crate) fn forget_instant(&mut self) {
        self.below = None;
    }

    /// The record with the greatest order below the given one.
    pub(crate) fn before<M: Memory>(
        &self,
        memory: &M,
        order: &OrderKey,
        hint: Timestamp,
    ) -> Result<Option<Arc<Record>>, M::Error> {
        let at = self.slots.partition_point(|slot| slot.order() < order);
        let changed = self.slots[..at].iter().rev().find_map(|slot| slot.now.as_ref());
        let Some(stored_last) = self.stored_last.as_ref() else { return Ok(changed.cloned()) };
        if stored_last.order < *order {
            return self.later(memory, changed, Arc::clone(stored_last));
        }
        match memory.before(&self.id, order, hint)? {
            Some(stored) => self.later(memory, changed, stored.into()),
            None => Ok(changed.cloned()),
        }
    }

    /// The last record that is valid from before a moment.
    pub(crate) fn earlier<M: Memory>(
        &mut self,
        memory: &M,
        moment: Timestamp,
    ) -> Result<Option<Arc<Record>>, M::Error> {
        if let Some(below) = &self.below
            && below.instant == moment
        {
            return Ok(below.record.clone());
        }
        let valid_before = |slot: &&Slot| slot.now.as_ref().is_some_and(|now| now.valid_from < moment);
        let changed = self.slots.iter().rev().find(valid_before).and_then(|slot| slot.now.as_ref());
        let found = match self.stored_last.as_ref() {
            None => changed.cloned(),
            Some(last) if last.valid_from < moment => self.later(memory, changed, Arc::clone(last))?,
            Some(_) => match memory.earlier(&self.id, moment)? {
                Some(stored) => self.later(memory, changed, stored.into())?,
                None => changed.cloned(),
            },
        };
        if self.last.as_ref().is_some_and(|last| last.valid_from == moment) {
            self.below = Some(Below { instant: moment, record: found.clone() });
        }
        Ok(found)
    }

    /// The later of a record that the batch has put and the last stored one, from `stored` downwards, whose place
    /// the batch has not changed.
    fn later<M: Memory>(
        &self,
        memory: &M,
        changed: Option<&Arc<Record>>,
        mut stored: Arc<Record>,
    ) -> Result<Option<Arc<Record>>, M::Error> {
        loop {
            if let Some(changed) = changed
                && changed.order >= stored.order
            {
                return Ok(Some(Arc::clone(changed)));
            }
            if self.slots.binary_search_by(|slot| slot.order().cmp(&stored.order)).is_err() {
                return Ok(Some(stored));
            }
            match memory.before(&self.id, &stored.order, stored.valid_from)? {
                Some(before) => stored = before.into(),
                None => return Ok(changed.cloned()),
            }
        }
    }

    /// The log events that stand at the source position of `order`, first to last.
    pub(crate) fn at_source_position<M: Memory>(
        &self,
        memory: &M,
        order: &OrderKey,
        hint: Timestamp,
    ) -> Result<Vec<Arc<Record>>, M::Error> {
        let is_there = |other: &OrderKey| other.epoch == order.epoch && other.source_position == order.source_position;
        let mut found = Vec::new();
        if self.last.as_ref().is_none_or(|last| last.order < *order && !is_there(&last.order)) {
            return Ok(found);
        }
        let mut place = OrderKey { offset: i64::MIN, arrival: None, ..order.clone() };
        let mut cursor = Cursor::new(memory, hint);
        let mut inclusive = true;
        while let Some(record) = cursor.next(self, &place, inclusive)?.filter(|record| is_there(&record.order)) {
            place = record.order.clone();
            inclusive = false;
            found.push(record);
        }
        Ok(found)
    }
}

/// Reads an aggregate's records upwards, a chunk of the memory's at a time. What the batch changes behind it does
/// not disturb it.
pub(crate) struct Cursor<'a, M> {
    memory: &'a M,
    hint: Timestamp,
    chunk: std::collections::VecDeque<Arc<Record>>,
    /// How far the chunks reach so far.
    read_to: Option<OrderKey>,
    at_end: bool,
    limit: usize,
}

impl<'a, M: Memory> Cursor<'a, M> {
    /// `hint` guesses the valid time where it starts.
    pub(crate) fn new(memory: &'a M, hint: Timestamp) -> Self {
        Self { memory, hint, chunk: std::collections::VecDeque::new(), read_to: None, at_end: false, limit: 8 }
    }

    /// The first record after a place (or at it). Places never go down from call to call.
    pub(crate) fn next(
        &mut self,
        work: &Work,
        place: &OrderKey,
        inclusive: bool,
    ) -> Result<Option<Arc<Record>>, M::Error> {
        let is_behind = |order: &OrderKey| order < place || (!inclusive && order == place);
        let stored = loop {
            match self.chunk.front() {
                Some(record)
                    if is_behind(&record.order)
                        || work.slots.binary_search_by(|slot| slot.order().cmp(&record.order)).is_ok() =>
                {
                    self.chunk.pop_front();
                }
                Some(record) => break Some(record),
                None if self.at_end => break None,
                None => self.fill(work, place)?,
            }
        };
        let at = work.slots.partition_point(|slot| is_behind(slot.order()));
        let changed = work.slots[at..].iter().find_map(|slot| slot.now.as_ref());
        Ok(match (stored, changed) {
            (Some(stored), Some(changed)) if changed.order < stored.order => Some(Arc::clone(changed)),
            (Some(stored), _) => Some(Arc::clone(stored)),
            (None, changed) => changed.cloned(),
        })
    }

    fn fill(&mut self, work: &Work, place: &OrderKey) -> Result<(), M::Error> {
        let start = match &self.read_to {
            Some(read_to) => read_to.max(place),
            None => place,
        };
        let Some(last) = work.stored_last.as_ref().filter(|last| last.order >= *start) else {
            self.at_end = true;
            return Ok(());
        };
        if last.order == *start {
            self.chunk.extend((self.read_to.as_ref() != Some(start)).then(|| Arc::clone(last)));
            self.at_end = true;
            return Ok(());
        }
        let records = self.memory.from(&work.id, start, self.hint, self.limit)?;
        self.at_end = records.len() < self.limit;
        self.limit = (self.limit * 4).min(1024);
        for record in records {
            if self.read_to.as_ref().is_none_or(|read_to| record.order > *read_to) {
                self.hint = record.valid_from;
                self.read_to = Some(record.order.clone());
                self.chunk.push_back(record.into());
            }
        }
        Ok(())
    }
}
