//! Random queries, each held against SQL over the rows of its moment.

use std::{collections::BTreeMap, env};

use deltafold_tests::{
    laws,
    queries::{Kinds, Moment, Query, World},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How many queries each world is asked.
const OF_A_WORLD: u64 = 100;

#[tokio::test(flavor = "multi_thread")]
async fn every_query_answers_what_sql_does() {
    let is_soak = env::var_os("DELTAFOLD_SOAK").is_some();
    let (worlds, least) = if is_soak { (100, 100) } else { (5, 3) };
    let mut kinds = Kinds::default();
    let mut answered: BTreeMap<bool, u64> = BTreeMap::new();
    for seed in 0..worlds {
        let world = World::make(seed).await;
        let mut random = SmallRng::seed_from_u64(seed ^ 0x9E37);
        for _ in 0..OF_A_WORLD {
            let of_this = random.random();
            let mut random = SmallRng::seed_from_u64(of_this);
            let moment = Moment::choose(&mut random, &world);
            let query = Query::write(&mut random, &world);
            let answers = query.ask(&world, &moment).await;
            assert_eq!(
                answers.found,
                answers.expected,
                "in world {seed}, at {moment:?}:\n{}\nfound (left) is not what was expected (right)",
                answers.asked.join("\n")
            );
            let is_empty = answers.expected.is_empty() || answers.expected == ["0"];
            *answered.entry(is_empty).or_default() += 1;
            answers.kinds.iter().for_each(|kind| kinds.count(kind, is_empty));
        }
    }
    laws::say(&format!("random queries: {answered:?} by whether the answer was empty; {kinds:?}"));
    assert_eq!(kinds.rarer_than(least), [], "asked too rarely");
    assert_eq!(kinds.mostly_empty(), [], "mostly empty");
}
