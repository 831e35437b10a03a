//! The laws of `fold.md` for mirrors, each held against generated histories with every case that it names: the
//! relation keepers alone, and with projector and view store as a server runs them, against the naive fold.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_tests::{
    generator::{Counts, Delivery, Row, Script, Stream},
    kept::{InMemory, Kept, OnDisk},
    laws,
    naive::{self, Content, Relation},
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use serde_json::Value;

macro_rules! laws {
    ($($kept:ident in $name:ident;)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn law_1_any_split_into_batches_gives_the_same() {
                super::law_1_any_split_into_batches_gives_the_same::<$kept>();
            }

            #[test]
            fn law_2_delivering_again_changes_nothing() {
                super::law_2_delivering_again_changes_nothing::<$kept>();
            }

            #[test]
            fn law_3_any_order_of_arrival_gives_the_same() {
                super::law_3_any_order_of_arrival_gives_the_same::<$kept>();
            }

            #[test]
            fn law_6_a_restart_changes_nothing() {
                super::law_6_a_restart_changes_nothing::<$kept>();
            }

            #[test]
            fn law_7_a_later_event_never_changes_the_past() {
                super::law_7_a_later_event_never_changes_the_past::<$kept>();
            }
        }
    )*};
}

laws! {
    InMemory in keepers;
    OnDisk in views;
}

fn law_1_any_split_into_batches_gives_the_same<K: Kept>() {
    laws::hold_in_part("law 1", K::ONE_IN, |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = naive(&stream, &stream.stored(&delivery, &[1]));
        for batches in [vec![1], vec![usize::MAX], batches(script.seed)] {
            let stored = stream.stored(&delivery, &batches);
            let kept: K = fold(&stream, &stored, script.seed);
            assert_same(&kept, &expected, &format!("in batches of {batches:?}"), &stream, &stored);
        }
    });
}

fn law_2_delivering_again_changes_nothing<K: Kept>() {
    laws::hold_in_part("law 2", K::ONE_IN, |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = naive(&stream, &stream.stored(&delivery, &[1]));
        let doubled = delivery.doubled(&stream, script.seed);
        let stored = stream.stored(&doubled, &batches(script.seed));
        assert_naive(&naive(&stream, &stored), &expected, &stream, &stored);
        let kept: K = fold(&stream, &stored, script.seed);
        assert_same(&kept, &expected, "delivered again", &stream, &stored);
    });
}

fn law_3_any_order_of_arrival_gives_the_same<K: Kept>() {
    laws::hold_in_part("law 3", K::ONE_IN, |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = naive(&stream, &stream.stored(&delivery, &[1]));
        for turn in 1..=3 {
            let rearranged = delivery.rearranged(&stream, script.seed.wrapping_add(turn));
            let stored = stream.stored(&rearranged, &batches(script.seed));
            assert_naive(&naive(&stream, &stored), &expected, &stream, &stored);
            let kept: K = fold(&stream, &stored, script.seed);
            assert_same(&kept, &expected, "in another order", &stream, &stored);
        }
    });
}

fn law_6_a_restart_changes_nothing<K: Kept>() {
    laws::hold_in_part("law 6", K::ONE_IN, |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed);
        let mut kept = K::new(&stream.schemas);
        for piece in pieces(&stored, script.seed) {
            kept.fold(piece);
            if random.random_ratio(1, 3) {
                kept.restart();
            }
        }
        assert_same(&kept, &naive(&stream, &stored), "restarted", &stream, &stored);
    });
}

/// And with it that each belief is right at every position: the naive fold knows only what was recorded by then.
fn law_7_a_later_event_never_changes_the_past<K: Kept>() {
    laws::hold_in_part("law 7", K::ONE_IN, |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let kept: K = fold(&stream, &stored, script.seed);
        let mut random = SmallRng::seed_from_u64(script.seed);
        for name in stream.types() {
            let events = of_type(&stored, name);
            for StoredEvent { position, .. } in events.choose_multiple(&mut random, K::POSITIONS) {
                let expected = naive::fold(&events, &stream.schemas, *position);
                if let Some(difference) = kept.relation(name, *position, &expected).difference(&expected) {
                    let events = naive::listing(&events, &stream.schemas);
                    panic!("{name} at {position}\n{difference}of\n{events}");
                }
            }
        }
    });
}

