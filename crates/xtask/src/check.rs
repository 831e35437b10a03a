//! `cargo xtask check`: what must hold of the code without running it.

mod arrows;
mod deny;
mod purity;

use anyhow::Result;
use xtask::command::{cargo, run};

/// Everything, cheapest first.
pub(crate) fn check_all() -> Result<()> {
    self::arrows::check()?;
    self::purity::check()?;
    run_cargo("formatting", &["fmt", "--all", "--check"])?;
    self::deny::check()?;
    run_cargo(
        "lints",
        &[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--features",
            "failpoints,xtask/bench",
            "--",
            "--deny",
            "warnings",
        ],
    )
}

fn run_cargo(what: &str, arguments: &[&str]) -> Result<()> {
    run(what, cargo().args(arguments))
}
