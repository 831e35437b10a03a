//! The broker.

use super::compose::Compose;
use super::debian::{Tool, tool};
use super::jars::Jars;
use super::java;
use super::part::{Part, wait};
use super::secure::Secure;
use super::{files, folders};
use crate::command::output;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(90);

/// A Kafka broker that is its own controller.
#[derive(Debug)]
pub struct Kafka {
    part: Part,
    jars: Jars,
    dir: PathBuf,
    cluster_id: String,
    heap: String,
    port: u16,
    controller_port: u16,
    secure: Option<Secure>,
}

impl Kafka {
    pub(super) fn tools() -> Vec<Tool> {
        let mut tools = java::tools();
        tools.push(tool("kcat", "kcat"));
        tools
    }

    pub(super) fn new(
        compose: &Compose,
        jars: &Jars,
        stack: &Path,
        [port, controller_port, secure_port]: [u16; 3],
        with_secure: bool,
    ) -> Result<Self> {
        let dir = stack.join("kafka");
        folders::make(&dir)?;
        Ok(Self {
            part: Part::new("kafka", stack, Signal::TERM),
            jars: jars.clone(),
            dir,
            cluster_id: compose.variable("kafka", "CLUSTER_ID")?,
            heap: compose.variable("kafka", "KAFKA_HEAP_OPTS")?,
            port,
            controller_port,
            secure: with_secure.then(|| Secure::prepare(secure_port)).transpose()?,
        })
    }

    /// Where it listens, `host:port`, without encryption.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its encrypted listener, if the stack was started with one.
    pub fn secure(&self) -> Result<&Secure> {
        self.secure.as_ref().context("this broker has no encrypted listener: Options::secure is off")
    }

    /// Starts it; the first time with an empty log.
    pub fn start(&self) -> Result<()> {
        let settings = self.write_settings()?;
        let java = || java::command(&self.jars, &self.heap);
        if !self.dir.join("data").join("meta.properties").exists() {
            let mut format = java();
            format.args(["kafka.tools.StorageTool", "format", "--cluster-id", &self.cluster_id, "--config"]);
            format.arg(&settings);
            if let Some(secure) = &self.secure {
                format.args(["--add-scram", &secure.scram()]);
            }
            output("format the broker's storage", &mut format)?;
        }
        self.part.start(java().arg("kafka.Kafka").arg(&settings))?;
        self.part.wait_until("ready", START_LIMIT, || self.kcat(&["-L", "-m", "2"]).map(drop))
    }

    /// The settings of the compose file's broker, and after them where this one is.
    fn write_settings(&self) -> Result<PathBuf> {
        let ours = files().join("kafka").join("server.properties");
        let mut text = std::fs::read_to_string(&ours).with_context(|| format!("read {}", ours.display()))?;
        let mut listeners = format!("INSIDE://{}", self.address());
        if let Some(secure) = &self.secure {
            write!(listeners, ",SECURE://{}", secure.address)?;
        }
        let controller = format!("127.0.0.1:{}", self.controller_port);
        writeln!(text, "\nlisteners={listeners},CONTROLLER://{controller}")?;
        writeln!(text, "advertised.listeners={listeners}")?;
        writeln!(text, "controller.quorum.voters=1@{controller}")?;
        writeln!(text, "log.dirs={}", self.dir.join("data").display())?;
        if let Some(secure) = &self.secure {
            text.push_str(&secure.settings());
        }
        let settings = self.dir.join("server.properties");
        std::fs::write(&settings, text).with_context(|| format!("write {}", settings.display()))?;
        Ok(settings)
    }

    /// Stops it in good order.
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

    /// One of Kafka's own programs, by its class; its arguments are to follow.
    pub fn tool(&self, class: &str) -> Command {
        let mut java = java::command(&self.jars, &self.heap);
        java.arg(class);
        java
    }

    /// Makes a topic.
    pub fn create_topic(&self, topic: &str, partitions: u32) -> Result<()> {
        let mut create = self.tool("org.apache.kafka.tools.TopicCommand");
        create.args(["--bootstrap-server", &self.address(), "--create"]);
        create.args(["--topic", topic, "--partitions", &partitions.to_string()]);
        output(&format!("create topic {topic}"), &mut create).map(drop)
    }

    /// Appends records, each a line `KEY<tab>VALUE` without a line feed in it; to partition `partition`, or where the keys say.
    pub fn produce(&self, topic: &str, partition: Option<u32>, records: &[(&str, &str)]) -> Result<()> {
        let mut lines = String::new();
        for (key, value) in records {
            ensure!(
                !key.contains(['\t', '\n']) && !value.contains('\n'),
                "a record for kcat is one line: {key} {value}"
            );
            writeln!(lines, "{key}\t{value}")?;
        }
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", &self.address(), "-P", "-t", topic, "-K", "\\t"]);
        if let Some(partition) = partition {
            kcat.args(["-p", &partition.to_string()]);
        }
        let child = kcat.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        super::talk("kcat", &mut child.context("start kcat")?, &lines).map(drop)
    }

    /// The names of all topics.
    pub fn topics(&self) -> Result<Vec<String>> {
        let answer: Value = serde_json::from_str(&self.kcat(&["-L", "-J"])?).context("kcat prints JSON")?;
        let topics = answer["topics"].as_array().context("kcat prints topics")?;
        Ok(topics.iter().filter_map(|topic| topic["topic"].as_str()).map(str::to_owned).collect())
    }

    /// All committed records of a topic, by partition and offset, as `kcat -J` prints them.
    pub fn dump(&self, topic: &str) -> Result<Vec<Value>> {
        let isolation = "isolation.level=read_committed";
        let lines = self.kcat(&["-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J", "-X", isolation])?;
        let records: Result<Vec<Value>, _> = lines.lines().map(serde_json::from_str).collect();
        let mut records = records.with_context(|| format!("{topic}: kcat prints JSON Lines"))?;
        records.sort_by_key(|record| (record["partition"].as_i64(), record["offset"].as_i64()));
        Ok(records)
    }

    /// Waits until `found` is true of a topic's committed records, and returns them.
    pub fn wait_for(&self, topic: &str, limit: Duration, found: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
        wait(&format!("{topic} holds what is expected"), limit, || {
            let records = self.dump(topic)?;
            ensure!(found(&records), "it has {} records, the last of them {:?}", records.len(), records.last());
            Ok(records)
        })
        .with_context(|| format!("kafka: {}", self.part.log().display()))
    }

    fn kcat(&self, arguments: &[&str]) -> Result<String> {
        output("kcat", Command::new("kcat").args(["-b", &self.address()]).args(arguments))
    }

    pub(super) fn part(&self) -> &Part {
        &self.part
    }
}
