//! The transactions of one origin.

use std::{
    collections::{BTreeSet, hash_map::Entry},
    sync::Arc,
};

use deltafold_event::{EventId, Timestamp};
use foldhash::HashMap;
use serde::{Deserialize, Serialize};

use super::{
    just_before,
    transaction::{Transaction, end_of_millisecond},
};

/// How many events before the first end are remembered: an origin with a transaction topic tells of ends by then, and
/// most have none.
const WINDOW_EVENTS: u64 = 65_536;
/// One in so many of the transactions that are remembered may be too many for a while: finding the oldest takes time.
const SLACK: usize = 8;

/// The transactions of one origin.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Its server name.
    pub(crate) name: Arc<str>,
    pub(crate) summary: Summary,
    /// By the hash of their ids.
    pub(crate) transactions: HashMap<u64, Transaction>,
    /// Those of them that some moment shows in part.
    limiting: BTreeSet<u64>,
    /// Those that are not written as they are.
    pub(crate) unwritten: Vec<u64>,
    /// Those that were forgotten since they were written.
    pub(crate) forgotten: Vec<u64>,
    /// The summary as it is written.
    pub(crate) written: Option<Summary>,
}

/// When an event is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As it is folded, maybe before the end of its transaction.
    Folded,
    /// After all ends of the log.
    Loaded,
}

/// What is known of an origin beside its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// The version of the commit with the first end.
    first_end: Option<u64>,
    /// How many events came in commits before, and the newest time of those.
    events_before: u64,
    newest_before: Timestamp,
    /// The newest time of all.
    newest: Option<Timestamp>,
    /// The newest epoch of which events were read. What those before it left in part stays so: their database is gone.
    epoch: u32,
    /// What comes first of a transaction at this time or before it is passed over.
    floor: Timestamp,
    /// Whether a transaction is known to have been whole.
    is_known: bool,
    /// Whether one was forgotten that was not whole.
    is_lossy: bool,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            first_end: None,
            events_before: 0,
            newest_before: Timestamp::MIN,
            newest: None,
            epoch: 0,
            floor: Timestamp::MIN,
            is_known: false,
            is_lossy: false,
        }
    }
}

