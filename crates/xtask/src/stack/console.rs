//! `cargo xtask stack up|down|status`: one stack that runs on by itself, at the compose file's ports.

use super::connect::Connect;
use super::part::Note;
use super::{Options, Ports, Stack, files, folders, root};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;

fn dir() -> PathBuf {
    root().join("up")
}

/// Starts databases, broker, connectors and workload; says where they are.
pub fn up() -> Result<String> {
    let running = running()?;
    if !running.is_empty() {
        bail!("already up: {}; `cargo xtask stack down` stops it", running.join(", "));
    }
    let dir = dir();
    folders::make(&dir)?;
    let options = Options { postgres: true, mariadb: true, kafka: true, connect: true, ..Options::default() };
    let mut stack = Stack::prepare(&options, dir, &Ports::Compose)?;
    let started = stack.start().and_then(|()| register_all(stack.connect()?)).and_then(|()| stack.start_workload());
    if let Err(error) = started {
        // What has started is stopped, or the next attempt would find its ports taken.
        for part in stack.parts() {
            let _ = part.stop();
        }
        return Err(error);
    }
    let said = describe(&stack)?;
    for part in stack.parts() {
        part.detach();
    }
    Ok(said)
}

/// Every definition there is, under the name of its file, as the compose file does.
fn register_all(connect: &Connect) -> Result<()> {
    for name in connector_names()? {
        connect.register(&name, &Connect::definition(&name, &json!({}))?)?;
    }
    Ok(())
}

pub(super) fn connector_names() -> Result<Vec<String>> {
    let dir = files().join("connectors");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).with_context(|| format!("list {}", dir.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".json").map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn describe(stack: &Stack) -> Result<String> {
    let mut said = String::new();
    for (name, connection) in [("PostgreSQL", &stack.postgres()?.connection), ("MariaDB", &stack.mariadb()?.connection)]
    {
        let super::Connection { host, port, user, password, database } = connection;
        writeln!(said, "{name:<14}{host}:{port}, database {database}, user {user}, password {password}")?;
    }
    writeln!(said, "{:<14}{}", "Kafka", stack.kafka()?.address())?;
    writeln!(said, "{:<14}http://{}", "Kafka Connect", stack.connect()?.address())?;
    writeln!(said, "{:<14}{}", "connectors", connector_names()?.join(", "))?;
    write!(said, "{:<14}{}", "logs", stack.dir().join("*.log").display())?;
    Ok(said)
}

/// Stops what [`up`] has started; `volumes`: and forgets all data.
pub fn down(volumes: bool) -> Result<String> {
    super::remove_leftovers()?;
    let dir = dir();
    let mut stopped = Vec::new();
    let mut notes = Note::all(&dir)?;
    // First those that need others.
    notes.sort_by_key(|note| {
        ["shop", "warehouse", "connect", "kafka"].iter().position(|name| *name == note.name).unwrap_or(9)
    });
    for note in notes {
        note.stop(&dir)?;
        stopped.push(note.name);
    }
    if volumes {
        folders::remove(&dir)?;
    }
    let stopped =
        if stopped.is_empty() { "nothing was up".to_owned() } else { format!("stopped: {}", stopped.join(", ")) };
    let kept = if volumes || !dir.exists() { String::new() } else { format!("; data is kept in {}", dir.display()) };
    Ok(stopped + &kept)
}

/// One line for each part.
pub fn status() -> Result<String> {
    let notes = Note::all(&dir())?;
    if notes.is_empty() {
        return Ok("nothing is up".to_owned());
    }
    let line = |note: &Note| {
        let state = if note.is_running() { "running" } else { "ended" };
        format!("{:<14}{state:<9}{}", note.name, dir().join(format!("{}.log", note.name)).display())
    };
    Ok(notes.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn running() -> Result<Vec<String>> {
    Ok(Note::all(&dir())?.into_iter().filter(Note::is_running).map(|note| note.name).collect())
}
