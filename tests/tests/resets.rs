//! The laws of `fold.md` where databases are restored: all but the third, which leaves resets out. What is held and goes
//! on is worked out by the naive fold from nothing, for every position.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
};

use deltafold_event::{EventId, Operation, Position, StoredEvent, Timestamp};
use deltafold_tests::{
    generator::{Delivery, Row, Script, Stream},
    kept::{InMemory, Kept, OnDisk},
    laws,
    naive::{self, Content, Relation, Resets, Restored},
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

/// A history as a store holds it.
struct History {
    stream: Stream,
    stored: Vec<StoredEvent>,
}

impl History {
    fn of(script: &Script) -> Self {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::in_partitions(&stream, script.seed), &batches(script.seed));
        Self { stream, stored }
    }

    fn expected(&self) -> BTreeMap<String, Relation> {
        let restored = Restored::of(&self.stored);
        let fold = |name: &str| restored.fold(name, &self.stream.schemas, Position::MAX);
        self.stream.types().into_iter().map(|name| (name.to_owned(), fold(name))).collect()
    }

    /// Whether the newest restore was noticed and goes on, and a complete snapshot of the table's database followed it.
    fn is_told_by_snapshot(&self, table: &str, epochs: &[Option<(u32, bool)>]) -> bool {
        let origin = if table == "crates" { "maria" } else { "gen" };
        let mut is_told = false;
        let (mut newest, mut oldest_of_newest, mut newest_of_older) = (None, u32::MAX, 0);
        for (stored, epoch) in self.stored.iter().zip(epochs) {
            let metadata: Value = serde_json::from_str(&stored.event.metadata).expect("it is JSON");
            let (Some((epoch, counts)), true) = (epoch, metadata["source"]["name"] == origin) else { continue };
            let headers = metadata["headers"].as_array().map(Vec::as_slice).unwrap_or_default();
            let run = headers.chunks(2).find(|pair| pair[0] == "__debezium.context.runId");
            let run = run.and_then(|pair| pair[1].as_str()?.rsplit('-').next()?.parse::<u32>().ok());
            let Some(restore) = run.map(|run| run / 100) else { return false };
            if restore < self.stream.restores {
                newest_of_older = newest_of_older.max(*epoch);
                continue;
            }
            let marker = metadata["source"]["snapshot"].as_str().unwrap_or_default();
            is_told |= marker == "last";
            newest = newest.max(Some(*counts));
            oldest_of_newest = oldest_of_newest.min(*epoch);
        }
        let is_noticed = self.stream.restores > 0 && newest_of_older < oldest_of_newest;
        is_told && is_noticed && newest == Some(true)
    }

    fn fold<K: Kept>(&self, seed: u64) -> K {
        let mut kept = K::new(&self.stream.schemas);
        pieces(&self.stored, seed).into_iter().for_each(|piece| kept.fold(piece));
        kept
    }

    /// Keys, valid intervals, contents and event ids must be the same; positions may differ.
    fn assert_same(&self, kept: &impl Kept, expected: &BTreeMap<String, Relation>, what: &str) {
        for (name, expected) in expected {
            let found = kept.relation(name, Position::MAX, expected);
            let flaw = naive::difference(&found.versions, &expected.versions).or_else(|| kept.flaw(name));
            if let Some(flaw) = flaw {
                panic!("{what}: {name}\n{flaw}\nof\n{}", naive::listing(&self.stored, &self.stream.schemas));
            }
        }
    }
}

fn law_1_any_split_into_batches_gives_the_same<K: Kept>() {
    laws::hold_restored("law 1", K::ONE_IN, |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::in_partitions(&stream, script.seed);
        let one_by_one = History { stored: stream.stored(&delivery, &[1]), stream: Stream::of(script) };
        let expected = one_by_one.expected();
        for batches in [vec![1], vec![usize::MAX], batches(script.seed)] {
            let history = History { stored: stream.stored(&delivery, &batches), stream: Stream::of(script) };
            history.assert_same(&history.fold::<K>(script.seed), &expected, &format!("in batches of {batches:?}"));
        }
    });
}

