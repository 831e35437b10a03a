//! The stream itself: a small database that is changed at random, and the log of it with all that happens to a log on its way.

use super::line::{Line, Moved, Place, Snapshot, write_poison, write_tombstone};
use super::random::{Random, Zipf};
use super::row::{Basket, Order};
use super::{BEGIN_US, Change, Config, Counts, Generated, Keys, Model};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

/// How far the connector's clock is ahead of the commit it tells of.
const LAG_US: i64 = 1_500_000;
/// An event is re-delivered, or arrives late, at most this many lines after its place.
const LONGEST_DELAY_LINES: u64 = 5_000;
/// Ids of deleted orders that may come back.
const REMEMBERED_DELETES: usize = 1_000;

pub(super) struct Stream<'a> {
    config: Config,
    out: &'a mut dyn Write,
    random: Random,
    zipf: Zipf,
    counts: Counts,
    model: Model,
    next_order: u64,
    next_basket: u64,
    deleted: Vec<u64>,
    place: Place,
    left_in_transaction: u64,
    delayed: BinaryHeap<Reverse<Delayed>>,
    /// The row whose last event was held back: it is changed again at once, so that the held one arrives late.
    follow_up: Option<usize>,
}

/// A line to be written once `due` lines are.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delayed {
    due: u64,
    /// Breaks ties, so that the order does not depend on the heap.
    number: u64,
    text: String,
    /// The history entry whose first delivery this is.
    first_of: Option<(u64, usize)>,
}

/// What becomes of a line besides being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Plain,
    Late,
}

impl<'a> Stream<'a> {
    pub(super) fn new(config: &Config, out: &'a mut dyn Write) -> Self {
        Self {
            config: *config,
            out,
            random: Random::new(config.seed),
            zipf: Zipf::default(),
            counts: Counts::default(),
            model: Model::default(),
            next_order: Model::HOT,
            next_basket: 1,
            deleted: Vec::new(),
            place: Place { lsn: 26_492_464, last_commit_lsn: 26_490_000, transaction: 730, occurred_us: BEGIN_US },
            left_in_transaction: 0,
            delayed: BinaryHeap::new(),
            follow_up: None,
        }
    }

    pub(super) fn run(mut self) -> io::Result<Generated> {
        self.initial_snapshot()?;
        let period = |longest: u64| longest.min(self.config.events / 4).max(1);
        let (truncates, moves, poison) = (period(50_000), period(2_000), period(10_000));
        let [mut next_truncate, mut next_move, mut next_poison] = [truncates, moves, poison].map(|period| period / 2);
        while self.counts.events < self.config.events {
            self.advance();
            let made = self.counts.events;
            self.counts.added_columns = made * 4 / self.config.events;
            if self.follow_up.is_some() {
                self.update_order()?;
            } else if made >= next_truncate && !self.model.baskets.is_empty() {
                next_truncate += truncates;
                self.truncate()?;
            } else if made >= next_move && made + 1 < self.config.events {
                next_move += moves;
                self.move_order()?;
            } else {
                self.change()?;
            }
            if made >= next_poison {
                next_poison += poison;
                self.poison()?;
            }
        }
        while let Some(Reverse(delayed)) = self.delayed.pop() {
            self.deliver(delayed)?;
        }
        self.out.flush()?;
        Ok(Generated { counts: self.counts, model: self.model })
    }

    /// Most of the 2 % of snapshot rows stand before everything else, as a connector's first snapshot does.
    fn initial_snapshot(&mut self) -> io::Result<()> {
        let rows = self.config.events * 19 / 1000;
        for number in 1..=rows {
            let mut order = Order::new(self.next_order, BEGIN_US, &mut self.random);
            order.placed_us -= self.random.below(86_400_000_000) as i64;
            self.next_order += 1;
            let word = match number {
                1 => "first",
                number if number == rows => "last",
                _ => "true",
            };
            self.read_order(&order, Snapshot::Initial(word))?;
            self.model.orders.push(order);
        }
        Ok(())
    }

