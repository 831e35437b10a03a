//! What a benchmark takes on its command line.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use xtask::generator::{Config, Keys};

pub(crate) const USAGE: &str = "\
cargo xtask bench ingest|commit|fold|joins|graphql|rebuild|kafka|latency [OPTIONS]
  --events N          events in the stream (default 1000000; commit: commits, default 10000)
  --keys SPREAD       uniform, zipf or hot (default uniform; graphql: hot)
  --seed N            of the stream (default 1)
  --runs N            repeated so often, medians are reported (default 3)";

/// The options, with what was not said left open where benchmarks differ.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) events: Option<u64>,
    pub(crate) keys: Option<Keys>,
    pub(crate) seed: u64,
    pub(crate) runs: usize,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { events: None, keys: None, seed: 1, runs: 3 };
        let mut arguments = arguments.iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().with_context(|| format!("{name} {value}: not a number"));
            match name.as_str() {
                "--events" => options.events = Some(number()?),
                "--keys" => options.keys = Some(value.parse().map_err(anyhow::Error::msg)?),
                "--seed" => options.seed = number()?,
                "--runs" => options.runs = number()?.max(1) as usize,
                _ => bail!("no such option: {name}"),
            }
        }
        Ok(options)
    }

    /// The stream to measure with, where nothing else was said with these keys.
    pub(crate) fn stream(&self, keys: Keys) -> Config {
        Config { seed: self.seed, events: self.events.unwrap_or(1_000_000), keys: self.keys.unwrap_or(keys) }
    }
}

/// Where our files go: beside the build products.
pub(crate) fn work_dir(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe().context("find our own program")?;
    let target = program.ancestors().nth(2).context("our program lies in target/release")?;
    let dir = target.join("xtask").join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    Ok(dir)
}

/// The program being measured, built beside ours.
pub(crate) fn deltafold() -> Result<PathBuf> {
    let program = std::env::current_exe().context("find our own program")?.with_file_name("deltafold");
    if !program.exists() {
        bail!("{} is not built (cargo xtask bench builds it)", program.display());
    }
    Ok(program)
}
