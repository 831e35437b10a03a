//! The laws of `fold.md` for views of random definitions over generated histories with every case that it names.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_projection::{Definition, Statement};
use deltafold_projector::{Ordered, Said};
use deltafold_tests::{
    generator::{Delivery, Script, Stream},
    kept::{Kept, OnDisk},
    laws,
    naive::{self, Relation},
    projections::{
        Batch, Meets, Operator, Projected, Span, Written, declared, difference, meets, operators, relations, write,
    },
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// The definition of a history.
fn definition(script: &Script, has_log: bool) -> (Written, Definition) {
    let written = write(&mut SmallRng::seed_from_u64(script.seed ^ 0xDEF1), has_log);
    let file = written.file();
    let statement = Statement::parse("projections/v.sql", &file).unwrap_or_else(|problem| panic!("{file}\n{problem}"));
    let definition = Definition::check(&statement, &relations()).unwrap_or_else(|problem| panic!("{file}\n{problem}"));
    (written, definition)
}

#[test]
fn law_1_any_split_into_batches_gives_the_same() {
    laws::hold("law 1", |script| {
        let (written, definition) = definition(script, false);
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let fold = |sizes: &[usize]| {
            let mut projected = Projected::new(&stream.schemas, &definition);
            let stored = stream.stored(&delivery, sizes);
            stored
                .chunk_by(|a, b| a.position.version() == b.position.version())
                .for_each(|commit| projected.fold(commit));
            projected
        };
        let expected = fold(&[1]);
        for sizes in [vec![usize::MAX], batches(script.seed)] {
            let found = fold(&sizes);
            assert_eq!(found.versions(), expected.versions(), "in batches of {sizes:?}: {}", written.query);
        }
    });
}

#[test]
fn law_2_delivering_again_changes_nothing() {
    laws::hold("law 2", |script| {
        let (written, definition) = definition(script, false);
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = fold(&stream, &definition, &stream.stored(&delivery, &batches(script.seed)));
        let doubled = stream.stored(&delivery.doubled(&stream, script.seed), &batches(script.seed));
        let found = fold(&stream, &definition, &doubled);
        assert_eq!(found.versions(), expected.versions(), "{}", written.query);
    });
}

#[test]
fn law_3_any_order_of_arrival_gives_the_same() {
    laws::hold("law 3", |script| {
        let (written, definition) = definition(script, false);
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        let expected = fold(&stream, &definition, &stream.stored(&delivery, &batches(script.seed)));
        for turn in 1..=2 {
            let rearranged = delivery.rearranged(&stream, script.seed.wrapping_add(turn));
            let found = fold(&stream, &definition, &stream.stored(&rearranged, &batches(script.seed)));
            assert_eq!(found.versions(), expected.versions(), "{}", written.query);
        }
    });
}

#[test]
fn law_4_a_view_is_its_query_in_batch_at_every_moment() {
    let batch = Batch::default();
    laws::hold("law 4", |script| {
        let (written, definition) = definition(script, false);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x1A44);
        let mut projected = Projected::new(&stream.schemas, &definition);
        let mut folded = 0;
        let commits: Vec<&[StoredEvent]> =
            stored.chunk_by(|a, b| a.position.version() == b.position.version()).collect();
        for (at, commit) in commits.iter().enumerate() {
            projected.fold(commit);
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
                let expected = batch.rows(&definition, &written.query, &relations, &[], moment);
                if let Some(difference) = difference(&projected.at(moment), &expected) {
                    let events = naive::listing(so_far, &stream.schemas);
                    panic!("{}\nat {moment}\n{difference}of\n{events}", written.query);
                }
            }
        }
    });
}

#[test]
fn law_5_a_rebuild_gives_the_same() {
    laws::hold("law 5", |script| {
        let (written, definition) = definition(script, false);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let projected = fold(&stream, &definition, &stored);
        let rebuilt = projected.rebuilt(&definition);
        assert_eq!(rebuilt.versions(), projected.versions(), "{}", written.query);
        assert_eq!(rebuilt.remembered(), projected.remembered(), "{}", written.query);
    });
}

/// As a server keeps it, and over the log as well; at some positions, at the moments that are known there.
#[test]
fn law_4_holds_on_disk() {
    let batch = Batch::default();
    laws::hold_in_part("law 4 on disk", 8, |script| {
        let (written, definition) = definition(script, true);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x4D15);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let commits: Vec<&[StoredEvent]> =
            stored.chunk_by(|a, b| a.position.version() == b.position.version()).collect();
        let defined_at = random.random_range(0..commits.len().max(1));
        let mut folded = 0;
        for (at, commit) in commits.iter().enumerate() {
            let mut with_order = commit.to_vec();
            let order = (at == defined_at).then(|| Ordered::Defined { sql: written.file() });
            with_order.extend(order.map(|ordered| control(ordered, commit)));
            kept.fold(&with_order);
            folded += commit.len();
            if random.random_ratio(1, 6) {
                kept.restart();
            }
            let is_last = at + 1 == commits.len();
            if at < defined_at || (!is_last && random.random_ratio(3, 4)) {
                continue;
            }
            kept.finish_building();
            let Some(found) = kept.derived("v") else { continue };
            let so_far = &stored[..folded];
            let relations = naive(&stream, so_far);
            let moments: Vec<Timestamp> = moments(&relations);
            let mut chosen: Vec<Timestamp> = moments.choose_multiple(&mut random, 2).copied().collect();
            chosen.push(Timestamp::MAX);
            for moment in chosen {
                let expected = batch.rows(&definition, &written.query, &relations, so_far, moment);
                if let Some(difference) = difference(&at_moment(&found, moment), &expected) {
                    let events = naive::listing(so_far, &stream.schemas);
                    panic!("{}\nat {moment}\n{difference}of\n{events}", written.query);
                }
            }
        }
    });
}

