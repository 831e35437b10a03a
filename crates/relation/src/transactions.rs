//! Which transactions are whole, and the newest moment at which all are.
//!
//! A transaction's events are spread over topics and partitions, and arrive in pieces. Where a source tells how many
//! events each transaction has (`$transaction` events, from Debezium's transaction topic), a moment can be given at which
//! no transaction is shown in part: just before the least valid time of those that are not whole. Of what was not read at
//! all nothing is shown, so it does not matter.
//!
//! A database that was restored gives the numbers of its transactions again: what is known is known by epoch
//! (`fold.md`, "Reset"). An end does not say its epoch; it is of the events that are not after it. What a database that is
//! gone left in part holds nothing up, and is said to be estimated.
//!
//! What is known does not depend on the order in which events and ends are taken in, nor on how often: they may be given
//! aggregate by aggregate. That holds as long as an origin's transactions that are remembered are not too many; then those with the
//! least times are forgotten, and what comes later of times like theirs is passed over.

mod origin;
mod state;
#[cfg(test)]
mod tests;
mod transaction;

use std::{collections::BTreeMap, sync::Arc};

use deltafold_event::{Event, Metadata, Operation, RawMembers, StoredEvent, Timestamp, TransactionEnd, control};
use xxhash_rust::xxh3::xxh3_64;

use self::origin::{Origin, When};

/// How many transactions of an origin are remembered, most of them whole: how much may arrive between the first and the
/// last event of a transaction, and what is recognised when it is delivered again. One takes two
/// hundred bytes or so.
const CAPACITY: usize = 65_536;

/// The newest moment at which every transaction read so far is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consistent {
    /// The moment.
    pub at: Timestamp,
    /// Whether that is an estimate: of some origin it is not known how many events its transactions have, or some event
    /// never came.
    pub estimated: bool,
}

/// The transactions of all origins, as far as they were read.
#[derive(Debug, Clone, Default)]
pub struct Transactions {
    /// In the order in which they were met.
    origins: Vec<Origin>,
    /// Their places by server name.
    names: BTreeMap<Arc<str>, usize>,
    /// The origins of the aggregate types that were met: a type is of one table.
    types: BTreeMap<Arc<str>, usize>,
    /// The last of those: events of one type come together.
    last_type: Option<(Arc<str>, usize)>,
    /// How many transactions of each are remembered.
    capacity: Capacity,
}

/// [`CAPACITY`], but for tests.
#[derive(Debug, Clone, Copy)]
struct Capacity(usize);

impl Default for Capacity {
    fn default() -> Self {
        Self(CAPACITY)
    }
}