impl Origin {
    /// One of which nothing was read yet.
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            summary: Summary::default(),
            transactions: HashMap::default(),
            limiting: BTreeSet::new(),
            unwritten: Vec::new(),
            forgotten: Vec::new(),
            written: None,
        }
    }

    /// An event of no transaction was read.
    pub(crate) fn reached(&mut self, epoch: u32, time: Timestamp) {
        self.summary.newest = self.summary.newest.max(Some(time));
        self.summary.epoch = self.summary.epoch.max(epoch);
    }

    /// An event of a transaction was read, in a commit of this version. `transaction` is asked for where it matters.
    pub(crate) fn event(
        &mut self,
        transaction: impl FnOnce() -> u64,
        epoch: u32,
        event: EventId,
        time: Timestamp,
        version: u64,
        when: When,
    ) {
        self.reached(epoch, time);
        let summary = &mut self.summary;
        if summary.first_end.is_none_or(|first| version < first) {
            summary.events_before += 1;
            summary.newest_before = summary.newest_before.max(time);
            if summary.has_outgrown_window() {
                if summary.first_end.is_none() && !self.transactions.is_empty() {
                    self.forget_all();
                }
                return;
            }
        }
        let id = transaction();
        let transaction = match self.transactions.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            // Its end is forgotten, or there is none.
            Entry::Vacant(_) if time <= summary.floor && when == When::Loaded => return,
            // The rest of it, which may be later, is passed over too, and it is not the next to be forgotten.
            Entry::Vacant(new) if time <= summary.floor => {
                new.insert(Transaction::passed_over(epoch, summary.newest.unwrap_or(time)))
            }
            Entry::Vacant(new) => new.insert(Transaction::new()),
        };
        summary.is_known |= transaction.see(epoch, beginning(event), time);
        self.note(id);
    }

    /// An event that was read as one of this epoch is of a later one.
    pub(crate) fn take_back(&mut self, transaction: u64, epoch: u32, event: EventId) {
        if let Some(known) = self.transactions.get_mut(&transaction) {
            known.take_back(epoch, beginning(event));
            self.note(transaction);
        }
    }

    /// The end of a transaction was read, in a commit of this version.
    pub(crate) fn end(&mut self, transaction: u64, events: u64, ended_at: Timestamp, version: u64) {
        let summary = &mut self.summary;
        summary.first_end = Some(summary.first_end.map_or(version, |first| first.min(version)));
        let known = match self.transactions.entry(transaction) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if end_of_millisecond(ended_at) <= summary.floor => return,
            Entry::Vacant(new) => new.insert(Transaction::new()),
        };
        summary.is_known |= known.end(events, ended_at);
        self.note(transaction);
    }

    /// Keeps in mind that a transaction is to be written, and whether it limits the moment.
    pub(crate) fn note(&mut self, id: u64) {
        let Some(transaction) = self.transactions.get(&id) else { return };
        if !transaction.is_written && self.unwritten.last() != Some(&id) {
            self.unwritten.push(id);
        }
        match transaction.limits() {
            true => self.limiting.insert(id),
            false => self.limiting.remove(&id),
        };
    }

    /// Forgets what is too much.
    pub(crate) fn settle(&mut self, capacity: usize) {
        let summary = &mut self.summary;
        if summary.first_end.is_some() && summary.has_outgrown_window() && summary.floor < summary.newest_before {
            // Some of these began before ends were told of.
            summary.floor = summary.newest_before;
            self.transactions.values_mut().for_each(|transaction| transaction.pass_over(summary.floor));
            let ids: Vec<u64> = self.transactions.keys().copied().collect();
            ids.into_iter().for_each(|id| self.note(id));
        }
        if self.transactions.len() > capacity + capacity / SLACK {
            self.forget_oldest(self.transactions.len() - capacity);
        }
    }

    fn forget_oldest(&mut self, count: usize) {
        // Those that touched nothing we read may be most; they go first.
        let mut by_age: Vec<(bool, Timestamp, u64)> = self
            .transactions
            .iter()
            .map(|(&id, transaction)| (!transaction.is_empty(), transaction.age(), id))
            .collect();
        by_age.select_nth_unstable(count - 1);
        for &(is_of_use, age, id) in &by_age[..count] {
            let transaction = self.transactions.remove(&id).expect("just listed");
            let is_in_part = transaction.in_part().any(|(epoch, _)| epoch == self.summary.epoch);
            self.summary.is_lossy |= is_in_part && self.summary.first_end.is_some();
            if is_of_use {
                self.summary.floor = self.summary.floor.max(age);
            }
            self.limiting.remove(&id);
            self.forgotten.push(id);
        }
    }

    fn forget_all(&mut self) {
        self.forgotten.extend(std::mem::take(&mut self.transactions).into_keys());
        self.limiting.clear();
    }

    /// The newest time of which it told.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.summary.newest
    }

    /// Whether some of its transactions may not be whole at [`Self::limit`].
    pub(crate) fn is_estimated(&self) -> bool {
        self.summary.newest.is_some()
            && (self.summary.is_lossy
                || !self.is_followed()
                || self.in_part().any(|(epoch, _)| epoch < self.summary.epoch))
    }

    /// Whether its newest transactions are followed one by one.
    fn is_followed(&self) -> bool {
        self.summary.is_known && self.summary.newest > Some(self.summary.floor)
    }

    /// The last moment at which all its transactions are whole; none where all are whole anyway. Where that is not known,
    /// the one before its newest transaction.
    pub(crate) fn limit(&self) -> Option<Timestamp> {
        let begin = self.in_part().filter(|(epoch, _)| *epoch == self.summary.epoch).map(|(_, begin)| begin).min();
        let newest = self.summary.newest.filter(|_| !self.is_followed());
        [begin, newest].into_iter().flatten().min().map(just_before)
    }

    /// The epochs and beginnings of transactions that were read in part, where ends are told at all.
    fn in_part(&self) -> impl Iterator<Item = (u32, Timestamp)> {
        let has_ends = self.summary.first_end.is_some();
        self.limiting().filter(move |_| has_ends).flat_map(Transaction::in_part)
    }

    /// The beginning of a transaction that is not over at a moment.
    pub(crate) fn spanning(&self, at: Timestamp) -> Option<Timestamp> {
        self.summary.first_end?;
        self.limiting().filter_map(|transaction| transaction.spanning(at)).min()
    }

    fn limiting(&self) -> impl Iterator<Item = &Transaction> {
        self.limiting.iter().filter_map(|id| self.transactions.get(id))
    }
}

impl Summary {
    fn has_outgrown_window(&self) -> bool {
        self.events_before > WINDOW_EVENTS
    }
}

/// Enough of an event's id to tell it from the others of its transaction.
fn beginning(event: EventId) -> u64 {
    u64::from_be_bytes(*event.as_bytes().first_chunk().expect("an id has sixteen bytes"))
}
