//! The laws for derived views as a server keeps them.

use std::{cell::Cell, collections::BTreeSet};

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_projector::Ordered;
use deltafold_tests::{
    generator::{Delivery, Script, Stream},
    kept::{Kept, OnDisk},
    laws, naive,
    projections::{Batch, Table, at_moment, declared, difference, shop},
};
use deltafold_view::At;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{assert_is_query, batches, commits, definition, fold};

/// Two views of one definition.
const NAMES: [&str; 2] = ["v", "w"];

/// As a server keeps it, and over the log as well; at some positions, at the moments that are known there.
#[test]
fn law_4_holds_on_disk() {
    let batch = Batch::default();
    laws::hold_in_part("law 4 on disk", 8, |script| {
        let defined = definition(script, 0, true);
        let (written, definition) = &defined;
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x4D15);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let commits = commits(&stored);
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
            let relations = super::naive(&stream, so_far);
            assert_is_query(&batch, &defined, (&stream, so_far), &relations, &found, &mut random);
            // What was believed at any position before, which takes an index of its own.
            if !is_last && random.random_ratio(3, 4) {
                continue;
            }
            let then = &so_far[..random.random_range(1..=so_far.len())];
            let position = then[then.len() - 1].position;
            let (believed, relations) = (kept.believed("v", position), super::naive(&stream, then));
            let mut chosen: Vec<Timestamp> =
                super::moments(&relations).choose(&mut random).copied().into_iter().collect();
            chosen.push(Timestamp::MAX);
            for moment in chosen {
                let expected = batch.rows(definition, &written.query, &Table::at(&relations, then, moment));
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
        for (at, commit) in commits(&stored).into_iter().enumerate() {
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

/// As a server keeps it: defined at some time, built beside what goes on, restarted in the middle of it, built again; held,
/// shown, undone, given up, paused and resumed in any order. Two that are the same, which share what their joins remember.
#[test]
fn laws_5_and_6_a_restart_and_a_rebuild_change_nothing_on_disk() {
    let shared = Cell::new(0);
    laws::hold_in_part("laws 5 and 6", 8, |script| {
        let (written, definition) = definition(script, 0, false);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::of(&stream, script.seed), &batches(script.seed));
        let expected = fold(&stream, &definition, &stored);
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0xD15C);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let commits = commits(&stored);
        if commits.is_empty() {
            return;
        }
        let mut did = vec![];
        let defined_at = NAMES.map(|_| random.random_range(0..commits.len()));
        for (at, commit) in commits.iter().enumerate() {
            let mut commit = commit.to_vec();
            for (name, defined_at) in NAMES.iter().zip(defined_at) {
                let order = match at.cmp(&defined_at) {
                    std::cmp::Ordering::Less => None,
                    std::cmp::Ordering::Equal => Some(Ordered::Defined { sql: written.file_of(name) }),
                    std::cmp::Ordering::Greater => random.random_ratio(1, 3).then(|| order(&mut random)),
                };
                did.extend(order.iter().map(|order| (at, format!("{name}: {order:?}"))));
                commit.extend(order.map(|ordered| shop::ordered(name, ordered, &commit)));
            }
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
        let last = stored.last().expect("there are events");
        let mut next = last.position.version();
        for name in NAMES {
            if !kept.catalog().projections.iter().any(|projection| &*projection.name == name && projection.is_live) {
                next += 1;
                let resumed = shop::ordered(name, Ordered::Resumed, commits[commits.len() - 1]);
                let position = Position::new(next, 0).expect("few events");
                kept.fold(&[StoredEvent { position, ..resumed }]);
                kept.finish_building();
            }
        }
        for name in NAMES {
            let found = kept.derived(name);
            let projections = kept.catalog().projections;
            let problem = projections.iter().find(|projection| &*projection.name == name);
            match (found, problem.and_then(|projection| projection.problem.clone())) {
                (Some(found), None) => {
                    let events = naive::listing(&stored, &stream.schemas);
                    assert_eq!(found, expected.versions(), "{name}: {}\n{did:?}\nof\n{events}", written.query);
                }
                // Some tables have no events in short histories.
                (None, Some(problem)) => {
                    assert!(problem.contains("no relation") || problem.contains("no column"), "{problem}");
                }
                (found, problem) => panic!("{problem:?}, and found {found:#?}"),
            }
        }
        let owners = arrangements(&kept).into_iter().map(|(owner, _)| owner).collect::<BTreeSet<_>>();
        shared.set(shared.get() + usize::from(owners.len() == 1));
    });
    laws::say(&format!("laws 5 and 6: {} times all was shared", shared.get()));
    assert!(shared.get() > 10, "{} times all was shared", shared.get());
}

/// What joins remember that others can share: the projection that each was built for, and the number of its generation.
fn arrangements(kept: &OnDisk) -> Vec<(String, u32)> {
    let generations = kept.views().generations().into_iter();
    let arranged = generations.filter_map(|(name, number)| Some((name.split_once('/')?.0.to_owned(), number)));
    let mut arranged: Vec<(String, u32)> = arranged.collect();
    arranged.sort();
    arranged
}

/// What two joins remember of the same is there once, as long as any of them needs it.
#[test]
fn views_that_join_the_same_by_the_same_share_what_they_remember_of_it() {
    let (mut commits, schemas) = shop::SHOP.commits(100);
    let sql = |name: &str, what: &str| {
        format!(
            "CREATE MATERIALIZED VIEW {name} WITH (key = 'id') AS SELECT o.id, c.email, {what} AS shown FROM orders AS o \
             JOIN customers AS c ON c.id = o.customer_id"
        )
    };
    // Another expression of the same columns, and other columns of one side.
    let (of_v, of_w, of_x) = (sql("v", "upper(o.status)"), sql("w", "lower(o.status)"), sql("x", "o.total"));
    let rest = commits.split_off(commits.len() / 2);
    let mut rest = rest.into_iter();
    let mut kept = OnDisk::new(&schemas);
    commits.iter().for_each(|commit| kept.fold(commit));
    let mut order = |kept: &mut OnDisk, name: &str, ordered: Ordered| {
        let mut commit = rest.next().expect("there are some more");
        commit.push(shop::ordered(name, ordered, &commit));
        kept.fold(&commit);
        kept.finish_building();
        // What nothing needs is gone with the next commit.
        kept.fold(&rest.next().expect("there are some more"));
        arrangements(kept)
    };
    let is = |found: Vec<(String, u32)>, expected: &[(&str, u32)]| {
        let found: Vec<(&str, u32)> = found.iter().map(|(name, number)| (name.as_str(), *number)).collect();
        assert_eq!(found, expected);
    };
    is(order(&mut kept, "v", Ordered::Defined { sql: of_v }), &[("v", 1), ("v", 1)]);
    is(order(&mut kept, "w", Ordered::Defined { sql: of_w }), &[("v", 1), ("v", 1)]);
    // Of customers it needs the same.
    is(order(&mut kept, "x", Ordered::Defined { sql: of_x }), &[("v", 1), ("v", 1), ("x", 1)]);
    is(order(&mut kept, "v", Ordered::Rebuild { hold: false }), &[("v", 1), ("v", 1), ("x", 1)]);
    kept.restart();
    // What was shown before is built anew: what it shared has gone on without it.
    is(order(&mut kept, "v", Ordered::Undone), &[("v", 1), ("v", 1), ("x", 1)]);
    is(order(&mut kept, "w", Ordered::Paused), &[("v", 1), ("v", 1), ("x", 1)]);
    is(order(&mut kept, "w", Ordered::Resumed), &[("v", 1), ("v", 1), ("x", 1)]);
    // Also what is folded in pieces.
    kept.finish_building();
    let [v, w, x] = ["v", "w", "x"].map(|name| kept.derived(name).expect("it is shown"));
    assert!(v.len() > 100 && v.keys().eq(w.keys()) && v.keys().eq(x.keys()), "{} {} {}", v.len(), w.len(), x.len());
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

/// A definition that is the other one but for parentheses does not go on with what that remembers, also after a restart.
#[test]
fn what_is_shown_goes_on_by_its_own_definition_until_another_one_is_built() {
    let (mut commits, schemas) = shop::SHOP.commits(100);
    let sql = |name: &str, what: &str| {
        format!(
            "CREATE MATERIALIZED VIEW {name} WITH (key = 'status') AS \
             SELECT status, sum({what}) AS shown FROM orders GROUP BY status"
        )
    };
    let (one, other) = ("id - customer_id - id", "id - (customer_id - id)");
    let rest = commits.split_off(commits.len() / 2);
    let mut kept = OnDisk::new(&schemas);
    let mut first = commits.pop().expect("there are some");
    commits.iter().for_each(|commit| kept.fold(commit));
    for (name, what) in [("v", one), ("a", one), ("b", other)] {
        first.push(shop::ordered(name, Ordered::Defined { sql: sql(name, what) }, &first));
    }
    kept.fold(&first);
    kept.finish_building();
    for (at, commit) in rest.iter().enumerate() {
        let mut commit = commit.clone();
        let what = [other, one][at % 2];
        commit.push(shop::ordered("v", Ordered::Defined { sql: sql("v", what) }, &commit));
        kept.fold(&commit);
        kept.restart();
        let [v, a, b] = ["v", "a", "b"].map(|name| kept.derived(name).expect("it is shown"));
        assert!(a != b && (v == a || v == b), "after {at} commits: {v:?}\nis neither {a:?}\nnor {b:?}");
    }
}

/// What cannot be computed of a part of a moment is once all of it is there.
#[test]
fn a_part_of_a_moment_is_not_divided_by() {
    let script = Script { rows_before: 60, snapshot: true, steps: vec![], seed: 1, restored: None };
    let stream = Stream::of(&script);
    let mut commit = stream.stored(&Delivery::as_sent(&stream), &[usize::MAX]);
    let sql = "CREATE MATERIALIZED VIEW v WITH (key = 'k') AS \
               SELECT id * 0 AS k, 1 / (CASE WHEN count(*) = 60 THEN 1 ELSE 0 END) AS n FROM items GROUP BY id * 0";
    commit.push(shop::ordered("v", Ordered::Defined { sql: sql.to_owned() }, &commit));
    let mut kept = OnDisk::new(&stream.schemas);
    kept.fold(&commit);
    kept.finish_building();
    let moments: BTreeSet<Timestamp> = kept.mirrored("items").values().flatten().map(|(from, ..)| *from).collect();
    assert_eq!(moments.len(), 1, "all is of one moment");
    let versions = kept.derived("v").expect("it is shown").into_values().flatten();
    let rows: Vec<_> = versions.map(|span| span.2).collect();
    assert_eq!(rows, [r#"{"k":0,"n":1}"#.into()]);
}

/// What a real Debezium told of a real shop, projected, is what the same SQL gives over the database's own rows of each
/// recorded moment.
#[test]
fn the_shop_s_views_are_their_queries_over_the_database_s_own_rows() {
    let shop::Projected { kept, mirrors, definitions } = shop::projected(|_| true);
    let batch = Batch::default();
    let mut compared = 0;
    for (definition, query) in &definitions {
        let name = definition.name();
        if definition.sources() == ["events"] {
            // Of the shop's own events there is no other truth than they are.
            continue;
        }
        let found = kept.derived(name).expect("it is shown");
        for moment in shop::SHOP.moments() {
            let tables = moment.tables.iter().filter_map(|(name, rows)| {
                let columns = mirrors.get(name.as_str())?.clone();
                Some(Table { name: name.clone(), columns, rows: rows.clone() })
            });
            let expected = batch.rows(definition, query, &tables.collect::<Vec<_>>());
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
    let shop = shop::SHOP;
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
    shop::ordered("v", ordered, commit)
}
