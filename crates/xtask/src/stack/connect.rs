//! Kafka Connect with Debezium.

use super::compose::Compose;
use super::debian::Tool;
use super::jars::Jars;
use super::java;
use super::part::Part;
use super::rest::request;
use super::{files, folders};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(120);

/// How long a connector may take to do as it is told.
const CONNECTOR_LIMIT: Duration = Duration::from_secs(90);

/// A worker of Kafka Connect.
#[derive(Debug)]
pub struct Connect {
    part: Part,
    jars: Jars,
    dir: PathBuf,
    heap: String,
    port: u16,
    /// What connectors' definitions name as `${env:NAME}`.
    places: Vec<(&'static str, String)>,
    broker: String,
}

impl Connect {
    pub(super) fn tools() -> Vec<Tool> {
        java::tools()
    }

    pub(super) fn new(
        compose: &Compose,
        jars: &Jars,
        stack: &Path,
        port: u16,
        broker: String,
        places: Vec<(&'static str, String)>,
    ) -> Result<Self> {
        let dir = stack.join("connect");
        folders::make(&dir)?;
        let heap = compose.variable("connect", "KAFKA_HEAP_OPTS")?;
        let part = Part::new("connect", stack, Signal::TERM);
        Ok(Self { part, jars: jars.clone(), dir, heap, port, places, broker })
    }

    /// Where its REST interface listens, `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it, and waits until it takes requests; the connectors that it knows start after that.
    pub fn start(&self) -> Result<()> {
        let settings = self.write_settings()?;
        let mut java = java::command(&self.jars, &self.heap);
        java.arg("org.apache.kafka.connect.cli.ConnectDistributed").arg(&settings);
        java.envs(self.places.iter().map(|(name, value)| (name, value)));
        self.part.start(&mut java)?;
        self.part.wait_until("ready", START_LIMIT, || {
            request(self.port, "GET", "/connectors", None)?.success()?;
            // Until it has read what it knew, it has no workers to give work to.
            let health = request(self.port, "GET", "/health", None)?;
            ensure!(health.status == 200, "{}", health.body);
            Ok(())
        })
    }

    /// The settings of the compose file's worker, and after them where this one is.
    fn write_settings(&self) -> Result<PathBuf> {
        let ours = files().join("kafka").join("connect.properties");
        let mut text = std::fs::read_to_string(&ours).with_context(|| format!("read {}", ours.display()))?;
        writeln!(text, "\nbootstrap.servers={}", self.broker)?;
        writeln!(text, "listeners=http://{}", self.address())?;
        writeln!(text, "plugin.path={}", self.jars.plugins.display())?;
        let settings = self.dir.join("connect.properties");
        std::fs::write(&settings, text).with_context(|| format!("write {}", settings.display()))?;
        Ok(settings)
    }

    /// Stops it in good order: offsets are written.
    pub fn stop(&self) -> Result<()> {
        self.part.stop()
    }

    /// Kills it, as a crash would.
    pub fn kill(&self) -> Result<()> {
        self.part.kill()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.part.is_running()
    }

    /// The definition of a connector in `crates/xtask/stack/connectors`, with some settings changed; null takes one away.
    pub fn definition(name: &str, changes: &Value) -> Result<Value> {
        let path = files().join("connectors").join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let mut definition: Map<String, Value> =
            serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        for (setting, value) in changes.as_object().into_iter().flatten() {
            match value {
                Value::Null => definition.remove(setting),
                _ => definition.insert(setting.clone(), value.clone()),
            };
        }
        Ok(definition.into())
    }

    /// Registers a connector, or changes it, and waits until it and its tasks run.
    pub fn register(&self, name: &str, definition: &Value) -> Result<()> {
        self.ask("PUT", &format!("/connectors/{name}/config"), Some(definition))?;
        self.wait_until_running(name)
    }

    /// Waits until a connector and at least one task of it run. A failed one is an error with its trace.
    pub fn wait_until_running(&self, name: &str) -> Result<()> {
        let mut failed = None;
        self.part.wait_until(&format!("{name} runs"), CONNECTOR_LIMIT, || {
            let status = self.status(name)?;
            let (connector, tasks) = states(&status);
            let all = || tasks.iter().copied().chain([connector]);
            if all().any(|state| state == "FAILED") {
                failed = Some(status);
                return Ok(());
            }
            ensure!(!tasks.is_empty() && all().all(|state| state == "RUNNING"), "{status}");
            Ok(())
        })?;
        match failed {
            None => Ok(()),
            Some(status) => {
                let trace = [&status["connector"]["trace"], &status["tasks"][0]["trace"]];
                let trace = trace.into_iter().find_map(Value::as_str).unwrap_or_default();
                bail!("connect: {name} has failed; its log is {}\n{trace}", self.part.log().display())
            }
        }
    }

    /// What a connector and its tasks are doing: `connector.state`, `tasks[].state`.
    pub fn status(&self, name: &str) -> Result<Value> {
        request(self.port, "GET", &format!("/connectors/{name}/status"), None)?.success()
    }

    /// A connector's settings as they were registered.
    pub fn config(&self, name: &str) -> Result<Value> {
        self.ask("GET", &format!("/connectors/{name}/config"), None)
    }

    /// Stops a connector, and waits until it has let go of its database.
    pub fn stop_connector(&self, name: &str) -> Result<()> {
        self.ask("PUT", &format!("/connectors/{name}/stop"), None)?;
        self.part.wait_until(&format!("{name} has stopped"), CONNECTOR_LIMIT, || {
            let status = self.status(name)?;
            let (connector, tasks) = states(&status);
            // One that was about to be started elsewhere (the broker came back just now) never says that it has stopped.
            ensure!(["STOPPED", "UNASSIGNED"].contains(&connector) && tasks.is_empty(), "{status}");
            Ok(())
        })
    }

    /// Lets a stopped connector go on, and waits until it runs.
    pub fn resume_connector(&self, name: &str) -> Result<()> {
        self.ask("PUT", &format!("/connectors/{name}/resume"), None)?;
        self.wait_until_running(name)
    }

    /// Forgets a connector. Its offsets stay, for one that is registered under the same name.
    pub fn delete_connector(&self, name: &str) -> Result<()> {
        self.ask("DELETE", &format!("/connectors/{name}"), None).map(drop)
    }

    /// How far a connector has read, as far as it has written that down: `offsets[].{partition, offset}`.
    pub fn offsets(&self, name: &str) -> Result<Value> {
        self.ask("GET", &format!("/connectors/{name}/offsets"), None)
    }

    /// Changes how far a stopped connector has read: what [`Self::offsets`] gave earlier makes it read again from there.
    pub fn set_offsets(&self, name: &str, offsets: &Value) -> Result<()> {
        self.ask("PATCH", &format!("/connectors/{name}/offsets"), Some(offsets)).map(drop)
    }

    /// Asks, again while the workers are agreeing on something else.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.part.wait_until(&format!("{method} {path} is answered"), CONNECTOR_LIMIT, || {
            let answer = request(self.port, method, path, body)?;
            ensure!(answer.status != 409, "{}", answer.body);
            Ok(answer)
        })?;
        answer.success().with_context(|| format!("connect: {method} {path}"))
    }

    pub(super) fn part(&self) -> &Part {
        &self.part
    }
}

/// The state of a connector, and those of its tasks.
fn states(status: &Value) -> (&str, Vec<&str>) {
    let connector = status["connector"]["state"].as_str().unwrap_or_default();
    let tasks = status["tasks"].as_array().into_iter().flatten();
    (connector, tasks.filter_map(|task| task["state"].as_str()).collect())
}
