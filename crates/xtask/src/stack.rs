//! What Deltafold reads from, without Docker: PostgreSQL, MariaDB, Kafka, and Kafka Connect with Debezium, as processes on loopback.
//!
//! Versions, ports and passwords are those of `docker-compose.yml`; settings, connector definitions and tables are the files in
//! `crates/xtask/stack`, which the compose file mounts. Jars are fetched by Maven, once; everything else is Debian's, and installed if we
//! may. What cannot be started is an error that names the part, its log and the log's last lines.
//!
//! ```no_run
//! use xtask::stack::{Connect, Options, Stack};
//!
//! # fn main() -> anyhow::Result<()> {
//! let stack = Stack::up(&Options { postgres: true, connect: true, clock: true, ..Options::default() })?;
//! stack.connect()?.register("shop", &Connect::definition("shop", &serde_json::json!({"topic.prefix": "mine"}))?)?;
//! stack.postgres()?.sql("INSERT INTO products VALUES ('MUG-1', 'mug', 12.60)")?;
//! let six_weeks = std::time::Duration::from_secs(6 * 7 * 24 * 3600);
//! stack.postgres()?.clock()?.advance(six_weeks)?;
//! let limit = std::time::Duration::from_secs(30);
//! let records = stack.kafka()?.wait_for("mine.public.products", limit, |records| records.len() == 1)?;
//! # Ok(())
//! # }
//! ```

mod account;
mod again;
mod check;
mod clock;
mod compose;
mod connect;
mod console;
mod debian;
mod folders;
mod jars;
mod java;
mod kafka;
mod mariadb;
mod monitoring;
mod part;
mod ports;
mod postgres;
mod product;
mod rest;
mod secure;
mod workload;

pub use self::again::Bookmark;
pub use self::check::{check_broker, check_compose, check_monitoring, check_places};
pub use self::clock::Clock;
pub use self::connect::Connect;
pub use self::console::{down, status, up};
pub use self::kafka::Kafka;
pub use self::mariadb::MariaDb;
pub use self::postgres::{Connection, Postgres};
pub use self::secure::Secure;

use self::compose::Compose;
use self::jars::Jars;
use self::part::{Note, Part, Watcher, began};
use self::workload::Workload;
use crate::command::workspace_root;
use anyhow::{Context, Result, bail, ensure};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};

/// Which parts to start, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// PostgreSQL, with the shop's tables.
    pub postgres: bool,
    /// MariaDB, with the warehouse's tables.
    pub mariadb: bool,
    /// The broker.
    pub kafka: bool,
    /// Kafka Connect, and with it the broker.
    pub connect: bool,
    /// The databases' clocks can be moved.
    pub clock: bool,
    /// The broker has an encrypted listener as well.
    pub secure: bool,
}

/// Running parts. They end when it goes out of scope, and when this program ends, however it ends.
#[derive(Debug)]
pub struct Stack {
    dir: PathBuf,
    postgres: Option<Postgres>,
    mariadb: Option<MariaDb>,
    kafka: Option<Kafka>,
    connect: Option<Connect>,
    workload: Option<Workload>,
    /// What a person gets besides: Deltafold itself, and who watches it.
    others: Vec<Part>,
    watcher: Option<Watcher>,
}

/// Where the parts listen.
enum Ports {
    /// Wherever nobody else does.
    Free,
    /// Where the compose file's parts do.
    Compose,
}

