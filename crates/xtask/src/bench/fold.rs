//! `bench fold`: the mirror views of a store catch up from nothing; then, at the head, they and a group-by. What is measured is `deltafold query` on a data directory
//! without an index: it opens the store, folds everything, answers and ends.

use crate::head::{self, Case};
use crate::ingest::{clear, data_dir, ingest};
use crate::joined;
use crate::numbers::Series;
use crate::options::{Options, deltafold, work_dir};
use crate::process::{self, measure};
use crate::servers::{Processors, answering};
use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use xtask::expected::{check_all_rows, plain};
use xtask::generator::Keys;

pub(crate) fn run(options: &Options) -> Result<()> {
    let stream = Stream::make(&options.stream(Keys::Uniform))?;
    let counts = &stream.generated.counts;
    let millions = counts.events as f64 / 1e6;
    let data = data_dir("fold")?;
    clear(&data)?;
    process::run(&mut ingest(&stream.file, &data)?)?;
    let (mut rate, mut processor, mut peak) = <(Series, Series, Series)>::default();
    for run in 1..=options.runs {
        clear(&data.join("index"))?;
        let document = "{ orders(first: 1) { totalCount } baskets(first: 1) { totalCount } }";
        let mut command = Command::new(deltafold()?);
        command.arg("--data").arg(&data).args(["query", document]).current_dir(work_dir("empty")?);
        let (answer, usage) = measure(&mut command)?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("query printed {answer}"))?;
        check_count(&answer["data"]["orders"], stream.generated.model.orders.len())?;
        check_count(&answer["data"]["baskets"], stream.generated.model.baskets.len())?;
        check_all_rows(&mut answering(&data, Processors::One)?.connect()?, &stream.generated.model)
            .with_context(|| format!("run {run}"))?;
        rate.push(counts.events as f64 / usage.elapsed_s);
        processor.push(usage.processor_s / millions);
        peak.push(usage.peak_mib);
    }
    println!(
        "fold: {} runs, each checked: every row of both tables as in the database the stream speaks of",
        options.runs
    );
    println!("  events/s, starting and answering included   {rate}");
    println!("  processor seconds per million               {processor}");
    println!("  peak memory, MiB                            {peak}");
    clear(&data)?;
    let cases = [
        Case { name: "a group for each customer", by: "customer_id", skew_s: 0 },
        Case { name: "six hot groups", by: "status", skew_s: 0 },
        Case { name: "six hot groups, eight partitions skewed by ten minutes", by: "status", skew_s: 600 },
    ];
    cases.iter().try_for_each(|case| head::run(options, &stream, case))?;
    joined::run(options)
}

fn check_count(connection: &Value, expected: usize) -> Result<()> {
    let count = plain(&connection["totalCount"]);
    ensure!(count == expected.to_string(), "{count} rows, should be {expected}");
    Ok(())
}
