//! `bench kafka`: the records of a topic into the durable event store, with the broker on the same machine.

use crate::ingest::{clear, data_dir};
use crate::numbers::Series;
use crate::options::{Options, deltafold};
use crate::process;
use crate::stream::Stream;
use crate::topic::Topic;
use anyhow::{Context, Result, bail, ensure};
use deltafold_store::{EventStore, Options as StoreOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xtask::audit::Audit;
use xtask::generator::Keys;
use xtask::server::Running;
use xtask::stack::{Options as StackOptions, Stack};

const PARTITIONS: u32 = 8;
const LIMIT: Duration = Duration::from_secs(300);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) fn run(options: &Options) -> Result<()> {
    let stream = Stream::make(&options.stream(Keys::Uniform))?;
    let counts = &stream.generated.counts;
    let millions = counts.events as f64 / 1e6;
    let stack = Stack::up(&StackOptions { kafka: true, ..StackOptions::default() })?;
    let brokers = stack.kafka()?.address();
    let topic = Topic::create(stack.kafka()?, "bench", PARTITIONS)?;
    let begun = Instant::now();
    topic.fill(&stream.file)?;
    println!("topic: {PARTITIONS} partitions, filled in {:.1} s", begun.elapsed().as_secs_f64());
    let ends: BTreeMap<String, i64> =
        topic.ends()?.into_iter().map(|(partition, end)| (format!("bench/bench/{partition}"), end)).collect();

    let (mut rate, mut processor, mut peak) = <(Series, Series, Series)>::default();
    let data = data_dir("kafka")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for run in 1..=options.runs {
        clear(&data)?;
        let config = configure(&data, &brokers)?;
        let mut command = Command::new(deltafold()?);
        command.arg("--data").arg(&data).arg("--config").arg(&config).arg("ingest");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let mut ingest = Running(command.spawn().context("start deltafold ingest")?);
        runtime.block_on(all_there(&data, &ends, &mut ingest)).with_context(|| format!("run {run}"))?;
        let elapsed_s = begun.elapsed().as_secs_f64();
        processor.push(process::processor_s(&ingest.0.id().to_string())? / millions);
        peak.push(process::peak_memory_mib(ingest.0.id())?);
        rate.push(counts.events as f64 / elapsed_s);
        drop(ingest);
        Audit::of(&data)?.check(counts).with_context(|| format!("run {run}"))?;
    }
    println!("kafka: {} runs, each checked: rows, distinct ids and dead letters as generated", options.runs);
    println!("  events/s, starting included     {rate}");
    println!("  processor seconds per million   {processor}");
    println!("  peak memory, MiB                {peak}");
    clear(&data)
}

/// Writes what `deltafold` is told, beside the data.
pub(crate) fn configure(data: &Path, brokers: &str) -> Result<std::path::PathBuf> {
    std::fs::create_dir_all(data).with_context(|| format!("make {}", data.display()))?;
    let config = data.with_extension("toml");
    let text = format!("[sources.bench]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\ntopics = [\"bench\"]\n");
    std::fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
    Ok(config)
}

/// Waits until the store has everything below these offsets.
async fn all_there(data: &Path, ends: &BTreeMap<String, i64>, ingest: &mut Running) -> Result<()> {
    let begun = Instant::now();
    let store = EventStore::open(data, StoreOptions::default()).await?;
    loop {
        store.refresh().await?;
        let missing = ends.iter().filter(|(app_id, end)| store.offset(app_id).unwrap_or(0) < **end).count();
        if missing == 0 {
            return Ok(());
        }
        if let Some(status) = ingest.0.try_wait()? {
            bail!("deltafold ingest ended ({status})");
        }
        ensure!(begun.elapsed() < LIMIT, "{missing} partitions are not read to their ends");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
