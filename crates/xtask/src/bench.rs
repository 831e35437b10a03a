//! `cargo xtask bench`: builds the measuring program and what it measures, both as they are released, and runs it.

use anyhow::Result;
use std::process::Command;
use xtask::command::{cargo, run, target_dir};

const NAMES: [&str; 8] = ["ingest", "commit", "fold", "joins", "graphql", "rebuild", "kafka", "latency"];

/// Runs the benchmark of that name.
pub(crate) fn run_named(name: &str, arguments: &[&str]) -> Result<()> {
    if !NAMES.contains(&name) {
        anyhow::bail!("no such benchmark: {name} ({})", NAMES.join(", "));
    }
    // One invocation, so that the two programs share one build of their dependencies.
    let mut build = cargo();
    build.args(["build", "--release", "--package", "xtask", "--bin", "bench", "--features", "xtask/bench"]);
    build.args(["--package", "deltafold", "--bin", "deltafold"]);
    run("build for measuring", &mut build)?;
    let mut bench = Command::new(target_dir().join("release").join("bench"));
    run(&format!("bench {name}"), bench.arg(name).args(arguments))
}
