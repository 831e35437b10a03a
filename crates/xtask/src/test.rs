//! `cargo xtask test` and `soak`: every test there is, on one build.

use crate::command::{cargo, run, target_dir};
use crate::readers;
use anyhow::Result;

/// How long the tests may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// What CI runs.
    Ci,
    /// The same tests over many more cases; they see it in the environment variable `DELTAFOLD_SOAK`.
    Soak,
}

/// One selection of packages and features for building and testing, so that dependencies are built once.
const SELECTION: [&str; 3] = ["--workspace", "--features", "failpoints,xtask/bench"];

/// Builds and runs the tests.
pub(crate) fn run_all(length: Length) -> Result<()> {
    // The crash tests start the binary, which `cargo test` alone would not build.
    run("build", cargo().arg("build").args(SELECTION).args(["--bins", "--tests"]))?;
    let mut tests = cargo();
    tests.arg("test").args(SELECTION);
    if length == Length::Soak {
        tests.env("DELTAFOLD_SOAK", "1").args(["--", "--show-output"]);
    }
    run("tests", &mut tests)?;
    readers::check(&target_dir().join("debug").join("deltafold"))
}
