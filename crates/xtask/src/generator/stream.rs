//! The stream itself: a small database that is changed at random, and the log of it with all that happens to a log on its way.

use super::delivery::{Delivery, Entry};
use super::line::{Line, Moved, Place, Snapshot, write_poison, write_tombstone};
use super::random::{Random, Zipf};
use super::row::{Basket, Order};
use super::{BEGIN_US, Change, Config, Counts, Generated, Keys, Model};
use std::io::{self, Write};

/// How far the connector's clock is ahead of the commit it tells of.
const LAG_US: i64 = 1_500_000;
/// An event is re-delivered, or arrives late, at most this many lines after its place.
const LONGEST_DELAY_LINES: u64 = 5_000;
/// Ids of deleted orders that may come back.
const REMEMBERED_DELETES: usize = 1_000;

pub(super) struct Stream<'a> {
    config: Config,
    delivery: Delivery<'a>,
    random: Random,
    zipf: Zipf,
    counts: Counts,
    model: Model,
    next_order: u64,
    next_basket: u64,
    deleted: Vec<u64>,
    place: Place,
    left_in_transaction: u64,
    /// The row whose last event was held back: it is changed again at once, so that the held one arrives late.
    follow_up: Option<usize>,
}

/// A log event at the current place; `before` and `after` are JSON.
struct Event<'e> {
    table: &'static str,
    key: Option<u64>,
    op: char,
    before: &'e str,
    after: &'e str,
    moved: Option<Moved>,
    first_of: Option<Entry>,
    late: bool,
}

impl<'e> Event<'e> {
    fn new(table: &'static str, key: u64, op: char) -> Self {
        Self { table, key: Some(key), op, before: "null", after: "null", moved: None, first_of: None, late: false }
    }

    fn before(self, before: &'e str) -> Self {
        Self { before, ..self }
    }

    fn after(self, after: &'e str) -> Self {
        Self { after, ..self }
    }

    fn first_of(self, first_of: Option<Entry>) -> Self {
        Self { first_of, ..self }
    }

    fn moved(self, moved: Moved) -> Self {
        Self { moved: Some(moved), ..self }
    }
}

