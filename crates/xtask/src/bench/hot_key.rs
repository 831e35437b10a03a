//! A change of one account with very many payments, while others change.

use crate::ingest::{clear, ingest};
use crate::joined::query;
use crate::numbers::{Series, figure};
use crate::options::work_dir;
use crate::process;
use crate::servers::{Processors, answering};
use anyhow::{Result, ensure};
use serde_json::json;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use xtask::generator::{Payments, held_by};
use xtask::http::Connection;
use xtask::server::Running;

/// How many payments the account has.
const MATCHES: u64 = 1_000_000;
/// How many changes of others are looked at before it changes.
const BEFORE: usize = 20;
const LIMIT: Duration = Duration::from_secs(600);

/// Both ends of what belongs to the account, and another one with its payment.
const DOCUMENT: &str = "query($first: BigInt!, $last: BigInt!) {
    first: paymentDetailsByKey(id: $first) { holder } last: paymentDetailsByKey(id: $last) { holder } }";
const OTHER: &str = "{ accountsByKey(id: \"2\") { holder } }";

pub(crate) fn run(data: &Path, definitions: &Path, seed: u64) -> Result<()> {
    let payments = Payments { seed, accounts: 100, of_first: MATCHES, most: 0, changes: 0 };
    let stream = work_dir("streams")?.join("hot-key.jsonl");
    payments.generate(&mut BufWriter::new(File::create(&stream)?))?;
    process::run(&mut ingest(&stream, data)?)?;
    process::run(&mut query(data, definitions)?)?;
    let server = answering(data, Processors::All)?;
    let mut connection = server.connect()?;
    let arriving = data.with_extension("hot-key.jsonl");
    let mut file = File::create(&arriving)?;
    let following = Running(ingest(&arriving, data)?.arg("--follow").stdout(Stdio::null()).spawn()?);

    let mut number = payments.accounts + MATCHES + 1;
    let mut others = |connection: &mut Connection, file: &mut File| -> Result<f64> {
        number += 1;
        let holder = format!("Other {number}");
        file.write_all(held_by(2, &holder, number).as_bytes())?;
        let begun = Instant::now();
        while connection.graphql(OTHER, &json!({}))?["accountsByKey"]["holder"] != holder.as_str() {
            ensure!(begun.elapsed() < LIMIT, "another change is not seen");
            std::thread::park_timeout(Duration::from_millis(5));
        }
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    };
    let mut before = Series::default();
    for _ in 0..BEFORE {
        before.push(others(&mut connection, &mut file)?);
    }
    file.write_all(held_by(1, "Somebody else", payments.accounts + MATCHES + 1).as_bytes())?;
    let begun = Instant::now();
    let variables = json!({ "first": "1", "last": MATCHES.to_string() });
    let mut during = Series::default();
    loop {
        let found = connection.graphql(DOCUMENT, &variables)?;
        let [first, last] = ["first", "last"].map(|name| found[name]["holder"].clone());
        ensure!(!first.is_null() && first == last, "it is seen in part: {found}");
        if first == "Somebody else" {
            break;
        }
        ensure!(begun.elapsed() < LIMIT, "the change is not seen");
        during.push(others(&mut connection, &mut file)?);
    }
    let whole_s = begun.elapsed().as_secs_f64();
    println!(
        "a change with {MATCHES} matches, seen whole after {} s, never in part; other changes, written until seen: before it \
         p50 {} ms, at most {} ms; meanwhile p50 {} ms, at most {} ms ({} of them)",
        figure(whole_s),
        figure(before.median()),
        figure(before.quantile(1.0)),
        figure(during.median()),
        figure(during.quantile(1.0)),
        during.len()
    );
    drop(following);
    drop(server);
    [stream, arriving].iter().try_for_each(fs::remove_file)?;
    clear(data)
}