fn at_moment(versions: &BTreeMap<Arc<str>, Vec<Span>>, moment: Timestamp) -> BTreeMap<Arc<str>, Arc<str>> {
    let holds = |span: &&Span| span.0 <= moment && span.1.is_none_or(|end| moment < end);
    let row = |versions: &[Span]| versions.iter().find(holds).map(|span| Arc::clone(&span.2));
    versions.iter().filter_map(|(key, versions)| Some((Arc::clone(key), row(versions)?))).collect()
}

/// As a server keeps it: defined at some time, built beside what goes on, restarted in the middle of it, built again.
#[test]
fn laws_5_and_6_a_restart_and_a_rebuild_change_nothing_on_disk() {
    laws::hold_in_part("laws 5 and 6", 8, |script| {
        let (written, definition) = definition(script, false);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let expected = fold(&stream, &definition, &stored);
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0xD15C);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let commits: Vec<&[StoredEvent]> =
            stored.chunk_by(|a, b| a.position.version() == b.position.version()).collect();
        if commits.is_empty() {
            return;
        }
        let mut did = vec![];
        let defined_at = random.random_range(0..commits.len());
        for (at, commit) in commits.iter().enumerate() {
            let mut commit = commit.to_vec();
            let order = match at.cmp(&defined_at) {
                std::cmp::Ordering::Less => None,
                std::cmp::Ordering::Equal => Some(Ordered::Defined { sql: written.file() }),
                std::cmp::Ordering::Greater => random.random_ratio(1, 8).then_some(Ordered::Rebuild),
            };
            did.extend(order.iter().map(|_| (at, "order")));
            commit.extend(order.map(|ordered| control(ordered, &commit)));
            kept.fold(&commit);
            match random.random_range(0..6) {
                0 => {
                    did.push((at, "restart"));
                    kept.restart();
                }
                1 => {
                    did.push((at, "finish building"));
                    kept.finish_building();
                }
                _ => {}
            }
        }
        kept.finish_building();
        let found = kept.derived("v");
        let problem = kept.catalog().projections.iter().find_map(|projection| projection.problem.clone());
        match (found, problem) {
            (Some(found), None) => {
                let events = naive::listing(&stored, &stream.schemas);
                assert_eq!(found, expected.versions(), "{}\n{did:?}\nof\n{events}", written.query);
            }
            // Some tables have no events in short histories.
            (None, Some(problem)) => {
                assert!(problem.contains("no relation") || problem.contains("no column"), "{problem}")
            }
            (found, problem) => panic!("{problem:?}, and found {found:#?}"),
        }
    });
}

fn control(ordered: Ordered, commit: &[StoredEvent]) -> StoredEvent {
    let last = commit.last().expect("a commit has events");
    let event = Said { ordered, by: "test".to_owned(), reason: None }.event("v", last.recorded_at);
    StoredEvent { position: last.position.next(), recorded_at: last.recorded_at, event }
}

/// Each operator meets each thing that can befall the rows it is over, often enough.
#[test]
fn every_operator_meets_every_case() {
    let counts: RefCell<BTreeMap<(Operator, Meets), u64>> = RefCell::default();
    laws::for_fixed(|script| {
        let (written, definition) = definition(script, true);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let is_over = |name: &str| definition.sources().iter().any(|source| source == name || source == "events");
        let met = meets(&stored, is_over);
        for operator in &written.operators {
            for case in &met {
                *counts.borrow_mut().entry((*operator, *case)).or_default() += 1;
            }
        }
    });
    let counts = counts.into_inner();
    let all = operators().into_iter().flat_map(|operator| Meets::ALL.map(|case| (operator, case)));
    let count = |at: &(Operator, Meets)| counts.get(at).copied().unwrap_or_default();
    let least = laws::cases().least;
    let rare: Vec<_> = all.clone().filter(|at| count(at) < least).map(|at| (at, count(&at))).collect();
    let fewest = all.clone().map(|at| (count(&at), at)).min();
    laws::say(&format!("operators and cases: {} pairs, the rarest {fewest:?}", all.count()));
    assert!(rare.is_empty(), "fewer than {least} times: {rare:?}");
}

/// Every moment at which something changes.
fn moments(relations: &BTreeMap<String, Relation>) -> Vec<Timestamp> {
    let versions = relations.values().flat_map(|relation| relation.versions.values().flatten());
    versions.flat_map(|version| [Some(version.valid_from), version.valid_to]).flatten().collect()
}

fn fold(stream: &Stream, definition: &Definition, stored: &[StoredEvent]) -> Projected {
    let mut projected = Projected::new(&stream.schemas, definition);
    stored.chunk_by(|a, b| a.position.version() == b.position.version()).for_each(|commit| projected.fold(commit));
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
