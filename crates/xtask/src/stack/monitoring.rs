//! Prometheus and Alertmanager, for `cargo xtask stack up`.

use super::debian::{self, tool};
use super::part::Part;
use super::rest::request;
use super::{files, folders, replaced};
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_LIMIT: Duration = Duration::from_secs(60);

/// The ports of all three.
pub(super) struct Monitoring {
    pub(super) prometheus: u16,
    pub(super) alertmanager: u16,
    pub(super) deltafold: u16,
}

impl Monitoring {
    pub(super) fn install() -> Result<()> {
        debian::ensure(&[tool("prometheus", "prometheus"), tool("prometheus-alertmanager", "prometheus-alertmanager")])
    }

    pub(super) fn start(&self, stack: &Path) -> Result<[Part; 2]> {
        let alertmanager = self.start_alertmanager(stack)?;
        Ok([alertmanager, self.start_prometheus(stack)?])
    }

    fn start_prometheus(&self, stack: &Path) -> Result<Part> {
        let dir = stack.join("prometheus");
        folders::make(&dir)?;
        // On loopback Deltafold takes no tokens; the file has to be there all the same.
        let token = write(&dir, "token", "none")?.display().to_string();
        let rules = files().join("monitoring").join("rules.yml").display().to_string();
        let [deltafold, alertmanager, own] = [self.deltafold, self.alertmanager, self.prometheus].map(address);
        let places = [
            ("/etc/deltafold/rules.yml", rules.as_str()),
            ("/tokens/prometheus", &token),
            ("deltafold:8080", &deltafold),
            ("alertmanager:9093", &alertmanager),
            ("localhost:9090", &own),
        ];
        let config =
            write(&dir, "prometheus.yml", &replaced(&files().join("monitoring").join("prometheus.yml"), &places)?)?;
        let mut command = Command::new("prometheus");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.join("data").display()));
        command.arg(format!("--web.listen-address={own}"));
        start("prometheus", stack, &mut command, self.prometheus)
    }

    fn start_alertmanager(&self, stack: &Path) -> Result<Part> {
        let dir = stack.join("alertmanager");
        folders::make(&dir)?;
        let monitoring = files().join("monitoring");
        let config = match std::env::var("SLACK_WEBHOOK_URL").unwrap_or_default().as_str() {
            "" => monitoring.join("alertmanager.yml"),
            url => {
                let url = write(&dir, "slack-webhook-url", url)?.display().to_string();
                let places = [("/tmp/slack-webhook-url", url.as_str())];
                write(&dir, "alertmanager.yml", &replaced(&monitoring.join("alertmanager-slack.yml"), &places)?)?
            }
        };
        let mut command = Command::new("prometheus-alertmanager");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", dir.join("data").display()));
        command.arg(format!("--web.listen-address={}", address(self.alertmanager)));
        // It has no peers to talk to.
        command.arg("--cluster.listen-address=");
        start("alertmanager", stack, &mut command, self.alertmanager)
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn write(dir: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn start(name: &'static str, stack: &Path, command: &mut Command, port: u16) -> Result<Part> {
    let part = Part::new(name, stack, Signal::TERM);
    part.start(command)?;
    part.wait_until("ready", START_LIMIT, || request(port, "GET", "/-/ready", None)?.success().map(drop))?;
    Ok(part)
}
