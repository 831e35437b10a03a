//! The laws of `fold.md` for views of random definitions over generated histories with every case that it names.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_projection::{self as projection, Definition, Relations, Statement};
use deltafold_projector::{Ordered, Said, ViewInfo, ViewKind};
use deltafold_tests::{
    generator::{Delivery, Script, Stream},
    kept::{Kept, OnDisk},
    laws,
    naive::{self, Relation},
    projections::{
        Batch, Meets, Operator, Projected, Span, Table, Written, declared, difference, meets, operators, relations,
        write,
    },
    recording::Recording,
};
use deltafold_view::At;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

/// How many definitions each history is projected by, in memory.
const DEFINITIONS: u64 = 5;

/// The definitions of a history.
fn definitions(script: &Script) -> impl Iterator<Item = (Written, Definition)> {
    (0..DEFINITIONS).map(|number| definition(script, number, false))
}

/// One of them; also over the log, or not.
fn definition(script: &Script, number: u64, has_log: bool) -> (Written, Definition) {
    let written = write(&mut SmallRng::seed_from_u64(script.seed.wrapping_add(number) ^ 0xDEF1), has_log);
    let file = written.file();
    let statement = Statement::parse("projections/v.sql", &file).unwrap_or_else(|problem| panic!("{file}\n{problem}"));
    let definition = Definition::check(&statement, &relations()).unwrap_or_else(|problem| panic!("{file}\n{problem}"));
    (written, definition)
}

#[test]
fn law_1_any_split_into_batches_gives_the_same() {
    laws::hold("law 1", |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::of(&stream, script.seed);
        for (written, definition) in definitions(script) {
            let expected = fold(&stream, &definition, &stream.stored(&delivery, &[1]));
            for sizes in [vec![usize::MAX], batches(script.seed)] {
                let found = fold(&stream, &definition, &stream.stored(&delivery, &sizes));
                assert_eq!(found.versions(), expected.versions(), "in batches of {sizes:?}: {}", written.query);
            }
        }
    });
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
        let commits: Vec<&[StoredEvent]> =
            stored.chunk_by(|a, b| a.position.version() == b.position.version()).collect();
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
            let projected = fold(&stream, &definition, &stored);
            let rebuilt = projected.rebuilt(&definition);
            assert_eq!(rebuilt.versions(), projected.versions(), "{}", written.query);
            assert_eq!(rebuilt.remembered(), projected.remembered(), "{}", written.query);
            let built = projected.built_by_key(&definition, script.seed);
            assert_eq!(built.versions(), projected.versions(), "key by key: {}", written.query);
            assert_eq!(built.remembered(), projected.remembered(), "key by key: {}", written.query);
        }
    });
}

/// As a server keeps it, and over the log as well; at some positions, at the moments that are known there.
#[test]
fn law_4_holds_on_disk() {
    let batch = Batch::default();
    laws::hold_in_part("law 4 on disk", 8, |script| {
        let (written, definition) = definition(script, 0, true);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x4D15);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let commits: Vec<&[StoredEvent]> =
            stored.chunk_by(|a, b| a.position.version() == b.position.version()).collect();
        let defined_at = random.random_range(0..commits.len().max(1));
        let (mut folded, mut waiting) = (0, Vec::new());
        for (at, commit) in commits.iter().enumerate() {
            waiting.extend_from_slice(commit);
            let order = (at == defined_at).then(|| Ordered::Defined { sql: written.file() });
            waiting.extend(order.map(|ordered| control(ordered, commit)));
            folded += commit.len();
            let is_last = at + 1 == commits.len();
            if !is_last && random.random_ratio(3, 4) {
                continue;
            }
            kept.fold(&std::mem::take(&mut waiting));
            if random.random_ratio(1, 3) {
                kept.restart();
            }
            if at < defined_at {
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
                let expected = batch.rows(&definition, &written.query, &Table::at(&relations, so_far, moment));
                if let Some(difference) = difference(&at_moment(&found, moment), &expected) {
                    let events = naive::listing(so_far, &stream.schemas);
                    panic!("{}\nat {moment}\n{difference}of\n{events}", written.query);
                }
            }
            // What was believed at any position before, which takes an index of its own.
            if !is_last && random.random_ratio(3, 4) {
                continue;
            }
            let then = &so_far[..random.random_range(1..=so_far.len())];
            let position = then[then.len() - 1].position;
            let (believed, relations) = (kept.believed("v", position), naive(&stream, then));
            let mut chosen: Vec<Timestamp> =
                self::moments(&relations).choose(&mut random).copied().into_iter().collect();
            chosen.push(Timestamp::MAX);
            for moment in chosen {
                let expected = batch.rows(&definition, &written.query, &Table::at(&relations, then, moment));
                if let Some(difference) = difference(&at_moment(&believed, moment), &expected) {
                    let events = naive::listing(so_far, &stream.schemas);
                    panic!("{}\nat {moment} and {position}\n{difference}of\n{events}", written.query);
                }
            }
        }
    });
}