    /// The next change's place in the log. The changes of a transaction share its commit time.
    fn advance(&mut self) {
        self.place.lsn += 64 + self.random.below(400);
        if self.left_in_transaction == 0 {
            self.left_in_transaction = 1 + self.random.below(3);
            self.place.last_commit_lsn = self.place.lsn - 1 - self.random.below(60);
            self.place.transaction += 1;
            self.place.occurred_us += 1 + self.random.below(50_000) as i64;
        }
        self.left_in_transaction -= 1;
    }

    fn change(&mut self) -> io::Result<()> {
        let dice = self.random.below(1000);
        let hot = self.config.keys == Keys::Hot && self.random.chance(1, 100);
        let basket = !hot && self.random.chance(1, 100);
        match dice {
            _ if hot => self.update_order(),
            0 => self.read_beside_log(),
            1..=255 if basket => self.create_basket(),
            1..=255 => self.create_order(),
            256..=337 if basket => self.delete_basket(),
            256..=337 => self.delete_order(),
            _ if basket => self.update_basket(),
            _ => self.update_order_of(None),
        }
    }

    fn create_order(&mut self) -> io::Result<()> {
        let again = self.deleted.len() > 10 && self.random.chance(1, 50);
        let id = if again {
            self.counts.recreated += 1;
            let index = self.random.below(self.deleted.len() as u64) as usize;
            self.deleted.swap_remove(index)
        } else {
            self.next_order += 1;
            self.next_order - 1
        };
        let mut order = Order::new(id, self.place.occurred_us, &mut self.random);
        order.fill_columns(self.counts.added_columns, &mut self.random);
        let mut after = String::new();
        order.write_json(&mut after, false);
        self.record(id, Some(&order));
        self.model.orders.push(order);
        self.log("orders", Some(id), 'c', "null", &after, None, Fate::Plain)
    }

    /// The follow-up of a late event, or else the hot row.
    fn update_order(&mut self) -> io::Result<()> {
        let index = self.follow_up.take();
        self.update_order_of(Some(index.unwrap_or(0)))
    }

    fn update_order_of(&mut self, index: Option<usize>) -> io::Result<()> {
        let late = index.is_none() && self.random.chance(77, 10_000) && self.counts.events + 1 < self.config.events;
        let index = index.unwrap_or_else(|| self.some_order(0));
        let order = &mut self.model.orders[index];
        let note_unchanged = match self.random.below(10) {
            0 => true,
            1 | 2 => {
                order.note = self.random.next();
                false
            }
            _ => false,
        };
        order.change(self.place.occurred_us, &mut self.random);
        order.fill_columns(self.counts.added_columns, &mut self.random);
        let (id, mut after) = (order.id, String::new());
        order.write_json(&mut after, note_unchanged);
        let order = order.clone();
        self.record(id, Some(&order));
        self.counts.unchanged += u64::from(note_unchanged);
        self.follow_up = late.then_some(index);
        self.log("orders", Some(id), 'u', "null", &after, None, if late { Fate::Late } else { Fate::Plain })
    }

    fn delete_order(&mut self) -> io::Result<()> {
        let index = self.some_order(1);
        let order = self.model.orders.swap_remove(index);
        if self.deleted.len() < REMEMBERED_DELETES {
            self.deleted.push(order.id);
        }
        self.record(order.id, None);
        let mut before = String::new();
        order.write_before(&mut before);
        self.log("orders", Some(order.id), 'd', &before, "null", None, Fate::Plain)?;
        self.tombstone(order.id, None)
    }