impl Transactions {
    /// Takes in the ends that a `$transaction` event tells; passes over any other event.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn end(&mut self, stored: &StoredEvent) -> Result<(), serde_json::Error> {
        if &*stored.event.aggregate_type != control::TRANSACTION {
            return Ok(());
        }
        for end in TransactionEnd::from_json(stored.event.after.as_deref().unwrap_or_default())? {
            let transaction = xxh3_64(end.transaction.as_bytes());
            self.origin(&end.origin).end(transaction, end.events, end.ended_at, stored.position.version());
        }
        // There may be any number of them before the first event.
        self.settle();
        Ok(())
    }

    /// Takes in an event of a source's log, of this epoch of its origin, as it is folded; passes over any other. The ends
    /// in its commit were taken in before.
    pub fn event(&mut self, stored: &StoredEvent, epoch: u32) {
        self.take_in(stored, epoch, When::Folded);
    }

    /// Takes in an event of a log in which nothing was restored, where all ends of it were taken in before: aggregate by
    /// aggregate, whatever the number of transactions.
    pub fn loaded(&mut self, stored: &StoredEvent) {
        self.take_in(stored, 0, When::Loaded);
    }

    fn take_in(&mut self, stored: &StoredEvent, epoch: u32, when: When) {
        let event = &stored.event;
        if event.source_position.is_none() || event.is_control() {
            return;
        }
        let origin = self.origin_of(event);
        match transaction_of(event) {
            Some(id) => {
                let id = || xxh3_64(id.as_bytes());
                origin.event(id, epoch, event.id, event.occurred_at, stored.position.version(), when);
            }
            None => origin.reached(epoch, event.occurred_at),
        }
    }

    /// An event that was taken in as one of this epoch is of a later one, or not folded any more.
    pub fn take_back(&mut self, stored: &StoredEvent, epoch: u32) {
        let event = &stored.event;
        if let Some(id) = transaction_of(event).filter(|_| event.source_position.is_some()) {
            self.origin_of(event).take_back(xxh3_64(id.as_bytes()), epoch, event.id);
        }
    }

    /// Forgets what is too much; due once events of some commits were given.
    pub fn settle(&mut self) {
        let Capacity(capacity) = self.capacity;
        self.origins.iter_mut().for_each(|origin| origin.settle(capacity));
    }

    /// The newest moment at which every transaction is whole; none while nothing was read.
    ///
    /// A transaction with events at several times (MariaDB gives the time of each statement) is whole at none of them
    /// but the last. An origin all of whose transactions are whole leaves the moment to the others.
    ///
    /// As more is taken in, it goes back only where a part of an earlier transaction arrives first then. A transaction of
    /// which a record became no event, or whose tables are not all read, holds it until that is mended or so many later
    /// ones came that it is forgotten. Times are those that the source tells: an event whose valid time is a later one,
    /// since its database's clock was set back, may be shown later than the others of its transaction.
    pub fn consistent(&self) -> Option<Consistent> {
        let newest = self.origins.iter().filter_map(Origin::newest).max()?;
        let limits = self.origins.iter().filter_map(Origin::limit);
        let mut at = limits.min().unwrap_or(newest).min(newest);
        // What spans the moment moves it to before its own beginning, where something else may span it.
        while let Some(begin) = self.origins.iter().filter_map(|origin| origin.spanning(at)).min() {
            at = just_before(begin);
        }
        let estimated = self.origins.iter().any(Origin::is_estimated);
        Some(Consistent { at, estimated })
    }

    fn origin(&mut self, name: &str) -> &mut Origin {
        let place = self.place(name);
        &mut self.origins[place]
    }

    fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.names.get(name) {
            return place;
        }
        let name: Arc<str> = name.into();
        self.origins.push(Origin::new(name.clone()));
        self.names.insert(name, self.origins.len() - 1);
        self.origins.len() - 1
    }

    fn origin_of(&mut self, event: &Event) -> &mut Origin {
        let place = match &self.last_type {
            // Logical messages of all origins are of one type.
            _ if event.operation.is_none() => self.place(&server(event)),
            Some((last, place)) if *last == event.aggregate_type => *place,
            _ => {
                let known = self.types.get(&event.aggregate_type).copied();
                let place = known.unwrap_or_else(|| self.place(&server(event)));
                self.types.insert(event.aggregate_type.clone(), place);
                self.last_type = Some((event.aggregate_type.clone(), place));
                place
            }
        };
        &mut self.origins[place]
    }
}

/// The server name in an event's source block; none is the empty one.
fn server(event: &Event) -> String {
    let metadata = Metadata::parse(&event.metadata).unwrap_or_default();
    let source = metadata.source.map_or("", |source| source.get());
    let name = RawMembers::new(source).find(|(name, _)| *name == "name").map(|(_, value)| value);
    name.and_then(|name| serde_json::from_str(name).ok()).unwrap_or_default()
}

/// The transaction that counts an event among its own.
fn transaction_of(event: &Event) -> Option<&str> {
    event.transaction_id.as_deref().filter(|_| !is_second_half(event))
}

/// Whether this is the second of two events made of one record, an update that moved its row to another declared key: the
/// source counts records. Where the source itself makes two, a header says so.
fn is_second_half(event: &Event) -> bool {
    event.operation == Some(Operation::Create)
        && Metadata::tells_move(&event.metadata)
        && !Metadata::parse(&event.metadata)
            .ok()
            .and_then(|metadata| metadata.headers)
            .is_some_and(|headers| headers.get().contains("\"__debezium.oldkey\""))
}

fn just_before(moment: Timestamp) -> Timestamp {
    Timestamp::from_micros(moment.as_micros().saturating_sub(1))
}
