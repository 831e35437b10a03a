//! The laws of `fold.md` for views of random definitions over generated histories with every case that it names.

mod on_disk;
mod pieces;
mod restored;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_projection::{Definition, Statement};
use deltafold_tests::{
    generator::{Delivery, Script, Stream},
    laws,
    naive::{self, Relation},
    projections::{
        Batch, JOINS, Joined, Meets, Operator, Projected, Span, Table, Written, at_moment, difference, meets,
        operators, relations, write,
    },
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// How many definitions each history is projected by, in memory.
const DEFINITIONS: u64 = 7;

/// The definitions of a history.
fn definitions(script: &Script) -> impl Iterator<Item = (Written, Definition)> {
    (0..DEFINITIONS).map(|number| definition(script, number, false))
}

/// One of them; also over the log, or not.
fn definition(script: &Script, number: u64, has_log: bool) -> (Written, Definition) {
    let written = write(&mut SmallRng::seed_from_u64(script.seed.wrapping_add(number) ^ 0xDEF1), has_log);
    let definition = checked(&written.file());
    (written, definition)
}

fn checked(file: &str) -> Definition {
    let statement = Statement::parse("projections/v.sql", file).unwrap_or_else(|problem| panic!("{file}\n{problem}"));
    Definition::check(&statement, &relations()).unwrap_or_else(|problem| panic!("{file}\n{problem}"))
}

#[test]
fn law_1_any_split_into_batches_gives_the_same() {
    let parts = Cell::new(0);
    laws::hold("law 1", |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        for (written, definition) in definitions(script) {
            let expected = fold(&stream, &definition, &stream.stored(&delivery, &[1]));
            for sizes in [vec![usize::MAX], batches(script.seed)] {
                let found = fold(&stream, &definition, &stream.stored(&delivery, &sizes));
                assert_eq!(found.versions(), expected.versions(), "in batches of {sizes:?}: {}", written.query);
            }
            // Of joins also where what follows from a batch is given piece by piece, while more comes.
            if !written.joins.is_empty() {
                let pairs = 1 + script.seed % 3;
                let found = Projected::in_pieces_of(pairs, &stream.schemas, &definition);
                let mut found = found.patiently(script.seed);
                let stored = stream.stored(&delivery, &batches(script.seed));
                commits(&stored).into_iter().for_each(|commit| found.fold(commit));
                found.finish();
                assert_eq!(found.versions(), expected.versions(), "in pieces of {pairs}: {}", written.query);
                assert_eq!(found.remembered(), expected.remembered(), "in pieces of {pairs}: {}", written.query);
                parts.set(parts.get() + found.parts());
            }
        }
    });
    laws::say(&format!("law 1: {} times something was left", parts.get()));
    assert!(parts.get() > 500, "{} times something was left", parts.get());
}

#[test]
fn law_2_delivering_again_changes_nothing() {
    laws::hold("law 2", |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let doubled = stream.stored(&delivery.doubled(&stream, script.seed), &batches(script.seed));
        for (written, definition) in definitions(script) {
            let expected = fold(&stream, &definition, &stream.stored(&delivery, &batches(script.seed)));
            let found = fold(&stream, &definition, &doubled);
            assert_eq!(found.versions(), expected.versions(), "{}", written.query);
        }
    });
}

#[test]
fn law_3_any_order_of_arrival_gives_the_same() {
    laws::hold("law 3", |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        for (written, definition) in definitions(script) {
            let expected = fold(&stream, &definition, &stream.stored(&delivery, &batches(script.seed)));
            for turn in 1..=2 {
                let rearranged = delivery.rearranged(&stream, script.seed.wrapping_add(turn));
                let found = fold(&stream, &definition, &stream.stored(&rearranged, &batches(script.seed)));
                assert_eq!(found.versions(), expected.versions(), "{}", written.query);
            }
        }
    });
}

