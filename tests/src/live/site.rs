//! Deltafold on a data directory: one process that does everything, or several.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use xtask::server::{Running, Server};

use super::LIMIT;
use crate::process::Deltafold;

/// A data directory, its configuration, and the process that serves it.
pub struct Site {
    folder: TempDir,
    deltafold: Deltafold,
    server: Option<Server>,
}

impl Site {
    /// An empty data directory that is to be filled from topics; `properties` are librdkafka's.
    pub fn new(source: &str, brokers: &str, topics: &[&str], properties: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let deltafold = Deltafold::on(&folder.path().join("data"));
        let site = Self { folder, deltafold, server: None };
        fs::write(site.config(), configuration(source, brokers, topics, properties)).expect("it is configured");
        site
    }

    /// The same, with a process that reads the topics and serves what comes of them.
    pub fn start(source: &str, brokers: &str, topics: &[&str]) -> Self {
        let mut site = Self::new(source, brokers, topics, &[]);
        site.run();
        site
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("deltafold.toml")
    }

    /// Starts `deltafold run`.
    pub fn run(&mut self) {
        let mut command = self.deltafold.command(["run", "--listen", "127.0.0.1:0"]);
        command.arg("--config").arg(self.config());
        let server = Server::start(&mut command).expect("the server starts");
        server.wait_until_ready().expect("the views catch up");
        self.server = Some(server);
    }

    /// Kills it (SIGKILL) and starts it again.
    pub fn kill_and_run(&mut self) {
        self.server = None;
        self.run();
    }

    /// Forgets everything that was folded, and folds it from the store again.
    pub fn fold_again(&mut self) {
        self.server = None;
        let index = self.folder.path().join("data").join("index");
        fs::remove_dir_all(&index).expect("the index is removed");
        self.run();
    }

    /// Runs a command that talks to the server, and expects success.
    pub fn ask(&self, arguments: &[&str]) -> String {
        let url = format!("http://{}", self.server().address());
        self.deltafold.succeed(arguments.iter().copied().chain(["--url", &url]).collect::<Vec<_>>()).stdout
    }

    /// Answers of the server to a GraphQL request.
    pub fn query(&self, document: &str) -> Result<Value, String> {
        let mut connection = self.server().connect().map_err(|error| error.to_string())?;
        connection.graphql(document, &Value::Null).map_err(|error| format!("{error:#}"))
    }

    /// How the source is read, for who waits in vain: what is not read yet, waits for a transaction, or is held.
    pub fn reading(&self) -> String {
        let partitions = "partitions { topic partition nextOffset lag uncommitted state problem }";
        let answer = self.query(&format!(
            "{{ sources {{ hindrance {partitions} origins {{ epoch suspect {{ reason held }} }} }} }}"
        ));
        let answer = match answer {
            Ok(answer) => answer,
            Err(problem) => return problem,
        };
        let waits = |partition: &&Value| partition["lag"] != "0" || partition["uncommitted"] != "0";
        let sources = answer["sources"].as_array().into_iter().flatten();
        let waiting = sources.flat_map(|source| source["partitions"].as_array()).flatten().filter(waits);
        let waiting: Vec<String> = waiting.map(Value::to_string).collect();
        format!("{} {}, waiting: {waiting:?}", answer["sources"][0]["hindrance"], answer["sources"][0]["origins"])
    }

    /// What a process that reads the topics says on stderr until `is_enough`, and for so long afterwards; it is killed
    /// then.
    pub fn hear_for(&self, longer: Duration, is_enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        let mut command = self.deltafold.command(["ingest"]);
        command.arg("--config").arg(self.config()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        let process = Running(child);
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let mut heard = Vec::new();
        while !is_enough(&heard) {
            let next = lines.recv_timeout(LIMIT);
            heard.push(next.unwrap_or_else(|_| panic!("it says no more than {heard:?}")));
        }
        let until = Instant::now() + longer;
        while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            heard.push(line);
        }
        drop(process);
        heard
    }

