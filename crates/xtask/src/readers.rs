//! Readers of other makes: Python's deltalake and DuckDB open the event store and count what we count.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::process::Command;
use xtask::command::{cache_dir, output, run, workspace_root};
use xtask::generator::{Config, Counts, Keys, generate};
use xtask::python::python;

const STREAM: Config = Config { seed: 4, events: 20_000, keys: Keys::Uniform };

/// Fills a store with `binary`, and compares all counts, before and after maintenance.
pub(crate) fn check(binary: &Path) -> Result<()> {
    let python = python()?;
    let work = cache_dir("readers")?;
    let data = work.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("remove {}", data.display()))?;
    }
    let file = work.join(STREAM.file_name());
    let out = File::create(&file).with_context(|| format!("write {}", file.display()))?;
    let counts = generate(&STREAM, &mut BufWriter::new(out))?.counts;
    let ours = |arguments: &[&str]| {
        let mut command = Command::new(binary);
        command.arg("--data").arg(&data).args(arguments);
        run(&format!("deltafold {}", arguments.join(" ")), &mut command)
    };
    let file = file.to_str().context("the target folder's name is not UTF-8")?;
    ours(&["ingest", "--file", file])?;
    compare(&python, &data, &counts).context("after ingest")?;
    for care in ["compact", "checkpoint", "vacuum"] {
        ours(&[care])?;
    }
    compare(&python, &data, &counts).context("after maintenance")
}

fn compare(python: &Path, data: &Path, counts: &Counts) -> Result<()> {
    let script = workspace_root().join("tests").join("readers.py");
    let text = output("readers.py", Command::new(python).arg(script).arg(data))?;
    let read: Value = serde_json::from_str(&text).with_context(|| format!("readers.py said {text}"))?;
    for (reader, counted) in read.as_object().context("readers.py prints an object")? {
        eprintln!("xtask: {reader}: {counted}");
        ensure!(counted["rows"] == counts.events, "{reader} counts {} events, not {}", counted["rows"], counts.events);
        ensure!(
            counted["distinct"] == counts.distinct,
            "{reader} counts {} distinct events, not {}",
            counted["distinct"],
            counts.distinct
        );
        ensure!(
            counted["dead_letters"] == counts.poison,
            "{reader} counts {} dead letters, not {}",
            counted["dead_letters"],
            counts.poison
        );
    }
    Ok(())
}
