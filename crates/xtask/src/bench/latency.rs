//! `bench latency`: from producing a change to Kafka until GraphQL shows it, durable, at several rates.

use crate::ingest::{clear, data_dir};
use crate::kafka::configure;
use crate::numbers::Series;
use crate::options::{Options, deltafold};
use crate::stream::Stream;
use crate::topic::{Record, Topic};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use xtask::generator::Keys;
use xtask::http::Connection;
use xtask::server::Server;
use xtask::stack::{Options as StackOptions, Stack};

const PARTITIONS: u32 = 8;
const RATES: [u64; 3] = [1_000, 10_000, 50_000];
/// How long each rate is kept up, and how often a change is watched meanwhile.
const STRETCH: Duration = Duration::from_secs(20);
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// Before anything is measured.
const WARM_UP: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn run(options: &Options) -> Result<()> {
    let most = RATES[2] * (STRETCH + WARM_UP).as_secs();
    let config = options.stream(Keys::Uniform);
    let stream = Stream::make(&xtask::generator::Config { events: config.events.max(most), ..config })?;
    let lines: Vec<Vec<u8>> = BufReader::new(File::open(&stream.file)?).split(b'\n').collect::<Result<_, _>>()?;
    println!("latency: produced to visible, a change every {} ms among the others", PROBE_INTERVAL.as_millis());
    println!("  events/s    produced/s    p50 ms    p99 ms    most ms    changes");
    for rate in RATES {
        // A broker and a data directory of its own: no rate starts with what the one before has left.
        let stack = Stack::up(&StackOptions { kafka: true, ..StackOptions::default() })?;
        let topic = Topic::create(stack.kafka()?, "bench", PARTITIONS)?;
        let data = data_dir("latency")?;
        clear(&data)?;
        let config = configure(&data, &stack.kafka()?.address())?;
        let mut command = Command::new(deltafold()?);
        command.arg("--data").arg(&data).arg("--config").arg(&config).args(["run", "--listen", "127.0.0.1:0"]);
        let server = Server::start(&mut command)?;
        server.wait_until_ready()?;
        let (per_second, latency_ms) = measure(&topic, &lines, rate, &server)?;
        println!(
            "  {rate:>8} {per_second:>13.0} {:>9.1} {:>9.1} {:>10.1} {:>10}",
            latency_ms.median(),
            latency_ms.quantile(0.99),
            latency_ms.quantile(1.0),
            latency_ms.len()
        );
        drop(server);
        clear(&data)?;
    }
    Ok(())
}

/// Produces at a rate, and watches a change now and then.
fn measure(topic: &Topic, lines: &[Vec<u8>], rate: u64, server: &Server) -> Result<(f64, Series)> {
    let (done, produced) = (AtomicBool::new(false), AtomicU64::new(0));
    let (latency_ms, elapsed) = std::thread::scope(|scope| -> Result<_> {
        let load = scope.spawn(|| produce(topic, lines, rate, &done, &produced));
        let begun = Instant::now();
        let watched = watch(topic, server, begun);
        let elapsed = begun.elapsed();
        done.store(true, Ordering::Relaxed);
        load.join().expect("producing does not panic")?;
        Ok((watched?, elapsed))
    })?;
    Ok((produced.load(Ordering::Relaxed) as f64 / elapsed.as_secs_f64(), latency_ms))
}

fn produce(topic: &Topic, lines: &[Vec<u8>], rate: u64, done: &AtomicBool, produced: &AtomicU64) -> Result<()> {
    let begun = Instant::now();
    let mut sent = 0u64;
    for line in lines.iter().cycle() {
        while begun.elapsed().as_secs_f64() * rate as f64 <= sent as f64 {
            if done.load(Ordering::Relaxed) {
                return topic.flush();
            }
            topic.poll();
            std::thread::park_timeout(Duration::from_millis(1));
        }
        if done.load(Ordering::Relaxed) {
            return topic.flush();
        }
        topic.send(&Record::of_line(line), None)?;
        sent += 1;
        produced.store(sent, Ordering::Relaxed);
    }
    Ok(())
}

/// Milliseconds from producing each probe until it is shown. Probes go to one partition: they are shown in their order.
fn watch(topic: &Topic, server: &Server, begun: Instant) -> Result<Series> {
    let mut latency_ms = Series::default();
    let mut waiting: VecDeque<(u64, Instant)> = VecDeque::new();
    let mut next = 0u64;
    let mut connection = server.connect()?;
    let mut knows_probes = false;
    while begun.elapsed() < WARM_UP + STRETCH || !waiting.is_empty() {
        let due = begun + PROBE_INTERVAL * next as u32;
        if begun.elapsed() < WARM_UP + STRETCH && Instant::now() >= due {
            let (key, value) = probe(next);
            let line = format!("{{\"key\":{key},\"value\":{value}}}");
            topic.send(&Record::of_line(line.as_bytes()), Some(0))?;
            topic.poll();
            waiting.push_back((next, Instant::now()));
            next += 1;
        }
        let Some((id, produced)) = waiting.front().copied() else {
            std::thread::park_timeout(Duration::from_millis(1));
            continue;
        };
        ensure!(produced.elapsed() < LIMIT, "change {id} is not shown");
        // Before the first of them there is no such view, and asking for it is an error.
        if !knows_probes {
            knows_probes = shows_view(&mut connection)?;
        }
        if knows_probes && shows(&mut connection, id)? {
            if begun.elapsed() > WARM_UP {
                latency_ms.push(produced.elapsed().as_secs_f64() * 1e3);
            }
            waiting.pop_front();
        } else {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }
    Ok(latency_ms)
}

fn shows_view(connection: &mut Connection) -> Result<bool> {
    let answer = connection.graphql("{ projection(name: \"probes\") { name } }", &json!(null))?;
    Ok(!answer["projection"].is_null())
}

fn shows(connection: &mut Connection, id: u64) -> Result<bool> {
    let document = "query($id: BigInt!) { probesByKey(id: $id) { id } }";
    let answer = connection.graphql(document, &json!({"id": id.to_string()})).context("ask for a probe")?;
    Ok(!answer["probesByKey"].is_null())
}

/// Key and value of a change that makes a row of its own.
fn probe(id: u64) -> (String, String) {
    let time_us = xtask::generator::BEGIN_US as u64 + id * 1000;
    let source = json!({
        "connector": "postgresql", "name": "probe", "ts_ms": time_us / 1000, "ts_us": time_us, "snapshot": "false",
        "db": "probe", "schema": "public", "table": "probes", "txId": id + 1, "lsn": 1000 + id * 8,
    });
    let value = json!({"before": null, "after": {"id": id, "note": "seen?"}, "source": source, "op": "c", "ts_ms": time_us / 1000});
    (json!({"id": id}).to_string(), value.to_string())
}