impl<'a> Stream<'a> {
    pub(super) fn new(config: &Config, out: &'a mut dyn Write) -> Self {
        Self {
            config: *config,
            delivery: Delivery::new(out),
            random: Random::new(config.seed),
            zipf: Zipf::default(),
            counts: Counts::default(),
            model: Model::default(),
            next_order: Model::HOT,
            next_basket: 1,
            deleted: Vec::new(),
            place: Place { lsn: 26_492_464, last_commit_lsn: 26_490_000, transaction: 730, occurred_us: BEGIN_US },
            left_in_transaction: 0,
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
        let (lines, first_lines) = self.delivery.finish()?;
        for ((id, index), line) in first_lines {
            self.model.history.get_mut(&id).expect("only what is recorded is told of")[index].line = line;
        }
        Ok(Generated { counts: Counts { lines, ..self.counts }, model: self.model })
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
        let first_of = self.record(id, Some(&order));
        self.model.orders.push(order);
        self.log(Event::new("orders", id, 'c').after(&after).first_of(first_of))
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
        let first_of = self.record(id, Some(&order));
        self.counts.unchanged += u64::from(note_unchanged);
        self.follow_up = late.then_some(index);
        self.log(Event { late, ..Event::new("orders", id, 'u').after(&after).first_of(first_of) })
    }

    fn delete_order(&mut self) -> io::Result<()> {
        let index = self.some_order(1);
        let order = self.model.orders.swap_remove(index);
        if self.deleted.len() < REMEMBERED_DELETES {
            self.deleted.push(order.id);
        }
        let first_of = self.record(order.id, None);
        let mut before = String::new();
        order.write_before(&mut before);
        self.log(Event::new("orders", order.id, 'd').before(&before).first_of(first_of))?;
        self.tombstone(order.id, None)
    }

    /// A key update: a delete of the old key and a create of the new one, at one position.
    fn move_order(&mut self) -> io::Result<()> {
        let index = self.some_order(1);
        let (from, to) = (self.model.orders[index].id, self.next_order);
        self.next_order += 1;
        let mut before = String::new();
        self.model.orders[index].write_before(&mut before);
        let first_of = self.record(from, None);
        self.log(Event::new("orders", from, 'd').before(&before).moved(Moved::To(to)).first_of(first_of))?;
        self.tombstone(from, Some(Moved::To(to)))?;
        let order = &mut self.model.orders[index];
        order.id = to;
        order.updated_us = self.place.occurred_us;
        // Under default identity the create carries placeholders too: only the old key's image has the text.
        let note_unchanged = self.counts.moves.is_multiple_of(2);
        let mut after = String::new();
        order.write_json(&mut after, note_unchanged);
        let order = order.clone();
        let first_of = self.record(to, Some(&order));
        self.counts.moves += 1;
        self.counts.unchanged += u64::from(note_unchanged);
        self.log(Event::new("orders", to, 'c').after(&after).moved(Moved::From(from)).first_of(first_of))
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
        let first_of = if snapshot == Snapshot::Incremental {
            place.occurred_us += LAG_US;
            None
        } else {
            self.record(order.id, Some(order))
        };
        let after = order.to_json();
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
        self.delivery.write(line.to_text().as_bytes(), first_of)
    }

    fn create_basket(&mut self) -> io::Result<()> {
        let basket = Basket::new(self.next_basket, self.place.occurred_us, &mut self.random);
        self.next_basket += 1;
        let (id, after) = (basket.id, basket.to_json());
        self.model.baskets.push(basket);
        self.log(Event::new("baskets", id, 'c').after(&after))
    }

    fn update_basket(&mut self) -> io::Result<()> {
        if self.model.baskets.is_empty() {
            return self.create_basket();
        }
        let index = self.random.below(self.model.baskets.len() as u64) as usize;
        let basket = &mut self.model.baskets[index];
        basket.change(self.place.occurred_us, &mut self.random);
        let (id, after) = (basket.id, basket.to_json());
        self.log(Event::new("baskets", id, 'u').after(&after))
    }

    fn delete_basket(&mut self) -> io::Result<()> {
        if self.model.baskets.is_empty() {
            return self.create_basket();
        }
        let index = self.random.below(self.model.baskets.len() as u64) as usize;
        let basket = self.model.baskets.swap_remove(index);
        let mut before = String::new();
        basket.write_before(&mut before);
        self.log(Event::new("baskets", basket.id, 'd').before(&before))?;
        self.tombstone(basket.id, None)
    }

    fn truncate(&mut self) -> io::Result<()> {
        self.model.baskets.clear();
        self.log(Event { key: None, ..Event::new("baskets", 0, 't') })
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

    /// Notes what happened to a watched order; its line is filled in at the end.
    fn record(&mut self, id: u64, row: Option<&Order>) -> Option<Entry> {
        if !Model::watched(id) {
            return None;
        }
        let changes = self.model.history.entry(id).or_default();
        changes.push(Change { occurred_us: self.place.occurred_us, row: row.cloned(), line: 0 });
        Some((id, changes.len() - 1))
    }

    fn log(&mut self, event: Event<'_>) -> io::Result<()> {
        let Event { table, key, op, before, after, moved, first_of, late } = event;
        let (place, sent_us) = (self.place, self.place.occurred_us + LAG_US);
        let line = Line { table, key, op, before, after, place, snapshot: Snapshot::No, moved, sent_us };
        let text = line.to_text();
        self.counts.distinct += 1;
        self.count(op);
        if late {
            self.counts.late += 1;
            let by = self.some_delay();
            self.delivery.delay(text, by, first_of);
            return Ok(());
        }
        if self.random.chance(101, 10_000) && self.counts.events + 1 < self.config.events {
            let again = Line { sent_us: sent_us + 60_000_000, ..line };
            self.counts.redelivered += 1;
            self.count(op);
            let by = self.some_delay();
            self.delivery.delay(again.to_text(), by, None);
        }
        self.delivery.write(text.as_bytes(), first_of)
    }

    fn some_delay(&mut self) -> u64 {
        2 + self.random.below(LONGEST_DELAY_LINES)
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
        self.delivery.write(text.as_bytes(), None)
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
        let mut bytes = Vec::new();
        write_poison(self.counts.poison, &line.to_text(), &mut bytes);
        self.counts.poison += 1;
        self.delivery.write(&bytes, None)
    }
}
