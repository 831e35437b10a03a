//! GraphQL by key over HTTP: now, as of a time, as of a position; of keys with few versions and of one with
//! thousands. Throughput and the middle latency with the server on one processor and the load, which never sleeps, on
//! another: the kinds are compared there. The slowest answers as in use: on all processors, from a load that sleeps. A load
//! that never does leaves two processors none for anything else on the machine, which then takes its time from the server.

use crate::ingest::{clear, data_dir, ingest};
use crate::load::Load;
use crate::numbers::{Series, figure};
use crate::options::Options;
use crate::process::{self, while_pinned};
use crate::servers::{LOAD_PROCESSOR, Processors, answering, bare};
use crate::stream::Stream;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use xtask::audit::positions_by_line;
use xtask::expected::{all_columns, check_row, rfc3339};
use xtask::generator::{Keys, Model};
use xtask::http::Connection;
use xtask::server::Server;

const STRETCH: Duration = Duration::from_secs(4);
const SELECTION: &str = "id customerId status total email updatedAt";
/// How many different requests of one kind are sent in turn.
const REQUESTS: usize = 2_000;

/// One kind of request.
struct Kind {
    name: &'static str,
    /// Variables, and the row that is the right answer.
    questions: Vec<(Value, Option<String>)>,
}

/// What was measured of one kind, run by run.
#[derive(Default)]
struct Seen {
    /// On one processor: requests a second, and milliseconds at half of that.
    full: Series,
    p50: Series,
    /// On all of them, which the load shares.
    full_all: Series,
    p50_all: Series,
    p99_all: Series,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let stream = Stream::make(&options.stream(Keys::Hot))?;
    let model = &stream.generated.model;
    let data = data_dir("reads")?;
    clear(&data)?;
    process::run(&mut ingest(&stream.file, &data)?)?;
    let positions = positions_by_line(&data, Model::watched)?;
    let kinds = kinds(model, &positions)?;
    println!("hot key: {} events of one order", model.history[&Model::HOT].len());
    let mut seen: Vec<Seen> = kinds.iter().map(|_| Seen::default()).collect();
    while_pinned(LOAD_PROCESSOR, || on_one_processor(&data, &kinds, &mut seen, options.runs))?;
    on_all_processors(&data, &kinds, &mut seen, options.runs)?;

    let now = seen[0].p50.median();
    println!("  one processor{:>33} {:>26}", "requests/s", "ms at half of them, p50");
    for (kind, Seen { full, p50, .. }) in kinds.iter().zip(&seen) {
        println!("    {:<28} {full:>16} {p50:>26}   {} × now", kind.name, figure(p50.median() / now));
    }
    println!("  all processors{:>32} {:>26} {:>26}", "requests/s", "ms at half of them, p50", "p99");
    for (kind, Seen { full_all, p50_all, p99_all, .. }) in kinds.iter().zip(&seen) {
        println!("    {:<28} {full_all:>16} {p50_all:>26} {p99_all:>26}", kind.name);
    }
    clear(&data)
}

fn on_one_processor(data: &Path, kinds: &[Kind], seen: &mut [Seen], runs: usize) -> Result<()> {
    let server = answering(data, Processors::One)?;
    let mut connection = server.connect()?;
    for kind in kinds {
        check(kind, &mut connection).with_context(|| format!("check {}", kind.name))?;
    }
    println!("checked: {} answers as the model has them", kinds.iter().map(|kind| kind.questions.len()).sum::<usize>());
    let bare = bare(Processors::One)?;
    let bare_load = load(&kinds[0], &bare);
    let (mut bare_rate, mut share) = <(Series, Series)>::default();
    for _ in 0..runs {
        bare_load.warm_up()?;
        let bare_per_second = bare_load.full(STRETCH)?.per_second;
        bare_rate.push(bare_per_second);
        for (index, (kind, seen)) in kinds.iter().zip(&mut *seen).enumerate() {
            let load = load(kind, &server);
            load.warm_up()?;
            let per_second = load.full(STRETCH)?.per_second;
            if index == 0 {
                share.push(per_second / bare_per_second * 100.0);
            }
            seen.full.push(per_second);
            seen.p50.push(load.paced(per_second / 2.0, STRETCH)?.latency_ms.median());
        }
    }
    println!("reads: {runs} runs, server on one processor");
    println!("  bare axum JSON, requests/s      {bare_rate}");
    println!("  by key now, share of that, %    {share}");
    println!(
        "  server: {} s of processor time, peak {} MiB",
        figure(process::processor_s(&server.id().to_string())?),
        figure(process::peak_memory_mib(server.id())?)
    );
    Ok(())
}

