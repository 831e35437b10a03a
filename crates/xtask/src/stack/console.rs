//! `cargo xtask stack up|down|status`: one stack that runs on by itself, at the compose file's ports.

use super::compose::Compose;
use super::connect::Connect;
use super::monitoring::Monitoring;
use super::part::Note;
use super::product;
use super::{Options, Ports, Stack, files, folders, ports, root};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn dir() -> PathBuf {
    root().join("up")
}

/// Starts every part but Grafana, which Debian has not; says where they are. `deltafold`: the program, if it is not to be built.
pub fn up(deltafold: Option<&Path>) -> Result<String> {
    let running = running()?;
    if !running.is_empty() {
        bail!("already up: {}; `cargo xtask stack down` stops it", running.join(", "));
    }
    let dir = dir();
    folders::make(&dir)?;
    let options = Options { postgres: true, mariadb: true, kafka: true, connect: true, ..Options::default() };
    let mut stack = Stack::prepare(&options, dir, &Ports::Compose)?;
    if let Err(error) = start_all(&mut stack, deltafold) {
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

fn start_all(stack: &mut Stack, deltafold: Option<&Path>) -> Result<()> {
    let compose = Compose::read()?;
    let port = ports::of_compose(&compose, "console")?;
    let monitoring = Monitoring {
        prometheus: ports::of_compose(&compose, "prometheus")?,
        alertmanager: ports::of_compose(&compose, "alertmanager")?,
        deltafold: port,
    };
    Monitoring::install()?;
    let deltafold = match deltafold {
        Some(program) => program.canonicalize().with_context(|| format!("find {}", program.display()))?,
        None => product::build()?,
    };
    stack.start()?;
    register_all(stack.connect()?)?;
    stack.start_workload()?;
    stack.others.push(product::start(&deltafold, &stack.dir, stack.kafka()?, port)?);
    stack.others.extend(monitoring.start(&stack.dir)?);
    Ok(())
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
    let compose = Compose::read()?;
    for (name, service) in [("Deltafold", "console"), ("Prometheus", "prometheus"), ("Alertmanager", "alertmanager")] {
        writeln!(said, "{name:<14}http://127.0.0.1:{}", compose.port(service)?)?;
    }
    let dashboard = files().join("monitoring/grafana/dashboards/deltafold.json");
    writeln!(said, "{:<14}not started, for Debian has none; its dashboard is {}", "Grafana", dashboard.display())?;
    write!(said, "{:<14}{}", "logs", stack.dir().join("*.log").display())?;
    Ok(said)
}

/// Stops what [`up`] has started; `volumes`: and forgets all data.
pub fn down(volumes: bool) -> Result<String> {
    super::remove_leftovers()?;
    let dir = dir();
    let mut stopped = Vec::new();
    let mut notes = Note::all(&dir)?;
    // First those that need others; databases last.
    let order = ["prometheus", "alertmanager", "shop", "warehouse", "deltafold", "connect", "kafka"];
    notes.sort_by_key(|note| order.iter().position(|name| *name == note.name).unwrap_or(order.len()));
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
