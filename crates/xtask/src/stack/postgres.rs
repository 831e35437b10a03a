//! PostgreSQL: the shop's database.

use super::account::Account;
use super::clock::Clock;
use super::compose::Compose;
use super::debian::{Tool, tool};
use super::part::{Part, began, wait};
use super::{files, folders};
use crate::command::output;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A PostgreSQL cluster with the shop's database in it.
#[derive(Debug)]
pub struct Postgres {
    part: Part,
    account: Account,
    programs: PathBuf,
    dir: PathBuf,
    clock: Option<Clock>,
    /// How to reach it.
    pub connection: Connection,
}

/// What a client of a database has to know.
#[derive(Debug, Clone)]
pub struct Connection {
    /// An address of this machine.
    pub host: &'static str,
    /// Where it listens.
    pub port: u16,
    /// May do everything that a connector has to.
    pub user: String,
    /// In the clear, as in the compose file.
    pub password: String,
    /// The shop's.
    pub database: String,
}

impl Connection {
    pub(super) fn of_postgres(compose: &Compose, port: u16) -> Result<Self> {
        let variable = |name| compose.variable("postgres", name);
        Ok(Self {
            host: "127.0.0.1",
            port,
            user: variable("POSTGRES_USER")?,
            password: variable("POSTGRES_PASSWORD")?,
            database: variable("POSTGRES_DB")?,
        })
    }
}

impl Postgres {
    fn programs(compose: &Compose) -> Result<(PathBuf, &str)> {
        let version = compose.version("postgres")?;
        let major = version.split_once('.').map_or(version, |(major, _)| major);
        Ok((Path::new("/usr/lib/postgresql").join(major).join("bin"), major))
    }

    pub(super) fn tools(compose: &Compose) -> Result<Vec<Tool>> {
        let (programs, major) = Self::programs(compose)?;
        Ok(vec![
            tool(programs.join("postgres"), format!("postgresql-{major}")),
            tool(programs.join("psql"), format!("postgresql-client-{major}")),
        ])
    }

