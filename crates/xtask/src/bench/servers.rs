//! The servers under load, each kept to one processor.

use crate::options::{deltafold, work_dir};
use crate::process::pinned;
use anyhow::{Context, Result};
use std::path::Path;
use xtask::server::Server;

/// The processor that servers have to themselves.
const SERVER_PROCESSOR: usize = 0;
/// The one that load comes from.
pub(crate) const LOAD_PROCESSOR: usize = 1;

/// `deltafold serve` on `data`, with its views up to date.
pub(crate) fn answering(data: &Path) -> Result<Server> {
    let mut command = pinned(&deltafold()?, SERVER_PROCESSOR);
    command.arg("--data").arg(data).args(["serve", "--listen", "127.0.0.1:0"]).current_dir(work_dir("empty")?);
    let server = Server::start(&mut command)?;
    server.wait_until_ready()?;
    Ok(server)
}

/// The handler to compare with.
pub(crate) fn bare() -> Result<Server> {
    let ourselves = std::env::current_exe().context("find our own program")?;
    Server::start(pinned(&ourselves, SERVER_PROCESSOR).arg(crate::bare::NAME))
}
