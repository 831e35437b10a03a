//! `bench rebuild`: a view built anew from the mirrors. First with nothing else going on; then while events arrive and
//! reads go on, which are compared with what they were before.

use crate::head::{check_totals, definition, expected_totals};
use crate::ingest::{clear, data_dir, ingest};
use crate::load::Load;
use crate::numbers::{Series, figure};
use crate::options::{Options, deltafold, work_dir};
use crate::process::{self, measure};
use crate::servers::{Processors, answering};
use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xtask::expected::plain;
use xtask::generator::Keys;
use xtask::http::Connection;
use xtask::server::{Running, Server};

/// How many reads a second there are, and how many events arrive.
const READS: f64 = 100.0;
const ARRIVING: f64 = 5_000.0;
/// How long reads are looked at before the rebuild.
const BEFORE: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(1_800);

pub(crate) fn run(options: &Options) -> Result<()> {
    let stream = Stream::make(&options.stream(Keys::Uniform))?;
    let definitions = definition("rebuild-projections", "customer_id")?;
    let expected = expected_totals(&stream.generated.model, "customer_id")?;
    let data = data_dir("rebuild")?;
    let events = stream.generated.counts.events as f64;
    let (mut rate, mut processor, mut peak) = <(Series, Series, Series)>::default();
    for run in 1..=options.runs {
        clear(&data)?;
        process::run(&mut ingest(&stream.file, &data)?)?;
        process::run(&mut query(&data, "{ orders(first: 1) { totalCount } }", None)?)?;
        let (_, usage) = measure(&mut query(&data, "{ totals(first: 1) { totalCount } }", Some(&definitions))?)?;
        check_totals(&data, &expected).with_context(|| format!("run {run}"))?;
        rate.push(events / usage.elapsed_s);
        processor.push(usage.processor_s / (events / 1e6));
        peak.push(usage.peak_mib);
    }
    println!("rebuild from the mirrors: {} runs, each checked: every group as the database has it", options.runs);
    println!("  events/s, starting and answering included   {rate}");
    println!("  processor seconds per million               {processor}");
    println!("  peak memory, MiB                            {peak}");
    beside(&data, &stream, &definitions)?;
    clear(&data)
}

fn query(data: &Path, document: &str, definitions: Option<&Path>) -> Result<Command> {
    let mut command = Command::new(deltafold()?);
    command.arg("--data").arg(data).args(["query", document]).current_dir(work_dir("empty")?);
    if let Some(definitions) = definitions {
        command.env("DELTAFOLD_PROJECTIONS__DIR", definitions);
    }
    Ok(command)
}

/// Rebuilds while events arrive and reads go on.
fn beside(data: &Path, stream: &Stream, definitions: &Path) -> Result<()> {
    let server = answering(data, Processors::All)?;
    let ids = stream.generated.model.orders.iter().map(|order| order.id).step_by(97).take(2_000);
    let document = "query ($id: BigInt!) { ordersByKey(id: $id) { id status total customerId } }";
    let requests = ids.map(|id| {
        let body = json!({ "query": document, "variables": { "id": id.to_string() } }).to_string();
        Connection::request(server.address(), "/graphql", &body)
    });
    let load = Load::new(server.address(), requests.collect(), b"\"customerId\"");
    load.warm_up()?;

    let arriving = data.with_extension("arriving.jsonl");
    let is_over = AtomicBool::new(false);
    let (before, during, took, aggregates) = std::thread::scope(|scope| -> Result<_> {
        let feeding = scope.spawn(|| feed(&arriving, stream, data, &is_over));
        let before = load.paced_asleep(READS, BEFORE)?;
        let watching = scope.spawn(|| rebuild(&server));
        let mut during = Series::default();
        while !watching.is_finished() {
            during.extend(load.paced_asleep(READS, Duration::from_secs(2))?.into_values());
        }
        is_over.store(true, Ordering::SeqCst);
        let (took, aggregates) = watching.join().expect("watching does not panic")?;
        feeding.join().expect("feeding does not panic")?;
        Ok((before, during, took, aggregates))
    })?;
    server.wait_until_ready()?;
    ensure!(definitions.exists(), "the definitions are kept");
    let ratio = during.quantile(0.99) / before.quantile(0.99);
    println!(
        "rebuild beside {READS} reads and {ARRIVING} arriving events a second: {aggregates} aggregates in {took:.1} s; \
         reads before: p50 {} ms, p99 {} ms; meanwhile: p50 {} ms, p99 {} ms: {} × ({} reads)",
        figure(before.median()),
        figure(before.quantile(0.99)),
        figure(during.median()),
        figure(during.quantile(0.99)),
        figure(ratio),
        during.len()
    );
    fs::remove_file(&arriving)?;
    Ok(())
}

/// Orders a rebuild, to be compared; how long it took, and of how many aggregates it was. What was built is the same as
/// what is shown.
fn rebuild(server: &Server) -> Result<(f64, String)> {
    let mut connection = server.connect()?;
    let begun = Instant::now();
    connection.graphql("mutation { rebuildProjection(name: \"totals\", hold: true) { position } }", &json!({}))?;
    let document = "{ projection(name: \"totals\") { error build { ofAggregates } } }";
    let diff = "{ projectionDiff(name: \"totals\") { same added removed changed inThePast } }";
    let mut aggregates = String::new();
    loop {
        ensure!(begun.elapsed() < LIMIT, "the rebuild does not end");
        let found = connection.graphql(document, &json!({}))?;
        let projection = &found["projection"];
        ensure!(projection["error"].is_null(), "{projection}");
        let is_built = projection["build"].is_null() && !aggregates.is_empty();
        if !projection["build"].is_null() {
            aggregates = plain(&projection["build"]["ofAggregates"]);
        }
        if is_built {
            let took = begun.elapsed().as_secs_f64();
            let diff = connection.graphql(diff, &json!({}))?["projectionDiff"].take();
            let differs = ["added", "removed", "changed", "inThePast"].iter().any(|part| diff[*part] != "0");
            ensure!(!diff.is_null() && !differs, "what was built differs: {diff}");
            return Ok((took, aggregates));
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

/// Has a process follow a file, to which lines are written evenly: new orders, as the stream's are.
fn feed(file: &Path, stream: &Stream, data: &Path, is_over: &AtomicBool) -> Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    let mut command = ingest(file, data)?;
    let following = Running(command.arg("--follow").stdout(std::process::Stdio::null()).spawn()?);
    let begun = Instant::now();
    let mut written = 0.0;
    let mut next = 10_000_000_u64;
    for line in BufReader::new(File::open(&stream.file)?).split(b'\n') {
        let Ok(text) = String::from_utf8(line?) else { continue };
        let Ok(mut event) = serde_json::from_str::<Value>(&text) else { continue };
        if event["value"]["op"] != "c" || event["value"]["source"]["table"] != "orders" {
            continue;
        }
        next += 1;
        event["key"]["id"] = json!(next);
        event["value"]["after"]["id"] = json!(next);
        event["value"]["source"]["lsn"] = json!(9_000_000_000_u64 + next);
        writeln!(out, "{event}")?;
        written += 1.0;
        while begun.elapsed().as_secs_f64() * ARRIVING < written {
            out.flush()?;
            if is_over.load(Ordering::SeqCst) {
                drop(following);
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
    while !is_over.load(Ordering::SeqCst) {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    drop(following);
    Ok(())
}