/// What is written in sorted runs, as when catching up from nothing, is the same; and where that was cut short and
/// starts again.
#[test]
fn a_bulk_load_gives_the_same() {
    laws::hold_in_part("a bulk load", OnDisk::ONE_IN, |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let expected = naive(&stream, &stored);
        let mut pieces = pieces(&stored, script.seed);
        let rest = pieces.split_off(pieces.len() / 2);
        let mut kept = OnDisk::in_bulk(&stream.schemas);
        let fold = |kept: &mut OnDisk, pieces: &[&[StoredEvent]]| pieces.iter().for_each(|piece| kept.fold(piece));
        fold(&mut kept, &pieces);
        if script.seed.is_multiple_of(2) {
            kept.restart();
            assert_eq!(kept.checkpoint(), Position::ZERO, "half a bulk load is none");
            fold(&mut kept, &pieces);
        }
        fold(&mut kept, &rest);
        kept.end_bulk();
        assert_same(&kept, &expected, "in bulk", &stream, &stored);
    });
}

/// What is loaded aggregate by aggregate, as when catching up from nothing, is what is folded by position, position for
/// position, however much of it may be held in memory; and so is what is folded on top of it.
#[test]
fn a_load_by_aggregate_gives_the_same() {
    let loaded = Cell::new((0, 0));
    laws::hold_in_part("a load by aggregate", OnDisk::ONE_IN, |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let pieces = pieces(&stored, script.seed);
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x10AD);
        let first: usize = pieces.iter().take(random.random_range(0..=pieces.len())).map(|piece| piece.len()).sum();
        let (beginning, rest) = stored.split_at(first);
        let held_events = *[2, 20, 60, usize::MAX].choose(&mut random).expect("not empty");
        let mut kept = OnDisk::load(&stream.schemas, beginning, held_events);
        let is_whole = kept.checkpoint() > Position::ZERO;
        let (whole, all) = loaded.get();
        loaded.set((whole + u64::from(is_whole), all + 1));
        if !is_whole {
            if random.random_bool(0.5) {
                kept.end_bulk();
                kept.restart();
                assert_eq!(kept.written(), Vec::<String>::new(), "types at different positions are nothing to show");
            }
            kept.fold(beginning);
        }
        if random.random_bool(0.5) {
            kept.end_bulk();
        }
        kept.fold(rest);
        kept.end_bulk();
        let folded: OnDisk = fold(&stream, &stored, script.seed);
        assert_eq!(kept.written(), folded.written(), "position for position");
    });
    let (whole, all) = loaded.get();
    assert!(whole * 8 >= all && whole < all, "{whole} of {all} were loaded whole: both ways are to be tried");
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

/// The relation of each type.
type Relations = BTreeMap<String, Relation>;

fn batches(seed: u64) -> Vec<usize> {
    let mut random = SmallRng::seed_from_u64(seed ^ 0xBA7C);
    let largest = random.random_range(1..30);
    (0..7).map(|_| random.random_range(1..=largest)).collect()
}

/// Cuts a stream into runs of one to a few commits, as a reader of the log hands them on.
fn pieces(stored: &[StoredEvent], seed: u64) -> Vec<&[StoredEvent]> {
    let mut random = SmallRng::seed_from_u64(seed ^ 0x91EC);
    let mut pieces = Vec::new();
    let mut rest = stored;
    while let Some(first) = rest.first() {
        let end = first.position.version() + random.random_range(1..=4);
        let (piece, after) = rest.split_at(rest.partition_point(|event| event.position.version() < end));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn of_type(stored: &[StoredEvent], name: &str) -> Vec<StoredEvent> {
    stored.iter().filter(|stored| &*stored.event.aggregate_type == name).cloned().collect()
}

fn fold<K: Kept>(stream: &Stream, stored: &[StoredEvent], seed: u64) -> K {
    let mut kept = K::new(&stream.schemas);
    for piece in pieces(stored, seed) {
        kept.fold(piece);
    }
    kept
}

fn naive(stream: &Stream, stored: &[StoredEvent]) -> Relations {
    let fold = |name: &str| naive::fold(&of_type(stored, name), &stream.schemas, Position::MAX);
    stream.types().into_iter().map(|name| (name.to_owned(), fold(name))).collect()
}

/// Keys, valid intervals, contents and event ids must be the same; positions may differ.
fn assert_naive(found: &Relations, expected: &Relations, stream: &Stream, stored: &[StoredEvent]) {
    for (name, expected) in expected {
        if let Some(difference) = naive::difference(&found[name].versions, &expected.versions) {
            let events = naive::listing(&of_type(stored, name), &stream.schemas);
            panic!("the naive fold itself: {name}\n{difference}of\n{events}");
        }
    }
}

/// The same of what is kept; and what was written must fit together.
fn assert_same(kept: &impl Kept, expected: &Relations, what: &str, stream: &Stream, stored: &[StoredEvent]) {
    for (name, expected) in expected {
        let found = kept.relation(name, Position::MAX, expected);
        let flaw = naive::difference(&found.versions, &expected.versions).or_else(|| kept.flaw(name));
        if let Some(flaw) = flaw {
            let events = naive::listing(&of_type(stored, name), &stream.schemas);
            panic!("{what}: {name}\n{flaw}\nof\n{events}");
        }
    }
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
