//! `cargo xtask bench`: builds the measuring program and what it measures, both as they are released, and runs it.

use anyhow::Result;
use std::process::Command;
use xtask::command::{cargo, run, target_dir};

pub(crate) const NAMES: [&str; 8] = ["ingest", "commit", "fold", "joins", "graphql", "rebuild", "kafka", "latency"];

/// Runs the benchmark of that name.
pub(crate) fn run_named(name: &str, arguments: &[&str]) -> Result<()> {
    if !NAMES.contains(&name) {
        anyhow::bail!("no such benchmark: {name} ({})", NAMES.join(", "));
    }
    // Of the workspace, so that dependencies are built once for this and the tests; without failpoints, as released.
    let mut build = cargo();
    build.args(["build", "--release", "--workspace", "--features", "xtask/bench"]);
    build.args(["--bin", "bench", "--bin", "deltafold"]);
    run("build for measuring", &mut build)?;
    let mut bench = Command::new(target_dir().join("release").join("bench"));
    run(&format!("bench {name}"), bench.arg(name).args(arguments))
}