#[test]
fn law_4_a_view_is_its_query_in_batch_at_every_moment() {
    let batch = Batch::default();
    laws::hold("law 4", |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x1A44);
        let mut projected: Vec<(Written, Definition, Projected)> = definitions(script)
            .map(|(written, definition)| {
                let projected = Projected::new(&stream.schemas, &definition);
                (written, definition, projected)
            })
            .collect();
        let mut folded = 0;
        let commits = commits(&stored);
        for (at, commit) in commits.iter().enumerate() {
            projected.iter_mut().for_each(|(.., projected)| projected.fold(commit));
            folded += commit.len();
            let is_last = at + 1 == commits.len();
            if !is_last && random.random_ratio(3, 4) {
                continue;
            }
            let so_far = &stored[..folded];
            let relations = naive(&stream, so_far);
            let moments: Vec<Timestamp> = moments(&relations);
            let mut chosen: Vec<Timestamp> = moments.choose_multiple(&mut random, 2).copied().collect();
            chosen.extend(is_last.then_some(Timestamp::MAX));
            for moment in chosen {
                let tables = Table::at(&relations, &[], moment);
                for (written, definition, projected) in &projected {
                    let expected = batch.rows(definition, &written.query, &tables);
                    if let Some(difference) = difference(&projected.at(moment), &expected) {
                        let events = naive::listing(so_far, &stream.schemas);
                        panic!("{}\nat {moment}\n{difference}of\n{events}", written.query);
                    }
                }
            }
        }
    });
}

/// The smallest history that has broken law 5: a snapshot of nothing.
#[test]
fn of_a_history_without_events_a_view_is_its_query_over_nothing() {
    let batch = Batch::default();
    for seed in 0..64 {
        let script = Script { rows_before: 0, snapshot: false, steps: vec![], seed, restored: None };
        let stream = Stream::of(&script);
        assert!(stream.stored(&Delivery::of(&stream, seed), &[1]).is_empty());
        let tables = Table::at(&naive(&stream, &[]), &[], Timestamp::MAX);
        for (written, definition) in definitions(&script) {
            let projected = Projected::new(&stream.schemas, &definition);
            let expected = batch.rows(&definition, &written.query, &tables);
            assert_eq!(difference(&projected.at(Timestamp::MAX), &expected), None, "{}", written.query);
            assert_eq!(projected.rebuilt(&definition).versions(), projected.versions(), "{}", written.query);
        }
    }
}

#[test]
fn law_5_a_rebuild_gives_the_same() {
    laws::hold("law 5", |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        for (written, definition) in definitions(script) {
            is_rebuilt_the_same(&fold(&stream, &definition, &stored), &definition, script.seed, &written.query);
        }
    });
}

/// Found in soak: the rows of a group that reads no column of them are a batch without columns, which has a number of rows
/// only where it is said.
#[test]
fn law_5_holds_for_a_group_that_reads_no_column() {
    let query = "CREATE MATERIALIZED VIEW v WITH (key = 'k') AS SELECT 1 AS k, count(*) AS n FROM items";
    let definition = checked(query);
    laws::for_fixed(|script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        is_rebuilt_the_same(&fold(&stream, &definition, &stored), &definition, script.seed, query);
    });
}

fn is_rebuilt_the_same(projected: &Projected, definition: &Definition, seed: u64, query: &str) {
    let rebuilt = projected.rebuilt(definition);
    assert_eq!(rebuilt.versions(), projected.versions(), "{query}");
    assert_eq!(rebuilt.remembered(), projected.remembered(), "{query}");
    let built = projected.built_by_key(definition, seed);
    assert_eq!(built.versions(), projected.versions(), "key by key: {query}");
    assert_eq!(built.remembered(), projected.remembered(), "key by key: {query}");
}