    pub(super) fn new(compose: &Compose, stack: &Path, connection: Connection, moved_clock: bool) -> Result<Self> {
        let dir = stack.join("postgres");
        folders::make(&dir)?;
        let clock = moved_clock.then(|| Clock::new(&dir)).transpose()?;
        let part = Part::new("postgres", stack, Signal::INT);
        let account = Account::named("postgres")?;
        Ok(Self { part, account, programs: Self::programs(compose)?.0, dir, clock, connection })
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Starts it, the first time with a new cluster and the shop's tables.
    pub fn start(&self) -> Result<()> {
        let made = self.dir.join("made");
        if made.exists() {
            return self.start_server();
        }
        folders::remove(&self.data())?;
        self.make_cluster()?;
        self.start_server()?;
        let schema = files().join("postgres").join("schema.sql");
        let schema = std::fs::read_to_string(&schema).with_context(|| format!("read {}", schema.display()))?;
        self.query("postgres", &format!("CREATE DATABASE {}", self.connection.database))?;
        self.sql(&schema)?;
        std::fs::write(&made, "").with_context(|| format!("write {}", made.display()))
    }

    fn make_cluster(&self) -> Result<()> {
        self.account.own(&self.dir)?;
        let password = self.dir.join("password");
        std::fs::write(&password, &self.connection.password)
            .with_context(|| format!("write {}", password.display()))?;
        let mut initdb = Command::new(self.programs.join("initdb"));
        initdb.current_dir(&self.dir).arg("--pgdata").arg(self.data()).arg("--pwfile").arg(&password);
        initdb.args(["--username", &self.connection.user, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"]);
        initdb.args(["--no-sync", "--no-instructions"]);
        self.account.lead(&mut initdb);
        output("initdb", &mut initdb)?;
        Ok(())
    }

    fn start_server(&self) -> Result<()> {
        // A copy: its user may not look into the checkout.
        let settings = self.dir.join("postgresql.conf");
        let ours = files().join("postgres").join("postgresql.conf");
        std::fs::copy(&ours, &settings).with_context(|| format!("copy {}", ours.display()))?;
        let mut server = Command::new(self.programs.join("postgres"));
        server.current_dir(&self.dir).arg("-D").arg(self.data());
        let mut set = |name: &str, value: &str| {
            server.args(["-c", &format!("{name}={value}")]);
        };
        set("config_file", &settings.display().to_string());
        set("listen_addresses", self.connection.host);
        set("port", &self.connection.port.to_string());
        set("unix_socket_directories", "");
        // The machine is not going to lose its power during a test; that a process is killed does no harm.
        set("fsync", "off");
        // In its own folder, which goes with it.
        set("dynamic_shared_memory_type", "mmap");
        if let Some(clock) = &self.clock {
            // It would run at each leap of the clock.
            set("autovacuum", "off");
            clock.govern(&mut server, false);
        }
        self.account.lead(&mut server);
        self.part.start(&mut server)?;
        self.part.wait_until("ready", START_LIMIT, || self.query("postgres", "SELECT 1").map(drop))
    }

    /// Stops it in good order: connections are closed, and what was committed has been sent to connectors that listen.
    pub fn stop(&self) -> Result<()> {
        self.part.stop()
    }

    /// Kills it, as a crash would.
    pub fn kill(&self) -> Result<()> {
        self.part.kill()?;
        // Its children are in sessions of their own. They end when they notice, and the data cannot be used until they have.
        wait("the last of PostgreSQL's processes has ended", Duration::from_secs(30), || {
            ensure!(!anyone_in(&self.data())?, "there are some left");
            Ok(())
        })?;
        self.remove_shared_memory()
    }

    /// What a killed server leaves in the kernel, the next one would find by its lock file; but a restored one has no such file.
    fn remove_shared_memory(&self) -> Result<()> {
        let lock = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let segment = lock.lines().nth(6).and_then(|line| line.split_whitespace().nth(1));
        match segment {
            Some(segment) => output("ipcrm", Command::new("ipcrm").args(["--shmem-id", segment])).map(drop),
            None => Ok(()),
        }
    }

    /// Ends it at once, but so that it leaves nothing behind outside its folder.
    pub(super) fn end(&self) -> Result<()> {
        self.part.stop_by(Signal::QUIT)
    }

    /// Keeps a copy of the whole cluster under `name`, as a backup would; it is stopped for that long.
    pub fn save(&self, name: &str) -> Result<()> {
        self.stop()?;
        folders::keep(&self.dir, name)?;
        self.start_server()
    }

    /// Puts the copy of that name in the cluster's place; it is stopped for that long.
    pub fn restore(&self, name: &str) -> Result<()> {
        self.stop()?;
        folders::put_back(&self.dir, name)?;
        self.start_server()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.part.is_running()
    }

    /// Its clock, if the stack was started with one that can be moved.
    pub fn clock(&self) -> Result<&Clock> {
        self.clock.as_ref().context("this PostgreSQL has the machine's clock: Options::clock is off")
    }

    /// Runs statements in the shop's database, each in a transaction of its own unless they say otherwise. The answer has a line per
    /// row and `|` between columns.
    pub fn sql(&self, statements: &str) -> Result<String> {
        self.query(&self.connection.database, statements)
    }

    fn query(&self, database: &str, statements: &str) -> Result<String> {
        let mut child = self
            .psql(database)
            .args(["--no-align", "--tuples-only", "--quiet", "--file", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start psql")?;
        super::talk("psql", &mut child, statements)
    }

    /// `psql`, connected to `database`.
    pub(super) fn psql(&self, database: &str) -> Command {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--host", self.connection.host]);
        psql.args(["--port", &self.connection.port.to_string(), "--username", &self.connection.user]);
        psql.args(["--dbname", database]).env("PGPASSWORD", &self.connection.password);
        psql
    }

    pub(super) fn part(&self) -> &Part {
        &self.part
    }
}

/// Whether a process has `dir` as its working folder.
fn anyone_in(dir: &Path) -> Result<bool> {
    let processes = std::fs::read_dir("/proc").context("list processes")?;
    Ok(processes.flatten().any(|process| {
        let id = process.file_name().to_str().and_then(|name| name.parse().ok());
        id.is_some_and(|id| began(id).is_some())
            && std::fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder == dir)
    }))
}