/// As a server keeps it: what it has shown at the end of a batch it still shows as of that, whatever came later.
#[test]
fn law_7_a_later_event_never_changes_what_a_view_has_shown() {
    let compared = Cell::new(0);
    laws::hold_in_part("law 7 on disk", 8, |script| {
        let (written, _) = definition(script, 0, true);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x1A77);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let mut shown = Vec::new();
        for (at, commit) in stored.chunk_by(|a, b| a.position.version() == b.position.version()).enumerate() {
            let order = (at == 0).then(|| control(Ordered::Defined { sql: written.file() }, commit));
            kept.fold(&commit.iter().cloned().chain(order).collect::<Vec<_>>());
            if random.random_ratio(1, 4) {
                kept.restart();
            }
            // One that is built anew because of the restart is behind until then.
            kept.finish_building();
            let position = Position::from_i64(kept.checkpoint().as_i64() - 1).expect("there were events");
            shown.extend(kept.derived("v").map(|versions| (position, versions)));
        }
        for (position, then) in shown {
            let moments: Vec<Timestamp> = then.values().flatten().map(|span| span.0).collect();
            let mut chosen: Vec<Timestamp> = moments.choose_multiple(&mut random, 2).copied().collect();
            chosen.push(Timestamp::MAX);
            for time in chosen {
                let Some(now) = kept.derived_as_of("v", At { time, position }) else { continue };
                compared.set(compared.get() + now.len());
                let then = at_moment(&then, time);
                if now != then {
                    let events = naive::listing(&stored, &stream.schemas);
                    panic!("{}\nat {time} and {position}\n{now:?}\nonce\n{then:?}\nof\n{events}", written.query);
                }
            }
        }
    });
    assert!(compared.get() > 1_000, "{} rows were compared", compared.get());
}

fn at_moment(versions: &BTreeMap<Arc<str>, Vec<Span>>, moment: Timestamp) -> BTreeMap<Arc<str>, Arc<str>> {
    let holds = |span: &&Span| span.0 <= moment && span.1.is_none_or(|end| moment < end);
    let row = |versions: &[Span]| versions.iter().find(holds).map(|span| Arc::clone(&span.2));
    versions.iter().filter_map(|(key, versions)| Some((Arc::clone(key), row(versions)?))).collect()
}

/// As a server keeps it: defined at some time, built beside what goes on, restarted in the middle of it, built again; held,
/// shown, undone, given up, paused and resumed in any order.
#[test]
fn laws_5_and_6_a_restart_and_a_rebuild_change_nothing_on_disk() {
    laws::hold_in_part("laws 5 and 6", 8, |script| {
        let (written, definition) = definition(script, 0, false);
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
                std::cmp::Ordering::Greater => random.random_ratio(1, 3).then(|| order(&mut random)),
            };
            did.extend(order.iter().map(|order| (at, format!("{order:?}"))));
            commit.extend(order.map(|ordered| control(ordered, &commit)));
            kept.fold(&commit);
            match random.random_range(0..6) {
                0 => {
                    did.push((at, "restart".to_owned()));
                    kept.restart();
                }
                1 => {
                    did.push((at, "finish building".to_owned()));
                    kept.finish_building();
                }
                // What comes next finds them over.
                2 => {
                    did.push((at, "wait for builds".to_owned()));
                    kept.wait_for_builds();
                }
                _ => {}
            }
        }
        kept.finish_building();
        if !kept.catalog().projections.iter().all(|projection| projection.is_live) {
            let last = stored.last().expect("there are events");
            let next = Position::new(last.position.version() + 1, 0).expect("few events");
            let resumed = control(Ordered::Resumed, commits[commits.len() - 1]);
            kept.fold(&[StoredEvent { position: next, ..resumed }]);
            kept.finish_building();
        }
        let found = kept.derived("v");
        let problem = kept.catalog().projections.iter().find_map(|projection| projection.problem.clone());
        match (found, problem) {
            (Some(found), None) => {
                let events = naive::listing(&stored, &stream.schemas);
                assert_eq!(found, expected.versions(), "{}\n{did:?}\nof\n{events}", written.query);
            }
            // Some tables have no events in short histories.
            (None, Some(problem)) => {
                assert!(problem.contains("no relation") || problem.contains("no column"), "{problem}");
            }
            (found, problem) => panic!("{problem:?}, and found {found:#?}"),
        }
    });
}

fn order(random: &mut SmallRng) -> Ordered {
    match random.random_range(0..8) {
        0 => Ordered::Rebuild { hold: false },
        1 | 2 => Ordered::Rebuild { hold: true },
        3 => Ordered::Swapped,
        4 => Ordered::Undone,
        5 => Ordered::Cancelled,
        6 => Ordered::Paused,
        _ => Ordered::Resumed,
    }
}