/// Each operator meets each thing that can befall the rows it is over, often enough.
#[test]
fn every_operator_meets_every_case() {
    let counts: RefCell<BTreeMap<(Operator, Meets), u64>> = RefCell::default();
    let of_sides: RefCell<BTreeMap<(Operator, usize, Meets), u64>> = RefCell::default();
    laws::for_fixed(|script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        // As laws 1 to 4 deliver it.
        let rearranged = delivery.rearranged(&stream, script.seed.wrapping_add(1));
        let deliveries = [delivery.doubled(&stream, script.seed), rearranged, delivery];
        let stored = deliveries.map(|delivery| stream.stored(&delivery, &[1]));
        let over_log = definition(script, 0, true);
        for (written, definition) in definitions(script).chain([over_log]) {
            let is_over = |name: &str| definition.sources().iter().any(|source| source == name || source == "events");
            let met: BTreeSet<Meets> = stored.iter().flat_map(|stored| meets(stored, is_over)).collect();
            for operator in &written.operators {
                for case in &met {
                    *counts.borrow_mut().entry((*operator, *case)).or_default() += 1;
                }
            }
            let mut of_joins = BTreeSet::new();
            for Joined { operator, sides } in &written.joins {
                for (side, tables) in sides.iter().enumerate() {
                    let is_over = |name: &str| tables.iter().any(|table| table == name);
                    let met = stored.iter().flat_map(|stored| meets(stored, is_over));
                    of_joins.extend(met.map(|case| (*operator, side, case)));
                }
            }
            for met in of_joins {
                *of_sides.borrow_mut().entry(met).or_default() += 1;
            }
        }
    });
    let (counts, of_sides) = (counts.into_inner(), of_sides.into_inner());
    let all = operators().into_iter().flat_map(|operator| Meets::ALL.map(|case| (operator, case)));
    let count = |at: &(Operator, Meets)| counts.get(at).copied().unwrap_or_default();
    let least = laws::cases().least;
    let rare: Vec<_> = all.clone().filter(|at| count(at) < least).map(|at| (at, count(&at))).collect();
    let sides = JOINS.into_iter().flat_map(|operator| [(operator, 0), (operator, 1)]);
    let sides = sides.flat_map(|(operator, side)| Meets::ALL.map(|case| (operator, side, case)));
    let of_side = |at: &(Operator, usize, Meets)| of_sides.get(at).copied().unwrap_or_default();
    let fewest_of_sides = sides.clone().map(|at| (of_side(&at), at)).min();
    laws::say(&format!("joins, sides and cases: {}, the rarest {fewest_of_sides:?}", sides.clone().count()));
    let rare_sides: Vec<_> = sides.filter(|at| of_side(at) < least).map(|at| (at, of_side(&at))).collect();
    assert!(rare_sides.is_empty(), "fewer than {least} times on the left (0) or the right (1): {rare_sides:?}");
    let fewest = all.clone().map(|at| (count(&at), at)).min();
    laws::say(&format!("operators and cases: {} pairs, the rarest {fewest:?}", all.count()));
    assert!(rare.is_empty(), "fewer than {least} times: {rare:?}");
}

/// At the end of time, and at two moments at which something changes, a view is its query over the tables as the log so far
/// tells them.
fn assert_is_query(
    batch: &Batch,
    (written, definition): &(Written, Definition),
    (stream, so_far): (&Stream, &[StoredEvent]),
    relations: &BTreeMap<String, Relation>,
    found: &BTreeMap<Arc<str>, Vec<Span>>,
    random: &mut SmallRng,
) {
    let mut chosen: Vec<Timestamp> = moments(relations).choose_multiple(random, 2).copied().collect();
    chosen.push(Timestamp::MAX);
    for moment in chosen {
        let expected = batch.rows(definition, &written.query, &Table::at(relations, so_far, moment));
        if let Some(difference) = difference(&at_moment(found, moment), &expected) {
            let events = naive::listing(so_far, &stream.schemas);
            panic!("{}\nat {moment}\n{difference}of\n{events}", written.query);
        }
    }
}

/// Every moment at which something changes.
fn moments(relations: &BTreeMap<String, Relation>) -> Vec<Timestamp> {
    let versions = relations.values().flat_map(|relation| relation.versions.values().flatten());
    versions.flat_map(|version| [Some(version.valid_from), version.valid_to]).flatten().collect()
}

fn commits(stored: &[StoredEvent]) -> Vec<&[StoredEvent]> {
    stored.chunk_by(|a, b| a.position.version() == b.position.version()).collect()
}

fn fold(stream: &Stream, definition: &Definition, stored: &[StoredEvent]) -> Projected {
    let mut projected = Projected::new(&stream.schemas, definition);
    commits(stored).into_iter().for_each(|commit| projected.fold(commit));
    projected
}

fn naive(stream: &Stream, stored: &[StoredEvent]) -> BTreeMap<String, Relation> {
    let of_type = |name: &str| -> Vec<StoredEvent> {
        stored.iter().filter(|stored| &*stored.event.aggregate_type == name).cloned().collect()
    };
    let fold = |name: &str| naive::fold(&of_type(name), &stream.schemas, Position::MAX);
    stream.types().into_iter().map(|name| (name.to_owned(), fold(name))).collect()
}

fn batches(seed: u64) -> Vec<usize> {
    let mut random = SmallRng::seed_from_u64(seed ^ 0xBA7C);
    let largest = random.random_range(1..30);
    (0..7).map(|_| random.random_range(1..=largest)).collect()
}