impl Stack {
    /// Starts parts in a folder of their own, at ports of their own, with empty databases and topics.
    pub fn up(options: &Options) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        remove_leftovers()?;
        let name = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let dir = root().join(name);
        folders::remove(&dir)?;
        folders::make(&dir)?;
        // It is there before anything that it is to end.
        let watcher = Watcher::start(&dir)?;
        let mut stack = Self::prepare(options, dir, &Ports::Free)?;
        stack.watcher = Some(watcher);
        stack.start()?;
        Ok(stack)
    }

    fn prepare(options: &Options, dir: PathBuf, ports: &Ports) -> Result<Self> {
        let compose = Compose::read()?;
        let with_kafka = options.kafka || options.connect;
        let mut tools = Vec::new();
        if options.postgres {
            tools.extend(Postgres::tools(&compose)?);
        }
        if options.mariadb {
            tools.extend(MariaDb::tools());
        }
        if options.clock {
            tools.push(Clock::tool());
        }
        if with_kafka {
            tools.extend(Kafka::tools());
            tools.extend(Connect::tools());
        }
        debian::ensure(&tools)?;
        let jars = with_kafka.then(|| Jars::fetch(&compose)).transpose()?;

        let port = |service: &str| match ports {
            Ports::Free => ports::free(),
            Ports::Compose => ports::of_compose(&compose, service),
        };
        let mut stack = Self {
            dir,
            postgres: None,
            mariadb: None,
            kafka: None,
            connect: None,
            workload: None,
            others: Vec::new(),
            watcher: None,
        };
        if options.postgres {
            let connection = Connection::of_postgres(&compose, port("postgres")?)?;
            stack.postgres = Some(Postgres::new(&compose, &stack.dir, connection, options.clock)?);
        }
        if options.mariadb {
            let connection = Connection::of_mariadb(&compose, port("mariadb")?)?;
            stack.mariadb = Some(MariaDb::new(&compose, &stack.dir, connection, options.clock)?);
        }
        if let Some(jars) = &jars {
            let ports = [port("kafka")?, ports::free()?, ports::free()?];
            let kafka = Kafka::new(&compose, jars, &stack.dir, ports, options.secure)?;
            if options.connect {
                let (broker, places) = (kafka.address(), stack.places(&kafka));
                stack.connect = Some(Connect::new(&compose, jars, &stack.dir, port("connect")?, broker, places)?);
            }
            stack.kafka = Some(kafka);
        }
        Ok(stack)
    }

    /// What connectors' definitions name, by the names that the compose file gives them.
    fn places(&self, kafka: &Kafka) -> Vec<(&'static str, String)> {
        let mut places = vec![("KAFKA_ADDRESS", kafka.address())];
        if let Some(Postgres { connection, .. }) = &self.postgres {
            places.push(("POSTGRES_HOST", connection.host.to_owned()));
            places.push(("POSTGRES_PORT", connection.port.to_string()));
        }
        if let Some(MariaDb { connection, .. }) = &self.mariadb {
            places.push(("MARIADB_HOST", connection.host.to_owned()));
            places.push(("MARIADB_PORT", connection.port.to_string()));
        }
        places
    }

    /// Everything at once, but for what needs another part to be there.
    fn start(&self) -> Result<()> {
        std::thread::scope(|scope| {
            let parts = [
                self.postgres.as_ref().map(|part| scope.spawn(|| part.start().context("start PostgreSQL"))),
                self.mariadb.as_ref().map(|part| scope.spawn(|| part.start().context("start MariaDB"))),
                self.kafka.as_ref().map(|part| {
                    scope.spawn(|| {
                        part.start().context("start Kafka")?;
                        self.connect.as_ref().map_or(Ok(()), |part| part.start().context("start Kafka Connect"))
                    })
                }),
            ];
            let mut result = Ok(());
            for part in parts.into_iter().flatten() {
                let ended = part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result = result.and(ended);
            }
            result
        })
    }

    /// PostgreSQL.
    pub fn postgres(&self) -> Result<&Postgres> {
        self.postgres.as_ref().context("this stack was started without PostgreSQL")
    }

    /// MariaDB.
    pub fn mariadb(&self) -> Result<&MariaDb> {
        self.mariadb.as_ref().context("this stack was started without MariaDB")
    }

    /// The broker.
    pub fn kafka(&self) -> Result<&Kafka> {
        self.kafka.as_ref().context("this stack was started without Kafka")
    }

    /// Kafka Connect.
    pub fn connect(&self) -> Result<&Connect> {
        self.connect.as_ref().context("this stack was started without Kafka Connect")
    }

    /// Where its parts keep their data and logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// In the order in which they are stopped: first those that need others.
    fn parts(&self) -> Vec<&Part> {
        let workload = self.workload.iter().flat_map(Workload::parts);
        let connect = self.connect.as_ref().map(Connect::part);
        let kafka = self.kafka.as_ref().map(Kafka::part);
        let databases = [self.postgres.as_ref().map(Postgres::part), self.mariadb.as_ref().map(MariaDb::part)];
        let others = self.others.iter().rev();
        workload.chain(others).chain(connect).chain(kafka).chain(databases.into_iter().flatten()).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(_watcher) = self.watcher.take() else { return };
        if std::thread::panicking() {
            part::keep(&self.dir);
        }
        // Nobody is going to look at what they would write in good order. What resists, the watcher ends; it removes the folder too.
        if let Some(postgres) = &self.postgres {
            let _ = postgres.end();
        }
        for part in self.parts() {
            let _ = part.kill();
        }
    }
}

/// The folder of the stack's files.
fn files() -> PathBuf {
    workspace_root().join("crates").join("xtask").join("stack")
}

/// The folder of all stacks' folders of this user. Not below the target folder: a database's own user may not go there.
fn root() -> PathBuf {
    let user = rustix::process::geteuid();
    std::env::temp_dir().join(format!("deltafold-stack-{}", user.as_raw()))
}

/// Ends and removes the stacks of programs that are no more, if their watchers have not.
fn remove_leftovers() -> Result<()> {
    let Ok(stacks) = std::fs::read_dir(root()) else { return Ok(()) };
    for stack in stacks.flatten() {
        let (dir, name) = (stack.path(), stack.file_name());
        let owner = name.to_str().and_then(|name| name.strip_prefix("test-")?.split('-').next()?.parse().ok());
        let Some(owner) = owner else { continue };
        if began(owner).is_some() || dir.join("keep").exists() {
            continue;
        }
        for note in Note::all(&dir)? {
            note.stop(&dir)?;
        }
        folders::remove(&dir)?;
    }
    Ok(())
}

/// One of our files with its places put in place of the containers'; each of them is in it.
fn replaced(file: &Path, places: &[(&str, &str)]) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    places.iter().try_fold(text, |text, (from, to)| {
        ensure!(text.contains(from), "{} does not say {from}", file.display());
        Ok(text.replace(from, to))
    })
}

/// Gives a program its input and returns its output; an exit code other than 0 is an error with what it said.
fn talk(what: &str, child: &mut Child, input: &str) -> Result<String> {
    let mut stdin = child.stdin.take().context("its input is piped")?;
    let mut stdout = child.stdout.take().context("its output is piped")?;
    let mut stderr = child.stderr.take().context("its errors are piped")?;
    std::thread::scope(|scope| {
        // Each pipe on its own: a program that waits for one to be emptied does not empty another.
        scope.spawn(move || {
            // It may end before it has read everything; its exit code tells why.
            let _ = stdin.write_all(input.as_bytes());
        });
        let errors = scope.spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stderr, &mut text).map(|_| text)
        });
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut stdout, &mut answer).with_context(|| format!("{what}: read its answer"))?;
        let errors = errors.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let status = child.wait().with_context(|| format!("{what}: wait for it"))?;
        if !status.success() {
            bail!("{what} failed ({status}): {}", errors.trim());
        }
        Ok(answer.trim_end().to_owned())
    })
}