fn on_all_processors(data: &Path, kinds: &[Kind], seen: &mut [Seen], runs: usize) -> Result<()> {
    let (server, bare) = (answering(data, Processors::All)?, bare(Processors::All)?);
    let mut bare_p99 = Series::default();
    for _ in 0..runs {
        for (index, (kind, seen)) in kinds.iter().zip(&mut *seen).enumerate() {
            let load = load(kind, &server);
            load.warm_up()?;
            let full = load.paced_asleep(f64::INFINITY, STRETCH)?.len() as f64 / STRETCH.as_secs_f64();
            let latency_ms = load.paced_asleep(full / 2.0, STRETCH)?;
            seen.full_all.push(full);
            if index == 0 {
                // What a server that does next to nothing shows at the same pace is the machine's doing.
                let bare_load = self::load(kind, &bare);
                bare_load.warm_up()?;
                bare_p99.push(bare_load.paced_asleep(full / 2.0, STRETCH)?.quantile(0.99));
            }
            seen.p50_all.push(latency_ms.median());
            seen.p99_all.push(latency_ms.quantile(0.99));
        }
    }
    println!("  all processors: bare at the pace of now, p99 ms {bare_p99}");
    Ok(())
}

/// Questions about the watched orders, with the answers that the model gives.
fn kinds(model: &Model, positions: &BTreeMap<u64, i64>) -> Result<Vec<Kind>> {
    let now: BTreeMap<u64, String> = model.orders.iter().map(|order| (order.id, order.to_json())).collect();
    let hot = [Model::HOT];
    let many: Vec<u64> = model.history.keys().copied().filter(|id| *id != Model::HOT).collect();
    let row = |order: Option<&xtask::generator::Order>| order.map(xtask::generator::Order::to_json);
    let current = |id: u64| (json!({"id": id.to_string()}), now.get(&id).cloned());
    let as_of_time = |id: u64, index: usize| {
        let changes = &model.history[&id];
        let time_us = changes[index % changes.len()].occurred_us;
        (json!({"id": id.to_string(), "asOf": {"time": rfc3339(time_us)}}), row(model.as_of(id, time_us)))
    };
    let as_of_position = |id: u64, index: usize| -> Result<_> {
        let changes = &model.history[&id];
        let line = changes[index % changes.len()].line;
        let position = positions.get(&line).with_context(|| format!("line {line} (order {id}) is not in the store"))?;
        Ok((json!({"id": id.to_string(), "asOf": {"position": position.to_string()}}), row(model.known_at(id, line))))
    };
    let turns = |ids: &[u64]| -> Vec<(u64, usize)> {
        // A prime stride visits moments all over a long history.
        (0..REQUESTS).map(|turn| (ids[turn % ids.len()], turn / ids.len() * 7919)).collect()
    };
    let (few, long) = (turns(&many), turns(&hot));
    Ok(vec![
        Kind { name: "now", questions: few.iter().map(|(id, _)| current(*id)).collect() },
        Kind { name: "as of a time", questions: few.iter().map(|(id, index)| as_of_time(*id, *index)).collect() },
        Kind {
            name: "as of a position",
            questions: few.iter().map(|(id, index)| as_of_position(*id, *index)).collect::<Result<_>>()?,
        },
        Kind { name: "now, hot key", questions: long.iter().map(|(id, _)| current(*id)).collect() },
        Kind {
            name: "as of a time, hot key",
            questions: long.iter().map(|(id, index)| as_of_time(*id, *index)).collect(),
        },
        Kind {
            name: "as of a position, hot key",
            questions: long.iter().map(|(id, index)| as_of_position(*id, *index)).collect::<Result<_>>()?,
        },
    ])
}

fn check(kind: &Kind, connection: &mut Connection) -> Result<()> {
    let document = document(kind, &all_columns());
    for (variables, expected) in &kind.questions {
        let answer = connection.graphql(&document, variables)?;
        check_row(&answer["ordersByKey"], expected.as_deref()).with_context(|| variables.to_string())?;
    }
    Ok(())
}

fn load(kind: &Kind, server: &Server) -> Load {
    let document = document(kind, SELECTION);
    let requests = kind.questions.iter().map(|(variables, _)| {
        let body = json!({"query": document, "variables": variables}).to_string();
        Connection::request(server.address(), "/graphql", &body)
    });
    Load::new(server.address(), requests.collect(), b"{\"ordersByKey\":")
}

fn document(kind: &Kind, selection: &str) -> String {
    if kind.questions[0].0["asOf"].is_null() {
        format!("query($id: BigInt!) {{ ordersByKey(id: $id) {{ {selection} }} }}")
    } else {
        format!("query($id: BigInt!, $asOf: AsOf) {{ ordersByKey(id: $id, asOf: $asOf) {{ {selection} }} }}")
    }
}