fn law_2_delivering_again_changes_nothing<K: Kept>() {
    laws::hold_restored("law 2", K::ONE_IN, |script| {
        let stream = Stream::of(script);
        let delivery = Delivery::in_partitions(&stream, script.seed);
        let once = History { stored: stream.stored(&delivery, &[1]), stream: Stream::of(script) };
        let expected = once.expected();
        let doubled = delivery.doubled(&stream, script.seed);
        let history = History { stored: stream.stored(&doubled, &batches(script.seed)), stream };
        for (name, found) in history.expected() {
            if let Some(difference) = naive::difference(&found.versions, &expected[&name].versions) {
                let events = naive::listing(&history.stored, &history.stream.schemas);
                panic!("the naive fold itself: {name}\n{difference}of\n{events}");
            }
        }
        history.assert_same(&history.fold::<K>(script.seed), &expected, "delivered again");
    });
}

fn law_6_a_restart_changes_nothing<K: Kept>() {
    laws::hold_restored("law 6", K::ONE_IN, |script| {
        let history = History::of(script);
        let mut random = SmallRng::seed_from_u64(script.seed);
        let mut kept = K::new(&history.stream.schemas);
        for piece in pieces(&history.stored, script.seed) {
            kept.fold(piece);
            if random.random_ratio(1, 3) {
                kept.restart();
            }
        }
        history.assert_same(&kept, &history.expected(), "restarted");
    });
}

fn law_7_a_later_event_never_changes_the_past<K: Kept>() {
    laws::hold_restored("law 7", K::ONE_IN, |script| {
        let history = History::of(script);
        let kept: K = history.fold(script.seed);
        let restored = Restored::of(&history.stored);
        let mut random = SmallRng::seed_from_u64(script.seed);
        let most = K::POSITIONS.min(8);
        for StoredEvent { position, .. } in history.stored.choose_multiple(&mut random, most) {
            for name in history.stream.types() {
                let expected = without_revisions(restored.fold(name, &history.stream.schemas, *position));
                let found = without_revisions(kept.relation(name, *position, &expected));
                if let Some(difference) = found.difference(&expected) {
                    let events = naive::listing(&history.stored, &history.stream.schemas);
                    panic!("{name} at {position}\n{difference}of\n{events}");
                }
            }
        }
    });
}

/// Numbers of revisions that were taken back are not given again, which the naive fold does not know.
fn without_revisions(mut relation: Relation) -> Relation {
    for entry in relation.history.values_mut().flatten() {
        entry.revision = entry.revision.map(|_| 0);
    }
    relation
}

/// Law 5: a rebuild from nothing, in bulk, by position and aggregate by aggregate, is the same, position for position.
#[test]
fn law_5_a_rebuild_gives_the_same() {
    let by_aggregate = Cell::new(0);
    laws::hold_restored("law 5", OnDisk::ONE_IN, |script| {
        let history = History::of(script);
        let folded: OnDisk = history.fold(script.seed);
        let mut in_bulk = OnDisk::in_bulk(&history.stream.schemas);
        pieces(&history.stored, script.seed ^ 1).into_iter().for_each(|piece| in_bulk.fold(piece));
        in_bulk.end_bulk();
        assert_eq!(in_bulk.written(), folded.written(), "in bulk");

        let half = history.stored.len() / 2;
        let (beginning, rest) = history.stored.split_at(half);
        let mut loaded = OnDisk::load(&history.stream.schemas, beginning, usize::MAX);
        if loaded.checkpoint() > Position::ZERO {
            by_aggregate.set(by_aggregate.get() + 1);
        } else {
            loaded.fold(beginning);
        }
        loaded.fold(rest);
        loaded.end_bulk();
        assert_eq!(loaded.written(), folded.written(), "loaded");
    });
    assert!(by_aggregate.get() > 0, "both ways are to be tried");
}