    /// A key update: a delete of the old key and a create of the new one, at one position.
    fn move_order(&mut self) -> io::Result<()> {
        let index = self.some_order(1);
        let (from, to) = (self.model.orders[index].id, self.next_order);
        self.next_order += 1;
        let mut before = String::new();
        self.model.orders[index].write_before(&mut before);
        self.record(from, None);
        self.log("orders", Some(from), 'd', &before, "null", Some(Moved::To(to)), Fate::Plain)?;
        self.tombstone(from, Some(Moved::To(to)))?;
        let order = &mut self.model.orders[index];
        order.id = to;
        order.updated_us = self.place.occurred_us;
        let mut after = String::new();
        order.write_json(&mut after, false);
        let order = order.clone();
        self.record(to, Some(&order));
        self.counts.moves += 1;
        self.log("orders", Some(to), 'c', "null", &after, Some(Moved::From(from)), Fate::Plain)
    }

    /// An incremental snapshot reads a row while the log goes on.
    fn read_beside_log(&mut self) -> io::Result<()> {
        let index = self.some_order(0);
        let order = self.model.orders[index].clone();
        self.counts.read_beside_log += 1;
        self.read_order(&order, Snapshot::Incremental)
    }

    fn read_order(&mut self, order: &Order, snapshot: Snapshot) -> io::Result<()> {
        self.counts.read += 1;
        self.counts.events += 1;
        self.counts.distinct += 1;
        let mut place = self.place;
        if snapshot == Snapshot::Incremental {
            place.occurred_us += LAG_US;
        } else {
            self.record(order.id, Some(order));
        }
        let (mut after, mut text) = (String::new(), String::new());
        order.write_json(&mut after, false);
        let line = Line {
            table: "orders",
            key: Some(order.id),
            op: 'r',
            before: "null",
            after: &after,
            place,
            snapshot,
            moved: None,
            sent_us: self.place.occurred_us + LAG_US,
        };
        line.write(&mut text);
        self.note_line(order.id, self.counts.lines + 1);
        self.write(&text)
    }

    fn create_basket(&mut self) -> io::Result<()> {
        let basket = Basket::new(self.next_basket, self.place.occurred_us, &mut self.random);
        self.next_basket += 1;
        let (id, after) = (basket.id, basket.to_json());
        self.model.baskets.push(basket);
        self.log("baskets", Some(id), 'c', "null", &after, None, Fate::Plain)
    }

    fn update_basket(&mut self) -> io::Result<()> {
        if self.model.baskets.is_empty() {
            return self.create_basket();
        }
        let index = self.random.below(self.model.baskets.len() as u64) as usize;
        let basket = &mut self.model.baskets[index];
        basket.change(self.place.occurred_us, &mut self.random);
        let (id, after) = (basket.id, basket.to_json());
        self.log("baskets", Some(id), 'u', "null", &after, None, Fate::Plain)
    }

    fn delete_basket(&mut self) -> io::Result<()> {
        if self.model.baskets.is_empty() {
            return self.create_basket();
        }
        let index = self.random.below(self.model.baskets.len() as u64) as usize;
        let basket = self.model.baskets.swap_remove(index);
        let mut before = String::new();
        basket.write_before(&mut before);
        self.log("baskets", Some(basket.id), 'd', &before, "null", None, Fate::Plain)?;
        self.tombstone(basket.id, None)
    }

    fn truncate(&mut self) -> io::Result<()> {
        self.model.baskets.clear();
        self.log("baskets", None, 't', "null", "null", None, Fate::Plain)
    }

    /// A position in `orders`, at or after `first`, by the spread of keys asked for.
    fn some_order(&mut self, first: usize) -> usize {
        let count = self.model.orders.len() as u64 - first as u64;
        let rank = if self.config.keys == Keys::Zipf && first == 0 {
            self.zipf.resize(count);
            self.zipf.rank(&mut self.random)
        } else {
            self.random.below(count)
        };
        rank as usize + first
    }

    /// Notes what happened to a watched order; its line is filled in when it is written.
    fn record(&mut self, id: u64, row: Option<&Order>) {
        if Model::watched(id) {
            let change = Change { occurred_us: self.place.occurred_us, row: row.cloned(), line: 0 };
            self.model.history.entry(id).or_default().push(change);
        }
    }

