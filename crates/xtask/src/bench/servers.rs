//! The servers under load.

use crate::options::{deltafold, work_dir};
use crate::process::pinned;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use xtask::server::Server;

/// The processor that a server has to itself.
const SERVER_PROCESSOR: usize = 0;
/// The one that load comes from then.
pub(crate) const LOAD_PROCESSOR: usize = 1;

/// Where a server runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Processors {
    /// On one that it has to itself.
    One,
    /// On all of the machine, as in use.
    All,
}

impl Processors {
    fn command(self, program: &Path) -> Command {
        match self {
            Self::One => pinned(program, SERVER_PROCESSOR),
            Self::All => Command::new(program),
        }
    }
}

/// `deltafold serve` on `data`, with its views up to date.
pub(crate) fn answering(data: &Path, processors: Processors) -> Result<Server> {
    answering_as(data, processors, None)
}

/// Likewise, as a configuration has it.
pub(crate) fn answering_as(data: &Path, processors: Processors, config: Option<&Path>) -> Result<Server> {
    let mut command = processors.command(&deltafold()?);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command.arg("--data").arg(data).args(["serve", "--listen", "127.0.0.1:0"]).current_dir(work_dir("empty")?);
    let server = Server::start(&mut command)?;
    server.wait_until_ready()?;
    Ok(server)
}

/// The handler to compare with.
pub(crate) fn bare(processors: Processors) -> Result<Server> {
    let ourselves = std::env::current_exe().context("find our own program")?;
    Server::start(processors.command(&ourselves).arg(crate::bare::NAME))
}
