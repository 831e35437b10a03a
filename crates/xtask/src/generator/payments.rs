//! Accounts and their payments: a stream to join, without the oddities of the others.

use super::line::{Line, Place, Snapshot, write_tombstone};
use super::random::Random;
use super::{BEGIN_US, row::push};
use std::collections::BTreeMap;
use std::io::{self, Write};

const TIERS: [&str; 4] = ["basic", "silver", "gold", "platinum"];
const STATES: [&str; 4] = ["authorized", "captured", "refunded", "disputed"];
const WORDS: [&str; 8] = ["rent", "invoice", "groceries", "travel", "subscription", "gift", "repair", "lunch"];

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub struct Payments {
    /// The same seed gives the same bytes.
    pub seed: u64,
    /// How many accounts there are, all of them opened first.
    pub accounts: u64,
    /// How many payments the first of them makes before anything else.
    pub of_first: u64,
    /// How many payments there are at most, made for any account before anything else: later ones take the place of those
    /// taken back. 0: each is new, and none is made before.
    pub most: u64,
    /// How many changes follow: 55 % payments, 30 % changes of one, 5 % of them taken back, 10 % changes of an account.
    pub changes: u64,
}

/// The database that a stream speaks of, as it is in the end.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Holder and tier by account.
    pub accounts: BTreeMap<u64, (String, &'static str)>,
    /// Account, cents and state by payment.
    pub payments: BTreeMap<u64, (u64, u64, &'static str)>,
}

/// Where the stream is.
struct Clock {
    changes: u64,
}

impl Clock {
    fn next(&mut self) -> Place {
        let Self { changes } = self;
        *changes += 1;
        let lsn = 26_000_000 + *changes * 200;
        Place {
            lsn,
            last_commit_lsn: lsn - 200,
            transaction: 700 + *changes,
            occurred_us: BEGIN_US + *changes as i64 * 1_000,
        }
    }
}

impl Payments {
    /// Writes the stream.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn generate(&self, out: &mut impl Write) -> io::Result<Ledger> {
        let mut random = Random::new(self.seed);
        let (mut ledger, mut clock) = (Ledger::default(), Clock { changes: 0 });
        for id in 1..=self.accounts {
            ledger.accounts.insert(id, (holder(id, &mut random), random.pick(&TIERS)));
            account(&ledger, id, 'c', clock.next(), out)?;
        }
        // In the order of nothing, so that one of them is found at once.
        let (mut open, mut next): (Vec<u64>, u64) = (Vec::new(), 1);
        for _ in 0..self.of_first {
            ledger.payments.insert(next, (1, 100 + random.below(90_000), STATES[0]));
            payment(&ledger, next, 'c', clock.next(), &mut random, out)?;
            open.push(next);
            next += 1;
        }
        for id in 1..=self.most {
            ledger.payments.insert(id, (1 + random.below(self.accounts), 100 + random.below(90_000), STATES[0]));
            payment(&ledger, id, 'c', clock.next(), &mut random, out)?;
            open.push(id);
        }
        for _ in 0..self.changes {
            let place = clock.next();
            let which = random.below(open.len().max(1) as u64) as usize;
            match random.below(100) {
                55..85 if !open.is_empty() => {
                    let id = open[which];
                    let payment = ledger.payments.get_mut(&id).expect("it is open");
                    payment.2 = random.pick(&STATES);
                    self::payment(&ledger, id, 'u', place, &mut random, out)?;
                }
                85..90 if !open.is_empty() => {
                    let id = open.swap_remove(which);
                    ledger.payments.remove(&id);
                    let before = format!("{{\"id\":{id}}}");
                    line("payments", id, 'd', &before, "null", place, out)?;
                    let mut text = String::new();
                    write_tombstone(id, None, &mut text);
                    out.write_all(text.as_bytes())?;
                }
                90.. => {
                    let id = 1 + random.below(self.accounts);
                    ledger.accounts.insert(id, (holder(id, &mut random), random.pick(&TIERS)));
                    account(&ledger, id, 'u', place, out)?;
                }
                _ => {
                    let id = match self.most {
                        0 => next,
                        most => 1 + random.below(most),
                    };
                    let account = 1 + random.below(self.accounts);
                    let made = (account, 100 + random.below(90_000), STATES[0]);
                    let before = ledger.payments.insert(id, made);
                    self::payment(&ledger, id, if before.is_some() { 'u' } else { 'c' }, place, &mut random, out)?;
                    if before.is_none() {
                        open.push(id);
                        next += 1;
                    }
                }
            }
        }
        Ok(ledger)
    }
}

/// A line that says that an account has another holder: the change with this number, counted from the first of a stream.
pub fn held_by(account: u64, holder: &str, number: u64) -> String {
    let ledger = Ledger { accounts: [(account, (holder.to_owned(), TIERS[0]))].into(), payments: BTreeMap::new() };
    let mut line = Vec::new();
    self::account(&ledger, account, 'u', Clock { changes: number }.next(), &mut line).expect("memory takes all");
    String::from_utf8(line).expect("a line is text")
}

fn holder(id: u64, random: &mut Random) -> String {
    format!("Holder {id} of {}", random.below(1_000))
}

fn account(ledger: &Ledger, id: u64, op: char, place: Place, out: &mut impl Write) -> io::Result<()> {
    let (holder, tier) = &ledger.accounts[&id];
    let after = format!(
        "{{\"id\":{id},\"holder\":\"{holder}\",\"tier\":\"{tier}\",\"email\":\"holder.{id}@example.com\",\"address\":\"{} Garden \
         Street, Nairobi\",\"updated_at\":{}}}",
        id % 300,
        place.occurred_us
    );
    line("accounts", id, op, "null", &after, place, out)
}

fn payment(
    ledger: &Ledger,
    id: u64,
    op: char,
    place: Place,
    random: &mut Random,
    out: &mut impl Write,
) -> io::Result<()> {
    let (account, cents, state) = ledger.payments[&id];
    let mut note = String::new();
    (0..24).for_each(|_| push(&mut note, format_args!("{} ", random.pick(&WORDS))));
    let after = format!(
        "{{\"id\":{id},\"account_id\":{account},\"state\":\"{state}\",\"amount\":\"{}.{:02}\",\"currency\":\"EUR\",\"note\":\"{note}\",\
         \"updated_at\":{}}}",
        cents / 100,
        cents % 100,
        place.occurred_us
    );
    line("payments", id, op, "null", &after, place, out)
}

fn line(
    table: &'static str,
    key: u64,
    op: char,
    before: &str,
    after: &str,
    place: Place,
    out: &mut impl Write,
) -> io::Result<()> {
    let sent_us = place.occurred_us + 1_500;
    let line = Line { table, key: Some(key), op, before, after, place, snapshot: Snapshot::No, moved: None, sent_us };
    out.write_all(line.to_text().as_bytes())
}
