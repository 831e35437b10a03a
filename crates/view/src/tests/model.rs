//! Reads at every point in both times, against a model that keeps all beliefs in a list.

use std::collections::BTreeMap;

use deltafold_event::{EventId, Position, Timestamp};
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};

use super::{indexes, moment, open, order, position};
use crate::{At, Entry, Mirror, Reader, Stored, ViewStore};

const AGGREGATES: [&str; 4] = ["a", "a\0", "b", "é/🦀"];
const LAST_MOMENT: i64 = 12;

/// One thing that is learnt: an event at a place in an aggregate, with the row after it; or that there was none.
#[derive(Debug, Clone)]
struct Learnt {
    aggregate: usize,
    valid_from: i64,
    order: u64,
    /// Which of a few rows; 0 is absent. None: no event was there after all.
    row: Option<u8>,
}

/// An entry as it was believed from a position until another.
#[derive(Debug, Clone, PartialEq)]
struct Belief {
    valid_from: i64,
    order: u64,
    row: u8,
    since: (i64, i64, u64),
    from: i64,
    to: Option<i64>,
}

/// All that was ever believed, by aggregate.
#[derive(Default)]
struct Model(BTreeMap<usize, Vec<Belief>>);

impl Model {
    /// What is believed at a position, in order.
    fn at(&self, aggregate: usize, position: i64) -> Vec<Belief> {
        let all = self.0.get(&aggregate).map_or(&[][..], Vec::as_slice);
        let mut believed: Vec<Belief> =
            all.iter().filter(|b| b.from <= position && b.to.is_none_or(|to| position < to)).cloned().collect();
        believed.sort_by_key(|b| (b.valid_from, b.order));
        believed
    }

    /// The last row of each instant.
    fn instants(&self, aggregate: usize, position: i64) -> BTreeMap<i64, u8> {
        self.at(aggregate, position).into_iter().map(|b| (b.valid_from, b.row)).collect()
    }

    /// The row as of a point in both times: its text, where it begins and where it ends.
    fn version(&self, aggregate: usize, time: i64, position: i64) -> Option<(u8, i64, Option<i64>)> {
        let instants = self.instants(aggregate, position);
        let (_, &row) = instants.range(..=time).next_back()?;
        if row == 0 {
            return None;
        }
        let from = instants.range(..=time).rev().take_while(|(_, r)| **r == row).last()?.0;
        let to =
            instants.range((std::ops::Bound::Excluded(time), std::ops::Bound::Unbounded)).find(|(_, r)| **r != row);
        Some((row, *from, to.map(|(to, _)| *to)))
    }

    /// Takes something in at a position: says what is believed no longer, and what is instead.
    fn learn(&mut self, learnt: &Learnt, position: i64) -> (Vec<Belief>, Vec<Belief>) {
        let before = self.at(learnt.aggregate, position);
        let mut places: BTreeMap<(i64, u64), u8> = before.iter().map(|b| ((b.valid_from, b.order), b.row)).collect();
        match learnt.row {
            Some(row) => places.insert((learnt.valid_from, learnt.order), row),
            None => places.remove(&(learnt.valid_from, learnt.order)),
        };
        let mut after: Vec<Belief> = vec![];
        for ((valid_from, order), row) in places {
            let old = before.iter().find(|b| (b.valid_from, b.order) == (valid_from, order));
            let prev = after.iter().rev().find(|b| b.valid_from < valid_from).filter(|b| b.row == row);
            let beside = after.last().filter(|b| b.valid_from == valid_from && b.row == row);
            let inherited = prev.or(beside).map(|b| b.since);
            let own = |from: i64| (valid_from, from, order);
            let kept = old.filter(|old| old.row == row && old.since == inherited.unwrap_or(own(old.from)));
            after.push(match kept {
                Some(old) => old.clone(),
                None => {
                    let since = inherited.unwrap_or(own(position));
                    Belief { valid_from, order, row, since, from: position, to: None }
                }
            });
        }
        let gone: Vec<Belief> = before.iter().filter(|b| !after.contains(b)).cloned().collect();
        let new: Vec<Belief> = after.iter().filter(|b| !before.contains(b)).cloned().collect();
        let all = self.0.entry(learnt.aggregate).or_default();
        for belief in all.iter_mut().filter(|b| gone.contains(b)) {
            belief.to = Some(position);
        }
        // Believed for no time at all: nobody can have read it.
        all.retain(|belief| belief.to != Some(belief.from));
        all.extend(new.iter().cloned());
        (gone, new)
    }
}

fn stored(belief: &Belief) -> Stored {
    let order = order(belief.order);
    let row = text(belief.row);
    Stored::new(&Entry {
        since_valid_from: moment(belief.since.0),
        since_recorded_from: position(belief.since.1),
        event: Some(event(belief.since.2)),
        row: (belief.row != 0).then_some(row.as_str()),
        ..Entry::absent(moment(belief.valid_from), &order, position(belief.from))
    })
}