    /// A second process that reads the same topics into the same data directory, until it is dropped (SIGKILL) or
    /// [`leave`] is asked for.
    pub fn second(&self) -> Running {
        let mut command = self.deltafold.command(["ingest"]);
        command.arg("--config").arg(self.config()).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("a second instance starts"))
    }

    /// A process that reads other topics, of a source of another name, into the same data directory until it is dropped.
    pub fn other(&self, source: &str, brokers: &str, topics: &[&str]) -> Running {
        let config = self.folder.path().join(format!("{source}.toml"));
        fs::write(&config, configuration(source, brokers, topics, &[])).expect("it is configured");
        let mut command = self.deltafold.command(["ingest"]);
        command.arg("--config").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
        Running(command.spawn().expect("it starts"))
    }

    /// The process that serves.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    /// Whether every record is behind the offsets that the store has.
    pub(super) fn has_read(&self, records: &[Value]) -> Result<(), String> {
        let mut ends: BTreeMap<(String, i64), i64> = BTreeMap::new();
        for record in records {
            let topic = record["topic"].as_str().expect("a topic").to_owned();
            let partition = record["partition"].as_i64().expect("a partition");
            let next = record["offset"].as_i64().expect("an offset") + 1;
            let end = ends.entry((topic, partition)).or_default();
            *end = next.max(*end);
        }
        let mut connection = self.server().connect().map_err(|error| error.to_string())?;
        let query = "{ sources { partitions { topic partition nextOffset } } projections { lagMs } }";
        let answer = connection.graphql(query, &json!(null)).map_err(|error| error.to_string())?;
        for partition in answer["sources"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|source| source["partitions"].as_array().cloned().unwrap_or_default())
        {
            let place = (
                partition["topic"].as_str().unwrap_or_default().to_owned(),
                partition["partition"].as_i64().unwrap_or_default(),
            );
            let next: i64 = partition["nextOffset"].as_str().and_then(|next| next.parse().ok()).unwrap_or_default();
            if ends.get(&place).is_some_and(|end| next >= *end) {
                ends.remove(&place);
            }
        }
        let lags = answer["projections"].as_array().into_iter().flatten().filter(|view| view["lagMs"] != json!(0));
        match (ends.is_empty(), lags.count()) {
            (true, 0) => Ok(()),
            (_, lagging) => Err(format!("{ends:?}, {lagging} views lag")),
        }
    }
}

fn configuration(source: &str, brokers: &str, topics: &[&str], properties: &[(&str, &str)]) -> String {
    let mut text = format!("[sources.{source}]\nkind = \"kafka\"\nbrokers = {brokers:?}\ntopics = {topics:?}\n");
    // A process that was killed is not waited for longer than the broker allows.
    let properties = [("session.timeout.ms", "6000")].iter().chain(properties);
    text.push_str("[sources.");
    text.push_str(source);
    text.push_str(".properties]\n");
    for (name, value) in properties {
        text.push_str(&format!("{name:?} = {value:?}\n"));
    }
    text
}

/// Lets a process do nothing any more (SIGSTOP) until [`resume`].
pub fn halt(process: &Running) {
    signal(process, Signal::STOP);
}

/// Lets a process that was halted go on.
pub fn resume(process: &Running) {
    signal(process, Signal::CONT);
}

fn signal(process: &Running, signal: Signal) {
    let id = rustix::process::Pid::from_child(&process.0);
    rustix::process::kill_process(id, signal).expect("it is told");
}

/// Asks a process to end in good order (SIGINT, as Ctrl-C does), and waits.
pub fn leave(mut process: Running) {
    signal(&process, Signal::INT);
    let began = Instant::now();
    while still_runs(&mut process.0) {
        assert!(began.elapsed() < LIMIT, "it does not end");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn still_runs(process: &mut Child) -> bool {
    process.try_wait().expect("it can be asked").is_none()
}
