//! Pages of fifty rows with a filter and an order, on a view of a million rows: by an index, now and as of a time, one
//! after the other on one connection; and without one.

use crate::ingest::{clear, data_dir, ingest};
use crate::numbers::{Series, figure};
use crate::options::{Options, work_dir};
use crate::process;
use crate::servers::{Processors, answering_as};
use crate::stream::Stream;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use xtask::expected::rfc3339;
use xtask::generator::{Config, Keys, Model};
use xtask::http::Connection;

/// So many times the events of other benchmarks make a view of a million rows.
const TIMES: u64 = 6;
const PAGE: usize = 50;
const STATUS: [&str; 6] = ["placed", "paid", "packed", "shipped", "delivered", "returned"];
const LEAST_ITEMS: [u64; 4] = [1, 3, 5, 8];
/// Which parts of the stream's time are asked for as of.
const PARTS: [i64; 4] = [20, 50, 80, 99];
/// How long an index may take to be filled.
const FILLED_WITHIN: Duration = Duration::from_secs(600);

/// One question: a status, and how many items at least; as of when.
struct Question {
    status: &'static str,
    items: u64,
    time_us: Option<i64>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let events = TIMES * options.stream(Keys::Uniform).events;
    let stream = Stream::make(&Config { events, ..options.stream(Keys::Uniform) })?;
    let data = data_dir("lists")?;
    clear(&data)?;
    process::run(&mut ingest(&stream.file, &data)?)?;
    let config = work_dir("lists")?.join("deltafold.toml");
    std::fs::write(&config, "[views.orders]\nindexes = [[\"status\", \"updated_at\"]]\n")?;
    let server = answering_as(&data, Processors::All, Some(&config))?;
    let mut connection = server.connect()?;
    let filled = wait_until_filled(&mut connection)?;

    let model = &stream.generated.model;
    let (first, last) = moments(model)?;
    let now: Vec<Question> = questions(None).collect();
    let then = PARTS.iter().flat_map(|part| questions(Some(first + (last - first) / 100 * part)));
    let kinds = [("list now", now), ("list as of a time", then.collect())];
    let rows = rows(model)?;
    for question in &kinds[0].1 {
        let found = page(&mut connection, question, true)?;
        ensure!(found == expected(&rows, question), "{} {}: not what the model has", question.status, question.items);
    }
    let mut scanned = Series::default();
    for question in kinds.iter().flat_map(|(_, questions)| questions).step_by(5) {
        let by_index = page(&mut connection, question, true)?;
        let begun = Instant::now();
        let by_scan = page(&mut connection, question, false)?;
        scanned.push(begun.elapsed().as_secs_f64() * 1e3);
        ensure!(by_index == by_scan, "{} {}: not what a scan finds", question.status, question.items);
    }
    println!("lists: view of {} rows; index filled within {filled:.1} s of the first answer", model.orders.len());
    println!("checked: {} pages as the model has them, {} as a scan does", kinds[0].1.len(), scanned.len());
    for (name, questions) in &kinds {
        let (mut p50, mut p99) = <(Series, Series)>::default();
        for _ in 0..options.runs {
            let mut took = Series::default();
            for question in questions {
                let begun = Instant::now();
                page(&mut connection, question, true)?;
                took.push(begun.elapsed().as_secs_f64() * 1e3);
            }
            p50.push(took.median());
            p99.push(took.quantile(0.99));
        }
        println!("  {name:<20} ms, p50 {p50:>26}   p99 {p99:>26}");
    }
    println!("  {:<20} ms, p50 {scanned:>26}", "without an index");
    println!("  server: peak {} MiB", figure(process::peak_memory_mib(server.id())?));
    drop(server);
    clear(&data)
}

fn questions(time_us: Option<i64>) -> impl Iterator<Item = Question> {
    STATUS
        .into_iter()
        .flat_map(move |status| LEAST_ITEMS.into_iter().map(move |items| Question { status, items, time_us }))
}

/// From the first to the last change of a row that there is.
fn moments(model: &Model) -> Result<(i64, i64)> {
    let changes = || model.history.values().flatten().map(|change| change.occurred_us);
    changes().min().zip(changes().max()).context("nothing happened to watched orders")
}

/// What stands on the page; without the index, where its conditions are hidden from it.
fn page(connection: &mut Connection, question: &Question, by_index: bool) -> Result<Vec<(String, String)>> {
    let status = json!({ "status": { "_eq": question.status } });
    let status = if by_index { status } else { json!({ "_or": [status] }) };
    let filter = json!({ "_and": [status, { "items": { "_gte": question.items.to_string() } }] });
    let order =
        if by_index { json!([{ "updatedAt": "DESC" }]) } else { json!([{ "updatedAt": "DESC" }, { "id": "ASC" }]) };
    let as_of = question.time_us.map(|time_us| json!({ "time": rfc3339(time_us) }));
    let document = format!(
        "query($where: OrdersFilter, $orderBy: [OrdersOrder!], $asOf: AsOf) \
         {{ orders(where: $where, orderBy: $orderBy, asOf: $asOf, first: {PAGE}) {{ nodes {{ id updatedAt }} }} }}"
    );
    let variables = json!({ "where": filter, "orderBy": order, "asOf": as_of });
    let answer = connection.graphql(&document, &variables)?;
    let nodes = answer["orders"]["nodes"].as_array().with_context(|| format!("no page in {answer}"))?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(nodes.iter().map(|node| (text(&node["id"]), text(&node["updatedAt"]))).collect())
}

/// A row of the model, as far as it is asked about.
struct Row {
    status: String,
    items: u64,
    updated_at: i64,
    id: u64,
}

fn rows(model: &Model) -> Result<Vec<Row>> {
    let row = |order: &xtask::generator::Order| {
        let row: Value = serde_json::from_str(&order.to_json())?;
        let status = row["status"].as_str().context("it has a status")?.to_owned();
        let items = row["items"].as_u64().context("it has items")?;
        Ok(Row { status, items, updated_at: row["updated_at"].as_i64().context("it was updated")?, id: order.id })
    };
    model.orders.iter().map(row).collect()
}

/// What stands on the page by the model.
fn expected(rows: &[Row], question: &Question) -> Vec<(String, String)> {
    let mut rows: Vec<&Row> =
        rows.iter().filter(|row| row.status == question.status && row.items >= question.items).collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.updated_at), row.id));
    rows.iter().take(PAGE).map(|row| (row.id.to_string(), row.updated_at.to_string())).collect()
}

/// Asks how a page is found until it is by the index, which takes a scan of the view each time; for how many seconds.
fn wait_until_filled(connection: &mut Connection) -> Result<f64> {
    let document =
        "{ orders(where: {status: {_eq: \"paid\"}}, orderBy: {updatedAt: DESC}, first: 1) { nodes { id } } }";
    let request = json!({ "query": document, "extensions": { "deltafold": { "explain": true } } });
    let begun = Instant::now();
    loop {
        let answer = connection.ask(&request)?;
        if answer["extensions"]["deltafold"]["plan"].to_string().contains("a walk of the index") {
            return Ok(begun.elapsed().as_secs_f64());
        }
        ensure!(begun.elapsed() < FILLED_WITHIN, "the index is not filled: {answer}");
    }
}