/// A row, with columns that several have alike.
fn text(row: u8) -> String {
    let number = [Some(2), None, Some(-1)][usize::from(row) % 3].map_or("null".to_owned(), |number| number.to_string());
    let word = ["x", "xy", ""][usize::from(row / 3) % 3];
    format!(r#"{{"row":{row},"number":{number},"word":"{word}"}}"#)
}

fn event(number: u64) -> EventId {
    EventId::from_bytes(u128::from(number).to_be_bytes())
}

/// Writes what one thing learnt changed, as a keeper would.
fn write(views: &ViewStore, mirror: &Mirror, model: &mut Model, learnt: &Learnt, at: i64) {
    let before = model.at(learnt.aggregate, at - 1).last().map(|newest| (newest.valid_from, newest.order));
    let (gone, new) = model.learn(learnt, at);
    let aggregate = AGGREGATES[learnt.aggregate];
    let mut batch = views.batch();
    for belief in &gone {
        batch.remove_entry(mirror, aggregate, moment(belief.valid_from), &order(belief.order)).unwrap();
        if belief.from != at {
            batch.put_superseded(mirror, aggregate, &stored(belief), position(at)).unwrap();
        }
    }
    for belief in &new {
        batch.put_entry(mirror, aggregate, &stored(belief)).unwrap();
    }
    let now = model.at(learnt.aggregate, at);
    match now.last() {
        Some(newest) => batch.put_current(mirror, aggregate, &stored(newest)).unwrap(),
        None => batch.remove_current(mirror, aggregate).unwrap(),
    }
    let now = now.last().map(|newest| (newest.valid_from, newest.order));
    if let Some((valid_from, last)) = before.filter(|_| now != before) {
        batch.put_head(mirror, aggregate, position(at), (moment(valid_from), &order(last)), now < before).unwrap();
    }
    batch.commit().unwrap();
}

fn check(reader: &Reader, model: &Model, at: At, time: i64, position: i64) -> Result<(), TestCaseError> {
    let mut expected = vec![];
    for (index, aggregate) in AGGREGATES.iter().enumerate() {
        let version = model.version(index, time, position);
        let read = reader.as_of(aggregate, at).unwrap();
        let shown = read.as_ref().map(|v| (v.row().to_owned(), v.valid_from.as_micros()));
        prop_assert_eq!(shown, version.map(|(row, from, _)| (text(row), from)), "{:?}", at);
        if let (Some(read), Some((_, _, to))) = (read, version) {
            prop_assert_eq!(reader.valid_to(&read, at.position).unwrap(), to.map(moment), "{:?} {:?}", at, read);
            prop_assert!(at.believes(read.entry().recorded_from, read.recorded_to));
            expected.push(read);
        }
    }
    let scanned: Vec<_> = reader.scan(at).collect::<Result<_, _>>().unwrap();
    let mut counted = reader.scan(at);
    let first = counted.pass(2).unwrap();
    prop_assert_eq!((first, first + counted.pass(usize::MAX).unwrap()), (scanned.len().min(2), scanned.len()));
    prop_assert_eq!(&scanned, &expected, "scan, {:?}", at);
    let after: Vec<_> = reader.scan_after(at, AGGREGATES[1]).collect::<Result<_, _>>().unwrap();
    expected.retain(|version| &*version.key > AGGREGATES[1]);
    prop_assert_eq!(&after, &expected, "scan after, {:?}", at);
    Ok(())
}

/// At every position, for every moment, the answer is what was believed there; whether asked then or at the end,
/// and whether it lies in memory or in tables.
#[test]
fn reads_are_what_was_believed_then_of_that_moment() {
    let learnt = (0..AGGREGATES.len(), 0..LAST_MOMENT, 0..3_u64, prop::option::weighted(0.85, 0..9_u8))
        .prop_map(|(aggregate, valid_from, order, row)| Learnt { aggregate, valid_from, order, row });
    let history = prop::collection::vec(learnt, 1..60);
    let (_dir, views) = open();
    let config = Config { cases: 96, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&(history, any::<bool>(), 0..40_usize), |(history, flush, declared)| {
        // Each case has a mirror of its own, so that one store serves them all.
        let mirror = views.mirror(&format!("mirror {}", views.mirrors().len())).unwrap();
        let mut model = Model::default();
        for (at, learnt) in history.iter().enumerate() {
            if at == declared {
                indexes::declare(&views, &mirror);
            }
            let at = at as i64;
            write(&views, &mirror, &mut model, learnt, at);
            let reader = views.snapshot().reader(&mirror);
            check(&reader, &model, At::NOW, i64::MAX, i64::MAX - 1)?;
            check(&reader, &model, At::time(moment(learnt.valid_from)), learnt.valid_from, i64::MAX - 1)?;
        }
        if flush {
            let trees = &views.shared.keyspaces;
            for tree in [&trees.versions, &trees.superseded, &trees.heads, &trees.current] {
                tree.rotate_memtable_and_wait().unwrap();
            }
        }
        if declared >= history.len() {
            indexes::declare(&views, &mirror);
        }
        views.fill_indexes(&mirror, &|| false).unwrap();
        let reader = views.snapshot().reader(&mirror);
        for at in 0..history.len() as i64 {
            for time in (-1..=LAST_MOMENT).chain([i64::MAX]) {
                let both = At { time: Timestamp::from_micros(time), position: Position::from_i64(at).unwrap() };
                check(&reader, &model, both, time, at)?;
                if (at + time.min(LAST_MOMENT + 1)) % 6 == 0 {
                    indexes::check(&reader, both);
                }
            }
        }
        indexes::check(&reader, At::NOW);
        Ok(())
    });
    result.unwrap();
}