    /// The newest history entry of `id` is first delivered by line `line`.
    fn note_line(&mut self, id: u64, line: u64) {
        if let Some(change) = self.model.history.get_mut(&id).and_then(|changes| changes.last_mut())
            && change.line == 0
        {
            change.line = line;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one event, each named at its call")]
    fn log(
        &mut self,
        table: &'static str,
        key: Option<u64>,
        op: char,
        before: &str,
        after: &str,
        moved: Option<Moved>,
        fate: Fate,
    ) -> io::Result<()> {
        let (place, sent_us) = (self.place, self.place.occurred_us + LAG_US);
        let line = Line { table, key, op, before, after, place, snapshot: Snapshot::No, moved, sent_us };
        let mut text = String::with_capacity(1_100);
        line.write(&mut text);
        self.counts.distinct += 1;
        self.count(op);
        if fate == Fate::Late {
            self.counts.late += 1;
            let first_of = key.filter(|id| Model::watched(*id)).map(|id| (id, self.model.history[&id].len() - 1));
            self.delay(text, first_of);
            return Ok(());
        }
        if self.random.chance(101, 10_000) && self.counts.events + 1 < self.config.events {
            let again = Line { sent_us: sent_us + 60_000_000, ..line };
            let mut text = String::with_capacity(1_100);
            again.write(&mut text);
            self.counts.redelivered += 1;
            self.count(op);
            self.delay(text, None);
        }
        if let Some(id) = key.filter(|_| table == "orders") {
            self.note_line(id, self.counts.lines + 1);
        }
        self.write(&text)
    }

    fn count(&mut self, op: char) {
        self.counts.events += 1;
        *match op {
            'c' => &mut self.counts.created,
            'u' => &mut self.counts.updated,
            'd' => &mut self.counts.deleted,
            't' => &mut self.counts.truncates,
            _ => unreachable!("log events are c, u, d and t"),
        } += 1;
    }

    fn tombstone(&mut self, key: u64, moved: Option<Moved>) -> io::Result<()> {
        self.counts.tombstones += 1;
        let mut text = String::new();
        write_tombstone(key, moved, &mut text);
        self.write(&text)
    }

    fn poison(&mut self) -> io::Result<()> {
        let order = &self.model.orders[0];
        let after = order.to_json();
        let line = Line {
            table: "orders",
            key: Some(order.id),
            op: 'u',
            before: "null",
            after: &after,
            place: self.place,
            snapshot: Snapshot::No,
            moved: None,
            sent_us: self.place.occurred_us + LAG_US,
        };
        let (mut text, mut bytes) = (String::new(), Vec::new());
        line.write(&mut text);
        write_poison(self.counts.poison, &text, &mut bytes);
        self.counts.poison += 1;
        self.counts.lines += 1;
        self.out.write_all(&bytes)
    }

    fn delay(&mut self, text: String, first_of: Option<(u64, usize)>) {
        let due = self.counts.lines + 2 + self.random.below(LONGEST_DELAY_LINES);
        self.delayed.push(Reverse(Delayed { due, number: self.counts.events, text, first_of }));
    }

    /// Writes a line, and the delayed ones that are due after it.
    fn write(&mut self, text: &str) -> io::Result<()> {
        self.counts.lines += 1;
        self.out.write_all(text.as_bytes())?;
        while self.delayed.peek().is_some_and(|Reverse(delayed)| delayed.due <= self.counts.lines) {
            let Reverse(delayed) = self.delayed.pop().expect("just seen");
            self.deliver(delayed)?;
        }
        Ok(())
    }

    fn deliver(&mut self, delayed: Delayed) -> io::Result<()> {
        self.counts.lines += 1;
        if let Some((id, index)) = delayed.first_of {
            self.model.history.get_mut(&id).expect("it has this entry")[index].line = self.counts.lines;
        }
        self.out.write_all(delayed.text.as_bytes())
    }
}
