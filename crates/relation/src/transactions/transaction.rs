//! What is known of one transaction.

use std::collections::BTreeMap;

use deltafold_event::Timestamp;
use serde::{Deserialize, Serialize};

/// How late within its millisecond an end may be.
const REST_OF_MILLISECOND_MICROS: i64 = 999;

/// What is known of the transactions of one id: a database that was set back gives its ids again, so that each epoch may
/// have one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// In the order of the epochs.
    by_epoch: Vec<OfEpoch>,
    /// In the order of their times.
    ends: Vec<End>,
    /// As old as this it is, when some have to be forgotten.
    age: Timestamp,
    /// Whether it is written as it is.
    #[serde(skip)]
    pub(crate) is_written: bool,
}

/// What was read of it in one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OfEpoch {
    epoch: u32,
    seen: Seen,
    /// The times of its events that were read; of none the first is after the second.
    least: Timestamp,
    greatest: Timestamp,
}

/// Which of its events were read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Seen {
    /// These, by the beginnings of their ids, with their times.
    Some(BTreeMap<u64, Timestamp>),
    All,
    /// It does not matter: others of its time were forgotten.
    PassedOver,
}

/// What was told of an end. Which epoch it is of is not told, only when it was: not before the transaction's events, and
/// before those of a later epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// The last moment of its millisecond.
    at: Timestamp,
    /// How many events the transaction has.
    events: u64,
}

impl Transaction {
    /// One of which nothing was read yet.
    pub(crate) fn new() -> Self {
        Self { by_epoch: Vec::new(), ends: Vec::new(), age: Timestamp::MIN, is_written: false }
    }

    /// One that is passed over; as old as `age`.
    pub(crate) fn passed_over(epoch: u32, age: Timestamp) -> Self {
        let of_epoch = OfEpoch { seen: Seen::PassedOver, ..OfEpoch::new(epoch) };
        Self { by_epoch: vec![of_epoch], age, ..Self::new() }
    }

    /// Passes over from now on what began at a moment or before it.
    pub(crate) fn pass_over(&mut self, until: Timestamp) {
        for known in self.by_epoch.iter_mut().filter(|known| known.least <= until) {
            known.seen = Seen::PassedOver;
            self.is_written = false;
        }
    }

    /// An event of it was read. Whether it became whole.
    pub(crate) fn see(&mut self, epoch: u32, event: u64, time: Timestamp) -> bool {
        let index = self.by_epoch.binary_search_by_key(&epoch, |known| known.epoch).unwrap_or_else(|index| {
            self.by_epoch.insert(index, OfEpoch::new(epoch));
            index
        });
        let known = &mut self.by_epoch[index];
        let Seen::Some(seen) = &mut known.seen else { return false };
        if seen.insert(event, time).is_some() {
            return false;
        }
        known.least = known.least.min(time);
        known.greatest = known.greatest.max(time);
        self.age = self.age.max(time);
        self.is_written = false;
        self.complete()
    }

    /// An event that was taken for one of this epoch is not. Where all of the epoch's were read, which those were is not
    /// known any more, and does not matter.
    pub(crate) fn take_back(&mut self, epoch: u32, event: u64) {
        for known in self.by_epoch.iter_mut().filter(|known| known.epoch == epoch) {
            let Seen::Some(seen) = &mut known.seen else { continue };
            if seen.remove(&event).is_some() {
                known.least = seen.values().copied().min().unwrap_or(Timestamp::MAX);
                known.greatest = seen.values().copied().max().unwrap_or(Timestamp::MIN);
                self.is_written = false;
            }
        }
        self.by_epoch.retain(|known| known.least <= known.greatest || known.seen == Seen::PassedOver);
        self.complete();
    }

    /// Its end was read. Whether it became whole. Of two ends at one time the greater count counts: a connector that was
    /// cut within the transaction counts only what it sends afterwards, which may be nothing but the end.
    pub(crate) fn end(&mut self, events: u64, ended_at: Timestamp) -> bool {
        let at = end_of_millisecond(ended_at);
        match self.ends.binary_search_by_key(&at, |end| end.at) {
            Ok(index) if self.ends[index].events >= events => return false,
            Ok(index) => self.ends[index].events = events,
            Err(index) => self.ends.insert(index, End { at, events }),
        }
        self.age = self.age.max(at);
        self.is_written = false;
        self.complete()
    }

    fn complete(&mut self) -> bool {
        let mut has_become_whole = false;
        for known in &mut self.by_epoch {
            let Seen::Some(seen) = &known.seen else { continue };
            let end = self.ends.iter().find(|end| end.at >= known.greatest);
            if end.is_some_and(|end| seen.len() as u64 >= end.events) {
                known.seen = Seen::All;
                has_become_whole = true;
            }
        }
        has_become_whole
    }

    /// Of what was read in part, or it is not known whether it is all: the epoch and the least time.
    pub(crate) fn in_part(&self) -> impl Iterator<Item = (u32, Timestamp)> {
        let in_part = self.by_epoch.iter().filter(|known| matches!(&known.seen, Seen::Some(seen) if !seen.is_empty()));
        in_part.map(|known| (known.epoch, known.least))
    }

    /// Of what has events at that moment or before it, and others after it: the least time.
    pub(crate) fn spanning(&self, at: Timestamp) -> Option<Timestamp> {
        let spans = |known: &&OfEpoch| known.is_long() && known.least <= at && at < known.greatest;
        self.by_epoch.iter().filter(spans).map(|known| known.least).min()
    }

    /// Whether there may be a moment that shows it in part.
    pub(crate) fn limits(&self) -> bool {
        self.in_part().next().is_some() || self.by_epoch.iter().any(OfEpoch::is_long)
    }

    /// Whether no event of it was read, and no end says that there is one.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_epoch.is_empty() && self.ends.iter().all(|end| end.events == 0)
    }

    pub(crate) fn age(&self) -> Timestamp {
        self.age
    }
}

impl OfEpoch {
    fn new(epoch: u32) -> Self {
        Self { epoch, seen: Seen::Some(BTreeMap::new()), least: Timestamp::MAX, greatest: Timestamp::MIN }
    }

    /// Whether its events have several times.
    fn is_long(&self) -> bool {
        self.least < self.greatest && self.seen != Seen::PassedOver
    }
}

/// The last moment of the millisecond that an end names.
pub(crate) fn end_of_millisecond(ended_at: Timestamp) -> Timestamp {
    Timestamp::from_micros(ended_at.as_micros().saturating_add(REST_OF_MILLISECOND_MICROS))
}
