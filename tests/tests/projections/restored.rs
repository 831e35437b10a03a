//! Derived views where databases are restored: what is taken back of their sources is taken back of what follows from it.

use std::cell::Cell;

use deltafold_event::{Position, StoredEvent};
use deltafold_projector::Ordered;
use deltafold_tests::{
    generator::{Delivery, Stream},
    kept::{Kept, OnDisk},
    laws,
    naive::Restored,
    projections::{Batch, declared, shop},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{assert_is_query, batches, commits, definition};

#[test]
fn law_4_holds_where_databases_are_restored() {
    let batch = Batch::default();
    let taken_back = Cell::new(0_u64);
    laws::hold_restored("law 4, restored", 4, |script| {
        let defined = definition(script, 0, false);
        let stream = Stream::of(script);
        let stored = stream.stored(&Delivery::in_partitions(&stream, script.seed), &batches(script.seed));
        let mut random = SmallRng::seed_from_u64(script.seed ^ 0x4E57);
        let mut kept = OnDisk::new(&stream.schemas).with_declared(declared());
        let commits = commits(&stored);
        let defined_at = random.random_range(0..commits.len().div_ceil(2).max(1));
        let (mut folded, mut waiting): (_, Vec<StoredEvent>) = (0, Vec::new());
        for (at, commit) in commits.iter().enumerate() {
            waiting.extend_from_slice(commit);
            let order = (at == defined_at).then(|| Ordered::Defined { sql: defined.0.file() });
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
            let so_far = &stored[..folded];
            let told = Restored::of(so_far);
            taken_back.set(taken_back.get() + u64::from(told.resets().taken_back > 0));
            let fold = |name: &str| told.fold(name, &stream.schemas, Position::MAX);
            let relations = stream.types().into_iter().map(|name| (name.to_owned(), fold(name))).collect();
            assert_is_query(&batch, &defined, (&stream, so_far), &relations, &found, &mut random);
        }
    });
    laws::say(&format!("views compared after events were taken back: {}", taken_back.get()));
    assert!(taken_back.get() > 20, "after events were taken back a view was compared {} times", taken_back.get());
}
