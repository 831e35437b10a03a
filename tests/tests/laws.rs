//! The laws of `fold.md` for mirrors, each held against generated histories with every case that it names: the
//! relation keepers against the naive fold.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_tests::{
    generator::{Counts, Delivery, Row, Script, Stream},
    kept::Kept,
    laws,
    naive::{self, Content, Relation, Version},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde_json::Value;

/// What must be the same in laws 1, 2, 3 and 6: keys, valid intervals, contents and event ids.
type Same = BTreeMap<String, BTreeMap<String, Vec<Version>>>;

fn batches(seed: u64) -> Vec<usize> {
    let mut random = SmallRng::seed_from_u64(seed ^ 0xBA7C);
    let largest = random.random_range(1..30);
    (0..7).map(|_| random.random_range(1..=largest)).collect()
}

fn of_type(stored: &[StoredEvent], name: &str) -> Vec<StoredEvent> {
    stored.iter().filter(|stored| &*stored.event.aggregate_type == name).cloned().collect()
}

fn kept(stream: &Stream, stored: &[StoredEvent]) -> Same {
    let mut kept = Kept::new(&stream.schemas);
    kept.fold(stored);
    assert_flawless(&kept, stream, stored);
    same(stream, |name| kept.relation(name, Position::MAX))
}

fn assert_flawless(kept: &Kept, stream: &Stream, stored: &[StoredEvent]) {
    for name in stream.types() {
        if let Some(flaw) = kept.flaw(name) {
            panic!("{name}: {flaw}\nof\n{}", naive::listing(&of_type(stored, name), &stream.schemas));
        }
    }
}

fn assert_same(found: &Same, expected: &Same, what: &str, stream: &Stream, stored: &[StoredEvent]) {
    for (name, expected) in expected {
        if let Some(difference) = naive::difference(&found[name], expected) {
            let events = naive::listing(&of_type(stored, name), &stream.schemas);
            panic!("{what}: {name}\n{difference}of\n{events}");
        }
    }
}

fn same(stream: &Stream, relation: impl Fn(&str) -> Relation) -> Same {
    stream.types().into_iter().map(|name| (name.to_owned(), relation(name).versions)).collect()
}

fn naive(stream: &Stream, stored: &[StoredEvent]) -> Same {
    same(stream, |name| naive::fold(&of_type(stored, name), &stream.schemas, Position::MAX))
}

#[test]
fn law_1_any_split_into_batches_gives_the_same() {
    laws::hold("law 1", |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = naive(&stream, &stream.stored(&delivery, &[1]));
        for batches in [vec![1], vec![usize::MAX], batches(script.seed)] {
            let stored = stream.stored(&delivery, &batches);
            let what = format!("in batches of {batches:?}");
            assert_same(&kept(&stream, &stored), &expected, &what, &stream, &stored);
        }
    });
}

#[test]
fn law_2_delivering_again_changes_nothing() {
    laws::hold("law 2", |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = naive(&stream, &stream.stored(&delivery, &[1]));
        let doubled = delivery.doubled(&stream, script.seed);
        let stored = stream.stored(&doubled, &batches(script.seed));
        assert_same(&naive(&stream, &stored), &expected, "the naive fold", &stream, &stored);
        assert_same(&kept(&stream, &stored), &expected, "the keepers", &stream, &stored);
    });
}

#[test]
fn law_3_any_order_of_arrival_gives_the_same() {
    laws::hold("law 3", |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = naive(&stream, &stream.stored(&delivery, &[1]));
        for turn in 1..=3 {
            let rearranged = delivery.rearranged(&stream, script.seed.wrapping_add(turn));
            let stored = stream.stored(&rearranged, &batches(script.seed));
            assert_same(&naive(&stream, &stored), &expected, "the naive fold", &stream, &stored);
            assert_same(&kept(&stream, &stored), &expected, "the keepers", &stream, &stored);
        }
    });
}

#[test]
fn law_6_a_restart_changes_nothing() {
    laws::hold("law 6", |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed);
        let mut kept = Kept::new(&stream.schemas);
        for commit in stored.chunk_by(|a, b| a.position.version() == b.position.version()) {
            kept.fold(commit);
            if random.random_ratio(1, 3) {
                kept.restart();
            }
        }
        assert_flawless(&kept, &stream, &stored);
        let found = same(&stream, |name| kept.relation(name, Position::MAX));
        assert_same(&found, &naive(&stream, &stored), "restarted", &stream, &stored);
    });
}

/// And with it that each belief is right at every position: the naive fold knows only what was recorded by then.
#[test]
fn law_7_a_later_event_never_changes_the_past() {
    laws::hold("law 7", |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut kept = Kept::new(&stream.schemas);
        kept.fold(&stored);
        for name in stream.types() {
            let events = of_type(&stored, name);
            for StoredEvent { position, .. } in &events {
                let expected = naive::fold(&events, &stream.schemas, *position);
                if let Some(difference) = kept.relation(name, *position).difference(&expected) {
                    let events = naive::listing(&events, &stream.schemas);
                    panic!("{name} at {position}\n{difference}of\n{events}");
                }
            }
        }
    });
}

/// Law 8 for the end of a history; for every moment of recorded ones it is `recorded.rs`.
#[test]
fn law_8_the_end_is_what_the_database_has() {
    laws::hold("law 8", |script| {
        let stream = Stream::of(script);
        if !stream.complete {
            return;
        }
        let stored = stream.stored(&Delivery::as_sent(&stream), &batches(script.seed));
        for (name, rows) in &stream.rows {
            let relation = naive::fold(&of_type(&stored, name), &stream.schemas, Position::MAX);
            let found = relation.at(Timestamp::MAX);
            let found: BTreeSet<String> = found.values().map(|version| columns(&version.content)).collect();
            let expected: BTreeSet<String> = rows.iter().map(|row| columns(&content(row))).collect();
            assert_eq!(found, expected, "{name}");
        }
    });
}

fn content(row: &Row) -> Content {
    Content::parse(&Value::Object(row.clone()).to_string(), false)
}

/// The row but for the column that comes and goes: adding or dropping one sends no event.
fn columns(content: &Content) -> String {
    assert!(!content.incomplete, "a complete stream leaves nothing unknown");
    let columns = content.columns.iter().filter(|(name, _)| *name != "extra");
    format!("{:?}", columns.collect::<Vec<_>>())
}

/// The laws above are held against the same histories, so that what is counted here is what they were tried on.
#[test]
fn every_case_occurs() {
    let counts = RefCell::new(Counts::default());
    let histories = RefCell::new((0_u64, 0_u64));
    laws::for_fixed(|script: &Script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let stored = stream.stored(&delivery, &batches(script.seed));
        let relations: BTreeMap<&str, Relation> = stream
            .types()
            .into_iter()
            .map(|name| (name, naive::fold(&of_type(&stored, name), &stream.schemas, Position::MAX)))
            .collect();
        counts.borrow_mut().add(&stream.count(&delivery, &stored, &relations));
        let mut histories = histories.borrow_mut();
        *histories = (histories.0 + 1, histories.1 + stored.len() as u64);
    });
    let (histories, events) = histories.into_inner();
    let counts = counts.into_inner();
    laws::say(&format!("{histories} histories, {events} events; how often each case of fold.md occurred:\n{counts}"));
    let least = laws::cases().least;
    assert_eq!(counts.rarer_than(least), [], "cases that occurred fewer than {least} times");
}
