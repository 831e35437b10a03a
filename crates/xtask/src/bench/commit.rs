//! `bench commit`: does a commit cost the same after ten thousand others? Small appends, maintenance on, readers tailing.

use crate::ingest::{clear, data_dir};
use crate::numbers::{Series, figure};
use crate::options::Options;
use crate::process;
use anyhow::{Context, Result, ensure};
use deltafold_event::{Coordinates, Event, EventId, Identity, Operation, Position, SourcePosition, Timestamp};
use deltafold_store::{Append, EventStore, Offset, Options as StoreOptions};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use xtask::audit::Audit;

const EVENTS_A_COMMIT: u64 = 100;
const READERS: usize = 8;
const APP_ID: &str = "bench/0";
/// Compared with the last hundred.
const EARLY: Range<usize> = 100..200;

pub(crate) fn run(options: &Options) -> Result<()> {
    let commits = options.events.unwrap_or(10_000);
    ensure!(commits >= 400, "too few commits to compare their beginning with their end: {commits}");
    let (mut ratio, mut early, mut late, mut late_p99) = <(Series, Series, Series, Series)>::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let data = data_dir("commit")?;
    let processor_before = process::processor_s("self")?;
    for run in 1..=options.runs {
        clear(&data)?;
        let times_ms = runtime.block_on(measure(&data, commits)).with_context(|| format!("run {run}"))?;
        let audit = Audit::of(&data)?;
        let expected = commits * EVENTS_A_COMMIT;
        ensure!(audit.events == expected, "{} events in the store, not {expected}", audit.events);
        ensure!(audit.distinct == expected, "{} distinct events in the store, not {expected}", audit.distinct);
        let stretch = |range: Range<usize>| {
            let mut series = Series::default();
            series.extend(times_ms[range].iter().copied());
            series
        };
        let (first, last) = (stretch(EARLY), stretch(times_ms.len() - 100..times_ms.len()));
        early.push(first.median());
        late.push(last.median());
        late_p99.push(last.quantile(0.99));
        ratio.push(last.median() / first.median());
        clear(&data)?;
    }
    let events = commits * EVENTS_A_COMMIT * options.runs as u64;
    println!(
        "commit: {} runs of {commits} commits of {EVENTS_A_COMMIT} events, maintenance on, {READERS} readers tailing",
        options.runs
    );
    println!("  each checked: rows and distinct ids in the files, and every reader saw every event in order");
    println!("  commits {}–{}, median ms       {early}", EARLY.start, EARLY.end);
    println!("  the last hundred, median ms    {late}");
    println!("  the last hundred, p99 ms       {late_p99}");
    println!("  last to first                  {ratio}");
    println!(
        "  processor seconds per million  {}",
        figure((process::processor_s("self")? - processor_before) / events as f64 * 1e6)
    );
    println!("  peak memory, MiB               {}", figure(process::peak_memory_mib(std::process::id())?));
    Ok(())
}

/// Milliseconds that each commit took.
async fn measure(data: &Path, commits: u64) -> Result<Vec<f64>> {
    let store = EventStore::open(data, StoreOptions::default()).await?;
    let cancel = CancellationToken::new();
    let maintenance = tokio::spawn({
        let (store, cancel) = (store.clone(), cancel.clone());
        async move { store.maintain(cancel).await }
    });
    let readers: Vec<_> = (0..READERS).map(|_| tokio::spawn(read(store.clone(), commits * EVENTS_A_COMMIT))).collect();
    let mut times_ms = Vec::new();
    for number in 0..commits {
        let events = (0..EVENTS_A_COMMIT).map(|index| event(number * EVENTS_A_COMMIT + index)).collect();
        let offset = Offset {
            app_id: APP_ID.into(),
            expected: store.offset(APP_ID),
            next: ((number + 1) * EVENTS_A_COMMIT) as i64,
        };
        let begun = Instant::now();
        store.append(Append { events, offsets: vec![offset] }).await.with_context(|| format!("commit {number}"))?;
        times_ms.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    for reader in readers {
        reader.await.context("a reader ends")??;
    }
    cancel.cancel();
    maintenance.await.context("maintenance ends")?;
    Ok(times_ms)
}

/// Follows the log until it has seen `total` events, each once and in order.
async fn read(store: EventStore, total: u64) -> Result<()> {
    let mut tail = store.tail(Position::ZERO);
    let mut seen = 0;
    while seen < total {
        for stored in &tail.next().await?.events {
            ensure!(
                stored.event.coordinates.offset as u64 == seen,
                "event {} came as number {seen}",
                stored.event.coordinates.offset
            );
            seen += 1;
        }
    }
    Ok(())
}

fn event(number: u64) -> Event {
    let id: EventId = Identity::domain().text(Some("bench")).text(Some(&number.to_string())).id();
    let key = number % 5_000;
    Event {
        id,
        aggregate_type: "orders".into(),
        aggregate_id: Some(key.to_string()),
        event_type: "updated".into(),
        operation: Some(Operation::Update),
        before: None,
        after: Some(format!(
            "{{\"id\":{key},\"status\":\"shipped\",\"total\":\"{}.50\",\"note\":\"please leave the parcel behind\"}}",
            number % 1000
        )),
        metadata: "{\"source\":{\"connector\":\"postgresql\",\"name\":\"shop\"}}".into(),
        source_position: Some(SourcePosition::postgres(26_492_464 + number * 100)),
        transaction_id: Some((number / 3).to_string().into()),
        occurred_at: Timestamp::from_micros(1_767_225_600_000_000 + number as i64 * 1_000),
        coordinates: Coordinates {
            source: Arc::from("bench"),
            topic: Arc::from("bench"),
            partition: 0,
            offset: number as i64,
        },
        schema_id: None,
    }
}
