//! Deltafold itself, for `cargo xtask stack up`.

use super::kafka::Kafka;
use super::part::Part;
use super::rest::request;
use super::{files, folders, replaced};
use crate::command::{cargo, run, target_dir};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);

/// The program, as it is in the checkout.
pub(super) fn build() -> Result<PathBuf> {
    run("build deltafold", cargo().args(["build", "--package", "deltafold"]))?;
    Ok(target_dir().join("debug").join("deltafold"))
}

/// Starts it with the compose file's configuration, on loopback, where it takes no tokens.
pub(super) fn start(program: &Path, stack: &Path, kafka: &Kafka, port: u16) -> Result<Part> {
    let dir = stack.join("deltafold");
    folders::make(&dir)?;
    let listen = format!("127.0.0.1:{port}");
    let places = [
        ("0.0.0.0:8080", listen.as_str()),
        ("tokens_file = \"/tokens/lines\"\n", ""),
        ("kafka:29092", &kafka.address()),
    ];
    let config = dir.join("deltafold.toml");
    std::fs::write(&config, replaced(&files().join("deltafold").join("deltafold.toml"), &places)?)
        .with_context(|| format!("write {}", config.display()))?;
    let part = Part::new("deltafold", stack, Signal::TERM);
    let mut command = Command::new(program);
    command.current_dir(&dir).arg("run").arg("--data").arg(dir.join("data")).arg("--config").arg(&config);
    part.start(&mut command)?;
    part.wait_until("answering", START_LIMIT, || request(port, "GET", "/livez", None)?.success().map(drop))?;
    Ok(part)
}
