//! Derived views where databases are restored: what is taken back of their sources is taken back of what follows from it.

use std::cell::Cell;

use deltafold_event::{Position, StoredEvent, Timestamp};
use deltafold_projector::Ordered;
use deltafold_tests::{
    generator::{Delivery, Stream},
    kept::{Kept, OnDisk},
    laws,
    naive::{self, Restored},
    projections::{Batch, Table, at_moment, declared, difference, shop},
};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{batches, commits, definition, moments};

#[test]
fn law_4_holds_where_databases_are_restored() {
    let batch = Batch::default();
    let compared = Cell::new(0_u64);
    laws::hold_restored("law 4, restored", 8, |script| {
        let (written, definition) = definition(script, 0, false);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::in_partitions(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x4E57);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let commits = commits(&stored);
        let defined_at = random.random_range(0..commits.len().div_ceil(2).max(1));
        let (mut folded, mut waiting): (_, Vec<StoredEvent>) = (0, Vec::new());
        for (at, commit) in commits.iter().enumerate() {
            waiting.extend_from_slice(commit);
            let order = (at == defined_at).then(|| Ordered::Defined { sql: written.file() });
            waiting.extend(order.map(|ordered| shop::ordered("v", ordered, commit)));
            folded += commit.len();
            let is_last = at + 1 == commits.len();
            if !is_last && random.random_ratio(2, 3) {
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
            // It waits where a table has had no events yet.
            let Some(found) = kept.derived("v") else { continue };
            compared.set(compared.get() + u64::from(stream.restores > 0));
            let so_far = &stored[..folded];
            let told = Restored::of(so_far);
            let fold = |name: &str| told.fold(name, &stream.schemas, Position::MAX);
            let relations = stream.types().into_iter().map(|name| (name.to_owned(), fold(name))).collect();
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
        }
    });
    assert!(compared.get() > 20, "{} times where a database is restored", compared.get());
}
