//! `cargo xtask test` and `soak`: every test there is, on one build.

use crate::readers;
use anyhow::Result;
use xtask::command::{cargo, run, target_dir};

/// How long the tests may take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// What CI runs.
    Ci,
    /// The same tests over many more cases, optimized; they see it in the environment variable `DELTAFOLD_SOAK`.
    Soak,
}

impl Length {
    /// The build profile: its options for cargo, and the folder of its products.
    fn profile(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Ci => (&[], "debug"),
            Self::Soak => (&["--release"], "release"),
        }
    }
}

/// One selection of packages and features for building and testing, so that dependencies are built once.
const SELECTION: [&str; 3] = ["--workspace", "--features", "failpoints,xtask/bench"];

/// Builds and runs the tests.
pub(crate) fn run_all(length: Length) -> Result<()> {
    let (profile, folder) = length.profile();
    // The crash tests start the binary, which `cargo test` alone would not build.
    run("build", cargo().arg("build").args(profile).args(SELECTION).args(["--bins", "--tests"]))?;
    let mut tests = cargo();
    tests.arg("test").args(profile).args(SELECTION);
    if length == Length::Soak {
        tests.env("DELTAFOLD_SOAK", "1").args(["--", "--show-output"]);
    }
    run("tests", &mut tests)?;
    readers::check(&target_dir().join(folder).join("deltafold"))
}
