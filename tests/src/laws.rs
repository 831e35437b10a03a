//! How a law is held against many histories.

use std::{env, io::Write};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use crate::generator::{Script, restored_scripts, scripts};

/// The steps of the longest history.
const MOST_STEPS: usize = 70;

/// How many times as many histories there are in which databases are restored: not every restore is noticed.
const RESTORED: u32 = 2;

/// Cases from the fixed seed, and fresh ones beside them.
#[derive(Debug, Clone, Copy)]
pub struct Cases {
    /// The same in every run.
    pub fixed: u32,
    /// Others each time.
    pub fresh: u32,
    /// How often each case of `fold.md` must have occurred among the fixed ones.
    pub least: u64,
}

/// How many cases this run is to try: CI's number, or soak's where the environment has `DELTAFOLD_SOAK`. With
/// `DELTAFOLD_CASES` that many fresh ones.
pub fn cases() -> Cases {
    let fresh = env::var("DELTAFOLD_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = ci_or_soak();
    Cases { fresh: fresh.unwrap_or(cases.fresh), ..cases }
}

fn ci_or_soak() -> Cases {
    if is_soak() {
        Cases { fixed: 14_000, fresh: 2_000, least: 1_000 }
    } else {
        Cases { fixed: 256, fresh: 16, least: 20 }
    }
}

fn is_soak() -> bool {
    env::var_os("DELTAFOLD_SOAK").is_some()
}

/// Holds a law, which panics where it is broken, against histories from the fixed seed and against fresh ones. A
/// history that breaks it is made as small as it gets. `DELTAFOLD_SEED` (64 hex digits) repeats a fresh run.
///
/// # Panics
/// With the smallest history found that breaks the law.
pub fn hold(name: &str, law: impl Fn(&Script)) {
    hold_in_part(name, 1, law);
}

/// Likewise, but with one in so many of soak's histories: for what takes long.
///
/// # Panics
/// As [`hold`].
pub fn hold_in_part(name: &str, one_in: u32, law: impl Fn(&Script)) {
    hold_against(name, if is_soak() { one_in } else { 1 }, 1, &scripts(MOST_STEPS), law);
}

fn hold_against(name: &str, one_in: u32, times: u32, scripts: &impl Strategy<Value = Script>, law: impl Fn(&Script)) {
    let Cases { fixed, fresh, .. } = cases();
    let (fixed, fresh) = (fixed * times / one_in, fresh * times / one_in);
    run(name, &[7; 32], fixed, scripts, &law);
    let seed = match env::var("DELTAFOLD_SEED") {
        Ok(digits) => from_hex(&digits),
        Err(_) => rand::random(),
    };
    run(name, &seed, fresh, scripts, &law);
}

/// Goes through the histories of the fixed seed.
///
/// # Panics
/// As `each` does.
pub fn for_fixed(each: impl Fn(&Script)) {
    run("fixed", &[7; 32], cases().fixed, &scripts(MOST_STEPS), &each);
}

/// Holds a law against histories in which databases are restored, as [`hold`] does against others; with one in so many
/// of them.
///
/// # Panics
/// As [`hold`].
pub fn hold_restored(name: &str, one_in: u32, law: impl Fn(&Script)) {
    hold_against(name, one_in, RESTORED, &restored_scripts(MOST_STEPS), law);
}

/// Goes through the histories of the fixed seed in which databases are restored.
///
/// # Panics
/// As `each` does.
pub fn for_restored(each: impl Fn(&Script)) {
    run("fixed", &[7; 32], cases().fixed * RESTORED, &restored_scripts(MOST_STEPS), &each);
}

fn run(name: &str, seed: &[u8; 32], cases: u32, scripts: &impl Strategy<Value = Script>, law: &impl Fn(&Script)) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        max_shrink_time: 120_000,
        ..Config::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, seed);
    let outcome = TestRunner::new_with_rng(config, random).run(scripts, |script| {
        law(&script);
        Ok::<(), TestCaseError>(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, script)) => {
            panic!("{name} is broken, with DELTAFOLD_SEED={}: {reason}\nby {script:#?}", to_hex(seed))
        }
        Err(TestError::Abort(reason)) => panic!("{name}: {reason}"),
    }
}

/// Says something that is read even when the test passes.
pub fn say(text: &str) {
    // A closed output is no reason to fail a test.
    writeln!(std::io::stdout(), "{text}").ok();
}

fn to_hex(seed: &[u8; 32]) -> String {
    seed.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(digits: &str) -> [u8; 32] {
    let mut seed = [0; 32];
    for (at, byte) in seed.iter_mut().enumerate() {
        let digits = digits.get(2 * at..2 * at + 2).expect("DELTAFOLD_SEED has 64 hex digits");
        *byte = u8::from_str_radix(digits, 16).expect("DELTAFOLD_SEED has 64 hex digits");
    }
    seed
}
