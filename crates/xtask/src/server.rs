//! A server as a child process.

use crate::http::Connection;
use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take until its views have caught up.
const READY_LIMIT: Duration = Duration::from_secs(600);

/// A server, killed when it goes out of scope.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    process: Running,
}

impl Server {
    /// Starts it and reads where it listens: the first URL that it names on stderr.
    pub fn start(command: &mut Command) -> Result<Self> {
        let shown = format!("{command:?}");
        let mut child =
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().with_context(|| format!("start {shown}"))?;
        let mut lines = BufReader::new(child.stderr.take().context("stderr is piped")?).lines();
        let process = Running(child);
        let mut said = Vec::new();
        for line in lines.by_ref() {
            let line = line.context("read what the server says")?;
            if let Some((_, rest)) = line.split_once("http://") {
                let end =
                    rest.find(|letter: char| !letter.is_ascii_digit() && !".:".contains(letter)).unwrap_or(rest.len());
                let address = rest[..end].parse().with_context(|| format!("find the address in «{line}»"))?;
                // What it says later is of no interest, but its pipe must not fill.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self { address, process });
            }
            said.push(line);
        }
        bail!("{shown} ended before it listened: {}", said.join(" / "));
    }

    /// Waits until `/readyz` says 200: the views have caught up.
    pub fn wait_until_ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let mut connection = self.connect()?;
            connection.send(&Connection::request(self.address, "/readyz", ""))?;
            match connection.receive() {
                Ok(_) => return Ok(()),
                Err(error) if begun.elapsed() > READY_LIMIT => {
                    return Err(error.context("the server does not become ready"));
                }
                Err(_) => std::thread::park_timeout(Duration::from_millis(50)),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// A new connection to it.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.address)
    }
}

/// A child process that is killed (SIGKILL) when it goes out of scope.
#[derive(Debug)]
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
