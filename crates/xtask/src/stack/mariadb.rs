//! MariaDB: the warehouse's database.

use super::account::Account;
use super::clock::Clock;
use super::compose::Compose;
use super::debian::{Tool, tool};
use super::part::Part;
use super::postgres::Connection;
use super::{files, folders};
use crate::command::output;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);

/// A MariaDB server with the warehouse's database in it.
#[derive(Debug)]
pub struct MariaDb {
    part: Part,
    account: Account,
    dir: PathBuf,
    clock: Option<Clock>,
    /// The first numbers of its version, which has to be the compose file's.
    version: String,
    /// How to reach it.
    pub connection: Connection,
}

impl Connection {
    pub(super) fn of_mariadb(compose: &Compose, port: u16) -> Result<Self> {
        let variable = |name| compose.variable("mariadb", name);
        Ok(Self {
            host: "127.0.0.1",
            port,
            user: variable("MARIADB_USER")?,
            password: variable("MARIADB_PASSWORD")?,
            database: variable("MARIADB_DATABASE")?,
        })
    }
}

impl MariaDb {
    pub(super) fn tools() -> Vec<Tool> {
        vec![
            tool("mariadbd", "mariadb-server"),
            tool("mariadb-install-db", "mariadb-server"),
            tool("mariadb", "mariadb-client"),
        ]
    }

    pub(super) fn new(compose: &Compose, stack: &Path, connection: Connection, moved_clock: bool) -> Result<Self> {
        let dir = stack.join("mariadb");
        folders::make(&dir)?;
        let clock = moved_clock.then(|| Clock::new(&dir)).transpose()?;
        let version = compose.version("mariadb")?;
        let version = version.rsplit_once('.').map_or(version, |(series, _)| series).to_owned();
        let part = Part::new("mariadb", stack, Signal::TERM);
        Ok(Self { part, account: Account::named("mysql")?, dir, clock, version, connection })
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// Starts it, the first time with new data and the warehouse's tables.
    pub fn start(&self) -> Result<()> {
        let made = self.dir.join("made");
        if made.exists() {
            return self.start_server();
        }
        folders::remove(&self.data())?;
        self.make_data()?;
        self.start_server()?;
        let Connection { user, password, database, .. } = &self.connection;
        self.as_root(
            "",
            &format!(
                "CREATE DATABASE {database}; CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'; \
                 GRANT ALL ON {database}.* TO '{user}'@'%';"
            ),
        )?;
        let schema = files().join("mariadb").join("schema.sql");
        let schema = std::fs::read_to_string(&schema).with_context(|| format!("read {}", schema.display()))?;
        self.as_root(database, &schema)?;
        std::fs::write(&made, "").with_context(|| format!("write {}", made.display()))
    }

    fn make_data(&self) -> Result<()> {
        let said = output("mariadbd --version", Command::new(server_program()).arg("--version"))?;
        ensure!(
            said.contains(&format!("Ver {}.", self.version)),
            "docker-compose.yml has MariaDB {}, this machine another: {}",
            self.version,
            said.trim()
        );
        self.account.own(&self.dir)?;
        let mut install = Command::new("mariadb-install-db");
        install.arg("--no-defaults").arg(format!("--datadir={}", self.data().display()));
        install.args(["--auth-root-authentication-method=normal", "--skip-test-db"]).current_dir(&self.dir);
        self.account.lead(&mut install);
        output("mariadb-install-db", &mut install)?;
        Ok(())
    }

    fn start_server(&self) -> Result<()> {
        // A copy: its user may not look into the checkout.
        let settings = self.dir.join("mariadb.cnf");
        let ours = files().join("mariadb").join("mariadb.cnf");
        std::fs::copy(&ours, &settings).with_context(|| format!("copy {}", ours.display()))?;
        let mut server = Command::new(server_program());
        let mut set = |name: &str, value: &str| {
            server.arg(format!("--{name}={value}"));
        };
        // First on the command line, or it is refused.
        set("defaults-file", &settings.display().to_string());
        set("datadir", &self.data().display().to_string());
        set("socket", &self.socket().display().to_string());
        set("pid-file", &self.dir.join("pid").display().to_string());
        set("bind-address", self.connection.host);
        set("port", &self.connection.port.to_string());
        set("innodb-buffer-pool-size", "64M");
        // The machine is not going to lose its power during a test; that the process is killed does no harm.
        set("innodb-flush-log-at-trx-commit", "2");
        if let Some(clock) = &self.clock {
            clock.govern(&mut server, true);
        }
        server.current_dir(&self.dir);
        self.account.lead(&mut server);
        self.part.start(&mut server)?;
        self.part.wait_until("ready", START_LIMIT, || self.as_root("", "SELECT 1").map(drop))
    }

    /// Stops it in good order.
    pub fn stop(&self) -> Result<()> {
        self.part.stop()
    }

    /// Kills it, as a crash would.
    pub fn kill(&self) -> Result<()> {
        self.part.kill()
    }

    /// Keeps a copy of the whole server's data under `name`, as a backup would; it is stopped for that long.
    pub fn save(&self, name: &str) -> Result<()> {
        self.stop()?;
        folders::keep(&self.dir, name)?;
        self.start_server()
    }

    /// Puts the copy of that name in the place of the server's data; it is stopped for that long.
    pub fn restore(&self, name: &str) -> Result<()> {
        self.stop()?;
        folders::put_back(&self.dir, name)?;
        self.start_server()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.part.is_running()
    }

    /// Its clock, if the stack was started with clocks that can be moved. The binary log has whole seconds only.
    pub fn clock(&self) -> Result<&Clock> {
        self.clock.as_ref().context("this MariaDB has the machine's clock: Options::clock is off")
    }

    /// Runs statements in the warehouse's database. The answer has a line per row and tabs between columns.
    pub fn sql(&self, statements: &str) -> Result<String> {
        let child = self.client().args(["--batch", "--skip-column-names"]).pipes().spawn();
        super::talk("mariadb", &mut child.context("start mariadb")?, statements)
    }

    /// `mariadb`, connected to the warehouse's database.
    pub(super) fn client(&self) -> Command {
        let Connection { host, port, user, password, database } = &self.connection;
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--protocol=TCP"]).arg(format!("--host={host}")).arg(format!("--port={port}"));
        client.arg(format!("--user={user}")).arg(format!("--password={password}")).arg(database);
        client
    }

    fn as_root(&self, database: &str, statements: &str) -> Result<String> {
        let mut client = Command::new("mariadb");
        client.args(["--no-defaults", "--user=root"]).arg(format!("--socket={}", self.socket().display()));
        client.arg(format!("--database={database}")).pipes();
        super::talk("mariadb", &mut client.spawn().context("start mariadb")?, statements)
    }

    pub(super) fn part(&self) -> &Part {
        &self.part
    }
}

fn server_program() -> &'static str {
    // Debian has it where ordinary users do not look.
    let debian = "/usr/sbin/mariadbd";
    if Path::new(debian).exists() { debian } else { "mariadbd" }
}

trait Pipes {
    fn pipes(&mut self) -> &mut Self;
}

impl Pipes for Command {
    fn pipes(&mut self) -> &mut Self {
        self.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped())
    }
}