/// What a real Debezium told of a real shop, projected, is what the same SQL gives over the database's own rows of each
/// recorded moment.
#[test]
fn the_shop_s_views_are_their_queries_over_the_database_s_own_rows() {
    let shop = Recording { folder: "shop", stream: "shop", declared: "" };
    let (commits, schemas) = shop.commits(700);
    let mut kept = OnDisk::new(&schemas);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../projections");
    let files = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let definitions: BTreeMap<String, String> = files
        .map(|path| {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("names are UTF-8").to_owned();
            (name, fs::read_to_string(&path).expect("it can be read"))
        })
        .collect();
    for (number, commit) in commits.iter().enumerate() {
        let mut commit = commit.clone();
        if number == 1 {
            for (name, sql) in &definitions {
                let order = named(name, Ordered::Defined { sql: sql.clone() }, &commit);
                commit.push(order);
            }
        }
        kept.fold(&commit);
    }
    kept.finish_building();
    let catalog = kept.catalog();
    let problems: Vec<_> = catalog.projections.iter().filter_map(|info| info.problem.as_ref()).collect();
    assert!(problems.is_empty() && definitions.len() >= 8, "{problems:?} of {definitions:?}");
    let mirrors = catalog.views.iter().filter(|view| view.kind == ViewKind::Mirror);
    let mirrors: BTreeMap<&str, &ViewInfo> = mirrors.map(|view| (&*view.name, &**view)).collect();
    let relations: Relations = mirrors
        .values()
        .map(|mirror| (mirror.name.to_string(), projection::Relation::new(mirror.columns.clone(), mirror.key.clone())))
        .collect();
    let batch = Batch::default();
    let mut compared = 0;
    for (name, sql) in &definitions {
        let statement = Statement::parse(&format!("{name}.sql"), sql).expect("it is right");
        let definition = Definition::check(&statement, &relations).expect("it is right");
        if definition.sources() == ["events"] {
            // Of the shop's own events there is no other truth than they are.
            continue;
        }
        let query = &sql[sql.find("SELECT").expect("it selects")..].trim_end().trim_end_matches(';');
        let found = kept.derived(name).expect("it is shown");
        for moment in shop.moments() {
            let tables = moment.tables.iter().filter_map(|(name, rows)| {
                let columns = mirrors.get(name.as_str())?.columns.clone();
                Some(Table { name: name.clone(), columns, rows: rows.clone() })
            });
            let expected = batch.rows(&definition, query, &tables.collect::<Vec<_>>());
            let at = moment.at.parse().expect("a moment");
            if let Some(difference) = difference(&at_moment(&found, at), &expected) {
                panic!("{name} at {}\n{difference}", moment.at);
            }
            compared += expected.len();
        }
    }
    assert!(compared > 5_000, "{compared} rows were compared");
}

/// Where commits are rarer than beliefs are kept, each lets go of what was believed before it.
#[test]
fn a_rare_commit_forgets_what_was_believed_before_it() {
    const HOURS: i64 = 3_600_000_000;
    let shop = Recording { folder: "shop", stream: "shop", declared: "" };
    let (mut commits, schemas) = shop.commits(100);
    let sql = "CREATE MATERIALIZED VIEW v WITH (key = 'status') AS
         SELECT status, count(*) AS orders FROM orders GROUP BY status";
    let order = control(Ordered::Defined { sql: sql.to_owned() }, &commits[1]);
    commits[1].push(order);
    let mut kept = OnDisk::new(&schemas);
    for (number, commit) in commits.iter().enumerate() {
        kept.fold_at(commit, Timestamp::from_micros(2 * HOURS * number as i64));
        kept.finish_building();
    }
    let end = kept.checkpoint();
    // It waits for what is being forgotten.
    kept.restart();
    let first = kept.views().snapshot().first_end_since(Timestamp::MIN).expect("the index can be read");
    assert_eq!(first, Some(end), "of {} commits", commits.len());
}

fn control(ordered: Ordered, commit: &[StoredEvent]) -> StoredEvent {
    named("v", ordered, commit)
}

fn named(name: &str, ordered: Ordered, commit: &[StoredEvent]) -> StoredEvent {
    let last = commit.last().expect("a commit has events");
    let event = Said { ordered, by: "test".to_owned(), reason: None }.event(name, last.recorded_at);
    StoredEvent { position: last.position.next(), recorded_at: last.recorded_at, event }
}

/// Each operator meets each thing that can befall the rows it is over, often enough.
#[test]
fn every_operator_meets_every_case() {
    let counts: RefCell<BTreeMap<(Operator, Meets), u64>> = RefCell::default();
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
