//! Folding at the head: mirrors and a group-by together, commit by commit, into an index that readers use.
//!
//! What is measured is `deltafold query` on a data directory whose index knows the beginning of the stream: it folds the
//! rest as a running server does, answers and ends.

use crate::ingest::{clear, data_dir, ingest};
use crate::numbers::Series;
use crate::options::{Options, deltafold, work_dir};
use crate::process::{self, measure};
use crate::servers::{Processors, answering};
use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::expected::{all_rows, plain};
use xtask::generator::Model;

/// A group-by, and the order in which the stream arrives.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The column of orders that rows are grouped by; its GraphQL field in the view is `grp`.
    pub(crate) by: &'static str,
    /// By how many seconds of source time the last of eight partitions is behind the first.
    pub(crate) skew_s: i64,
}

/// How many lines come before what is measured.
const BEGINNING: usize = 20_000;
const PARTITIONS: u64 = 8;

pub(crate) fn run(options: &Options, stream: &Stream, case: &Case) -> Result<()> {
    let data = data_dir("head")?;
    let definitions = definition("head-projections", case.by)?;
    let parts = split(&stream.file, case)?;
    let expected = expected_totals(&stream.generated.model, case.by)?;
    let what = format!("{}: every group as the database has it", case.name);
    measure_rest(options, &data, parts, &what, || query(&data, &definitions), || check_totals(&data, &expected))?;
    Ok(())
}

/// A stream in two files, of which the second is measured.
pub(crate) struct Parts {
    pub(crate) beginning: PathBuf,
    pub(crate) rest: PathBuf,
    /// How many changes are in it.
    pub(crate) changes: usize,
}

/// Measures a query that folds the rest of a stream; its peak memory, in MiB. The files are removed.
pub(crate) fn measure_rest(
    options: &Options,
    data: &Path,
    Parts { beginning, rest, changes }: Parts,
    what: &str,
    query: impl Fn() -> Result<Command>,
    check: impl Fn() -> Result<()>,
) -> Result<f64> {
    let (mut rate, mut processor, mut peak) = <(Series, Series, Series)>::default();
    for run in 1..=options.runs {
        clear(data)?;
        process::run(&mut ingest(&beginning, data)?)?;
        process::run(&mut query()?)?;
        process::run(&mut ingest(&rest, data)?)?;
        if run == options.runs {
            // It may be larger than all that is made of it.
            [&beginning, &rest].into_iter().try_for_each(fs::remove_file)?;
        }
        let (_, usage) = measure(&mut query()?)?;
        check().with_context(|| format!("run {run}"))?;
        rate.push(changes as f64 / usage.elapsed_s);
        processor.push(usage.processor_s / (changes as f64 / 1e6));
        peak.push(usage.peak_mib);
    }
    println!("fold at the head, {} runs, each checked, {what}", options.runs);
    println!("  events/s, starting and answering included   {rate}");
    println!("  processor seconds per million               {processor}");
    println!("  peak memory, MiB                            {peak}");
    clear(data)?;
    Ok(peak.median())
}

/// A folder with one definition: orders by a column.
pub(crate) fn definition(folder: &str, by: &str) -> Result<PathBuf> {
    let definitions = work_dir(folder)?;
    let sql = format!(
        "CREATE MATERIALIZED VIEW totals WITH (key = 'grp') AS\n\
         SELECT {by} AS grp, count(*) AS orders, sum(items) AS items, sum(CAST(total AS DECIMAL(12, 2))) AS total\n\
         FROM orders GROUP BY {by}"
    );
    fs::write(definitions.join("totals.sql"), sql)?;
    Ok(definitions)
}

fn query(data: &Path, definitions: &Path) -> Result<Command> {
    let mut command = Command::new(deltafold()?);
    command.arg("--data").arg(data).args(["query", "{ totals(first: 1) { totalCount } }"]);
    command.current_dir(work_dir("empty")?).env("DELTAFOLD_PROJECTIONS__DIR", definitions);
    Ok(command)
}

/// The lines in the order in which they arrive.
fn split(file: &Path, case: &Case) -> Result<Parts> {
    // Some of the lines are no text.
    let all = fs::read(file)?;
    let mut lines: Vec<(i64, &[u8])> = Vec::new();
    // Within a partition lines keep their order: what was read from a table stands where it arrived.
    let mut newest = [0; PARTITIONS as usize];
    for line in all.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let text = str::from_utf8(line).unwrap_or_default();
        let id = number(text, "{\"key\":{\"id\":").unwrap_or(0).unsigned_abs();
        // A tombstone follows what it is of.
        let behind = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (PARTITIONS - 1);
        let newest = &mut newest[behind as usize];
        *newest = number(text, "\"ts_us\":").unwrap_or(*newest).max(*newest);
        lines.push((*newest + behind as i64 * case.skew_s * 1_000_000 / (PARTITIONS as i64 - 1), line));
    }
    lines.sort_by_key(|(arrival, _)| *arrival);
    let parts = lines.split_at(BEGINNING.min(lines.len()));
    let write = |name: &str, lines: &[(i64, &[u8])]| {
        let path = work_dir("streams")?.join(name);
        let text: Vec<u8> = lines.iter().flat_map(|(_, line)| line.iter().chain(b"\n")).copied().collect();
        fs::write(&path, text)?;
        anyhow::Ok(path)
    };
    Ok(Parts {
        beginning: write("head-beginning.jsonl", parts.0)?,
        rest: write("head-rest.jsonl", parts.1)?,
        changes: parts.1.len(),
    })
}

fn number(line: &str, before: &str) -> Option<i64> {
    let rest = &line[line.find(before)? + before.len()..];
    rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '-')?].parse().ok()
}

/// Group → how many, items, cents.
pub(crate) type Totals = BTreeMap<String, (u64, u64, u64)>;

pub(crate) fn expected_totals(model: &Model, by: &str) -> Result<Totals> {
    let mut totals = Totals::new();
    for order in &model.orders {
        let row: Value = serde_json::from_str(&order.to_json())?;
        let (orders, items, cents) = totals.entry(plain(&row[by])).or_default();
        *orders += 1;
        *items += row["items"].as_u64().context("items is a number")?;
        *cents += plain(&row["total"]).replace('.', "").parse::<u64>()?;
    }
    Ok(totals)
}

/// Compares the groups that a server shows with those expected.
pub(crate) fn check_totals(data: &Path, expected: &Totals) -> Result<()> {
    let server = answering(data, Processors::All)?;
    let found = all_rows(&mut server.connect()?, "totals", "grp", "grp orders items total")?;
    ensure!(found.len() == expected.len(), "{} groups, should be {}", found.len(), expected.len());
    for row in found {
        let cents = plain(&row["total"]).replace('.', "").parse::<u64>()?;
        let [orders, items] = ["orders", "items"].map(|name| plain(&row[name]).parse::<u64>().unwrap_or(u64::MAX));
        let group = plain(&row["grp"]);
        let should = expected.get(&group).with_context(|| format!("a group {group} that should not be there"))?;
        ensure!(*should == (orders, items, cents), "group {group}: {row}, should be {should:?}");
    }
    Ok(())
}
