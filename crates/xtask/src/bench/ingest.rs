//! `bench ingest`: a file into the durable event store, by the program as it is released.

use crate::numbers::{Series, figure};
use crate::options::{Options, deltafold, work_dir};
use crate::process::{self, measure};
use crate::stream::Stream;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::audit::Audit;
use xtask::generator::Keys;

pub(crate) fn run(options: &Options) -> Result<()> {
    let stream = Stream::make(&options.stream(Keys::Uniform))?;
    let counts = &stream.generated.counts;
    let millions = counts.events as f64 / 1e6;
    let (mut rate, mut processor, mut peak, mut megabytes) = <(Series, Series, Series, Series)>::default();
    let data = data_dir("ingest")?;
    for run in 1..=options.runs {
        clear(&data)?;
        let (_, usage) = measure(&mut ingest(&stream.file, &data)?)?;
        Audit::of(&data)?.check(counts).with_context(|| format!("run {run}"))?;
        rate.push(counts.events as f64 / usage.elapsed_s);
        megabytes.push(stream.bytes as f64 / 1e6 / usage.elapsed_s);
        processor.push(usage.processor_s / millions);
        peak.push(usage.peak_mib);
    }
    println!("ingest: {} runs, each checked: rows, distinct ids and dead letters as generated", options.runs);
    println!("  events/s                        {rate}");
    println!("  MB/s                            {megabytes}");
    println!("  processor seconds per million   {processor}");
    println!("  peak memory, MiB                {peak}");
    let before = Audit::of(&data)?.bytes as f64 / counts.events as f64;
    process::run(Command::new(deltafold()?).arg("--data").arg(&data).arg("compact"))?;
    let after = Audit::of(&data)?;
    after.check(counts).context("after compaction")?;
    println!(
        "  bytes on disk per event         {}, compacted {}",
        figure(before),
        figure(after.bytes as f64 / counts.events as f64)
    );
    clear(&data)
}

/// The command that appends `file` to `data`.
pub(crate) fn ingest(file: &Path, data: &Path) -> Result<Command> {
    let mut command = Command::new(deltafold()?);
    command.arg("--data").arg(data).args(["--json", "ingest", "--file"]).arg(file);
    // Its own defaults, whatever lies about.
    command.current_dir(work_dir("empty")?);
    Ok(command)
}

/// A data directory of a benchmark, which need not exist.
pub(crate) fn data_dir(name: &str) -> Result<PathBuf> {
    Ok(work_dir("data")?.join(name))
}

/// Removes a data directory.
pub(crate) fn clear(data: &Path) -> Result<()> {
    match std::fs::remove_dir_all(data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", data.display()))
        }
        _ => Ok(()),
    }
}
