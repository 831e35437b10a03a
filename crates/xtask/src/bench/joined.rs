//! Joining at the head: mirrors of accounts and payments, and each payment with its account, commit by commit.

use crate::head::{Parts, measure_rest};
use crate::hot_key;
use crate::ingest::data_dir;
use crate::numbers::figure;
use crate::options::{Options, deltafold, work_dir};
use crate::servers::{Processors, answering_as};
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::expected::{all_rows, plain};
use xtask::generator::{Ledger, Payments};

/// How many changes come behind the accounts before what is measured.
const BEGINNING: usize = 20_000;
/// How many changes there are for one account.
const FOR_EACH: u64 = 20;
/// Of which part of the changes the shorter history is with which memory is compared.
const MEMORY_OF: u64 = 2;

pub(crate) fn run(options: &Options) -> Result<()> {
    let changes = options.events.unwrap_or(1_000_000);
    let definitions = definition("joined-projections")?;
    let data = data_dir("joined")?;
    let head = |options: &Options, payments: &Payments, what: &str| {
        let (parts, ledger) = streams(payments)?;
        let what = format!(
            "payments joined with {} accounts{what}: every payment as the database joins it",
            payments.accounts
        );
        measure_rest(options, &data, parts, &what, || query(&data, &definitions), || check(&data, &ledger))
    };
    head(options, &Payments { seed: options.seed, accounts: changes / FOR_EACH, of_first: 0, most: 0, changes }, "")?;
    hot_key::run(&data, &definitions, options.seed)?;
    // The same keys throughout, with a short history and with ten times of it: once, as that is long.
    let (once, short) = (Options { runs: 1, ..*options }, changes / MEMORY_OF);
    let accounts = short / FOR_EACH;
    let of_keys = Payments { seed: options.seed, accounts, of_first: 0, most: accounts * 10, changes: short };
    let short = head(&once, &of_keys, " and as many payments throughout")?;
    let long = head(&once, &Payments { changes: 10 * of_keys.changes, ..of_keys }, ", ten times the history")?;
    println!("peak memory with ten times the history of the same keys: {} times", figure(long / short));
    Ok(())
}

/// A folder with one definition: each payment with its account.
fn definition(folder: &str) -> Result<PathBuf> {
    let definitions = work_dir(folder)?;
    let sql = "CREATE MATERIALIZED VIEW payment_details WITH (key = 'id') AS\n\
               SELECT p.id, p.account_id, a.holder, a.tier, CAST(p.amount AS DECIMAL(12, 2)) AS amount, p.state\n\
               FROM payments AS p JOIN accounts AS a ON a.id = p.account_id";
    fs::write(definitions.join("payment_details.sql"), sql)?;
    Ok(definitions)
}

pub(crate) fn query(data: &Path, definitions: &Path) -> Result<Command> {
    let mut command = Command::new(deltafold()?);
    let document = "{ paymentDetails(first: 1) { totalCount } }";
    command.arg("--data").arg(data).args(["query", document]);
    command.current_dir(work_dir("empty")?).env("DELTAFOLD_PROJECTIONS__DIR", definitions);
    Ok(command)
}

/// The stream, and what comes of it.
fn streams(payments: &Payments) -> Result<(Parts, Ledger)> {
    let folder = work_dir("streams")?;
    let all = folder.join("payments.jsonl");
    let mut out = BufWriter::with_capacity(1 << 20, File::create(&all)?);
    let ledger = payments.generate(&mut out)?;
    out.flush()?;
    let begins = (payments.accounts + payments.most) as usize + BEGINNING;
    let (beginning, rest) = (folder.join("payments-beginning.jsonl"), folder.join("payments-rest.jsonl"));
    let mut parts = [&beginning, &rest].map(|path| File::create(path).map(BufWriter::new));
    let mut lines = 0;
    for line in BufReader::new(File::open(&all)?).split(b'\n') {
        let line = line?;
        let part = usize::from(lines >= begins);
        let out = parts[part].as_mut().map_err(|error| anyhow::anyhow!("{error}"))?;
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        // A tombstone is no change.
        lines += usize::from(!line.ends_with(b"\"value\":null}"));
    }
    for part in parts {
        part?.flush()?;
    }
    fs::remove_file(all)?;
    Ok((Parts { beginning, rest, changes: lines - begins }, ledger))
}

/// Compares every row with what the database has.
fn check(data: &Path, ledger: &Ledger) -> Result<()> {
    // Without it each page would go through all rows.
    let config = work_dir("joined-config")?.join("deltafold.toml");
    fs::write(&config, "[views.payment_details]\nindexes = [\"id\"]\n")?;
    let server = answering_as(data, Processors::All, Some(&config))?;
    let found = all_rows(&mut server.connect()?, "paymentDetails", "id", "id accountId holder tier amount state")?;
    ensure!(found.len() == ledger.payments.len(), "{} payments, should be {}", found.len(), ledger.payments.len());
    for row in &found {
        let id = plain(&row["id"]).parse::<u64>()?;
        let (account, cents, state) = ledger.payments.get(&id).with_context(|| format!("{row} should not be there"))?;
        let (holder, tier) = &ledger.accounts[account];
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        let should = [&id.to_string(), &account.to_string(), holder, *tier, &amount, *state];
        let is = ["id", "accountId", "holder", "tier", "amount", "state"].map(|name| plain(&row[name]));
        ensure!(is == should, "{row}, should be {should:?}");
    }
    Ok(())
}