/// Law 8: once the operator has let a restored database go on, and a complete snapshot has told what it has, the end is
/// what it has now, lost rows and all; until then it is what it had before.
#[test]
fn law_8_the_end_is_what_the_database_has() {
    let compared = Cell::new(0_u64);
    laws::hold_restored("law 8", 1, |script| {
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::as_sent(&stream), &batches(script.seed));
        let history = History { stream, stored };
        let restored = Restored::of(&history.stored);
        for (name, rows) in &history.stream.rows {
            if !history.is_told_by_snapshot(name, &restored.epochs()) {
                continue;
            }
            let relation = restored.fold(name, &history.stream.schemas, Position::MAX);
            let found: BTreeSet<String> =
                relation.at(Timestamp::MAX).values().map(|version| columns(&version.content)).collect();
            let expected: BTreeSet<String> = rows.iter().map(|row| columns(&content(row))).collect();
            if found != expected {
                let events = naive::listing(&history.stored, &history.stream.schemas);
                panic!("{name}: {found:#?} instead of {expected:#?}\nof\n{events}");
            }
            compared.set(compared.get() + 1);
        }
    });
    laws::say(&format!("{} tables compared with what the database has", compared.get()));
    assert!(compared.get() >= laws::cases().least, "only {} tables were compared", compared.get());
}

const BEGAN_EARLIER: &str = "an epoch was found to have begun earlier";

/// The laws above are held against the same histories, so that what is counted here is what they were tried on.
#[test]
fn every_case_occurs() {
    let all: RefCell<BTreeMap<&str, u64>> = RefCell::default();
    laws::for_restored(|script| {
        let history = History::of(script);
        let restored = Restored::of(&history.stored);
        let Resets { noticed, began_earlier, held, released, taken_back, late, swept, several } = restored.resets();
        let (mut lost, mut emptied) = (0, 0);
        let snapshots = history.stored.iter().map(|stored| &stored.event);
        let snapshots = snapshots.filter(|event| event.operation == Some(Operation::Read));
        let table_of: BTreeMap<EventId, &str> = snapshots.map(|event| (event.id, &*event.aggregate_type)).collect();
        for name in history.stream.types() {
            let relation = restored.fold(name, &history.stream.schemas, Position::MAX);
            let ends = relation.history.values().flatten();
            let ends = ends.filter(|entry| entry.content.is_none() && entry.revision.is_none());
            for table in ends.filter_map(|end| table_of.get(&end.event)) {
                lost += 1;
                emptied += u64::from(*table != name);
            }
        }
        let mut all = all.borrow_mut();
        for (what, count) in [
            ("a reset was noticed", noticed),
            (BEGAN_EARLIER, began_earlier),
            ("an epoch is held", held),
            ("an epoch was released", released),
            ("an event was taken back", taken_back),
            ("an event of an old epoch was late", late),
            ("a snapshot replaced what was known", swept),
            ("a database was restored several times", several),
            ("a row was lost", lost),
            ("a row was lost whose table was emptied", emptied),
        ] {
            *all.entry(what).or_default() += count;
        }
    });
    let all = all.into_inner();
    laws::say(&format!("how often what resets make occurred: {all:#?}"));
    let least = laws::cases().least;
    // Two partitions have to show one restore through different runs, and the later run to be read first.
    let least_of = |what: &str| if what == BEGAN_EARLIER { 1 } else { least };
    let rare: Vec<_> = all.into_iter().filter(|(what, count)| *count < least_of(what)).collect();
    assert_eq!(rare, [], "cases that occurred fewer than {least} times");
}

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

fn content(row: &Row) -> Content {
    Content::parse(&Value::Object(row.clone()).to_string(), false)
}

/// The row but for the column that comes and goes: adding or dropping one sends no event.
fn columns(content: &Content) -> String {
    let columns = content.columns.iter().filter(|(name, _)| *name != "extra");
    format!("{:?}", columns.collect::<Vec<_>>())
}
