//! Whether the files that only containers read are right, as far as that can be known without containers.

use super::compose::{Compose, Mount};
use super::debian::{self, tool};
use super::jars::Jars;
use super::{console, files, folders, java};
use crate::command::{cache_dir, output, workspace_root};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

/// Compose itself takes the file, with Slack and without; what the file mounts is there.
pub fn check_compose() -> Result<()> {
    let compose = Compose::read()?;
    for Mount { service, source } in compose.mounts()? {
        let path = workspace_root().join(&source);
        ensure!(path.exists(), "docker-compose.yml: {service} mounts {source}, which is not there");
    }
    let plugin =
        Command::new("docker").args(["compose", "version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let program: &[&str] = if plugin.is_ok_and(|status| status.success()) {
        &["docker", "compose"]
    } else {
        debian::ensure(&[tool("docker-compose", "docker-compose")])?;
        &["docker-compose"]
    };
    for slack in ["", "hook"] {
        let mut config = Command::new(program[0]);
        config.args(&program[1..]).args(["config", "--quiet"]).current_dir(workspace_root());
        config.env("SLACK_WEBHOOK_URL", slack);
        output("docker-compose.yml", &mut config)?;
    }
    Ok(())
}

/// The broker takes its settings in the compose file: the shared ones and the places together.
pub fn check_broker() -> Result<()> {
    let compose = Compose::read()?;
    debian::ensure(&java::tools())?;
    let jars = Jars::fetch(&compose)?;
    let dir = cache_dir("stack")?.join(format!("broker.{}", std::process::id()));
    folders::make(&dir)?;
    let shared = files().join("kafka").join("server.properties");
    let shared = std::fs::read_to_string(&shared).with_context(|| format!("read {}", shared.display()))?;
    let places = compose.variable("kafka", "PLACES")?;
    let (theirs, ours) = ("/var/lib/kafka/data", dir.join("data").display().to_string());
    ensure!(places.contains(theirs), "docker-compose.yml: the broker's data is not in {theirs}");
    let settings = dir.join("server.properties");
    std::fs::write(&settings, shared + &places.replace(theirs, &ours))
        .with_context(|| format!("write {}", settings.display()))?;
    let mut format = java::command(&jars, &compose.variable("kafka", "KAFKA_HEAP_OPTS")?);
    format.args(["kafka.tools.StorageTool", "format", "--cluster-id", &compose.variable("kafka", "CLUSTER_ID")?]);
    output("the compose file's broker", format.arg("--config").arg(&settings))?;
    folders::remove(&dir)
}

/// What stands in a shared file is not said again, and differently, by what is added to it; and connectors find every place they name.
pub fn check_places() -> Result<()> {
    let compose = Compose::read()?;
    for (service, file) in [("kafka", "server.properties"), ("connect", "connect.properties")] {
        let path = files().join("kafka").join(file);
        let shared = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let shared = keys(&shared);
        let places = compose.variable(service, "PLACES")?;
        if let Some(key) = keys(&places).intersection(&shared).next() {
            bail!("docker-compose.yml: {service} sets {key}, which stands in {} too", path.display());
        }
    }
    for name in console::connector_names()? {
        let path = files().join("connectors").join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        for place in text.split("${env:").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)) {
            compose.variable("connect", place).with_context(|| format!("named in {}", path.display()))?;
        }
    }
    Ok(())
}

/// The settings' names in a properties file.
fn keys(properties: &str) -> BTreeSet<&str> {
    let lines = properties.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| Some(line.split_once('=')?.0.trim())).collect()
}

/// Prometheus, Alertmanager and Grafana take their files, and the rules do what their examples say.
pub fn check_monitoring() -> Result<()> {
    let dir = files().join("monitoring");
    debian::ensure(&[tool("promtool", "prometheus"), tool("amtool", "prometheus-alertmanager")])?;
    let promtool = |arguments: &[&str]| {
        let what = format!("promtool {}", arguments.join(" "));
        output(&what, Command::new("promtool").current_dir(&dir).args(arguments)).map(drop)
    };
    promtool(&["check", "config", "--syntax-only", "prometheus.yml"])?;
    promtool(&["check", "rules", "rules.yml"])?;
    promtool(&["test", "rules", "rules.test.yml"])?;
    let mut amtool = Command::new("amtool");
    amtool.current_dir(&dir).args(["check-config", "alertmanager.yml", "alertmanager-slack.yml"]);
    output("amtool", &mut amtool)?;
    check_dashboards(&dir.join("grafana").join("dashboards"))
}

/// Every panel's expression is one that Prometheus can read: as rules are.
fn check_dashboards(dir: &Path) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let dashboard: Value = serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        let panels = dashboard["panels"].as_array().with_context(|| format!("{} has no panels", path.display()))?;
        let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
        let expressions: Vec<&str> = targets.filter_map(|target| target["expr"].as_str()).collect();
        ensure!(!expressions.is_empty(), "{} shows nothing", path.display());
        // JSON is YAML; an interval stands for Grafana's own.
        let rules: Vec<Value> = expressions
            .iter()
            .map(|expression| serde_json::json!({"record": "a", "expr": expression.replace("$__rate_interval", "1m")}))
            .collect();
        let rules = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string();
        let file = cache_dir("stack")?.join("dashboard.rules.json");
        std::fs::write(&file, rules).with_context(|| format!("write {}", file.display()))?;
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "rules", "--lint=none"]).arg(&file);
        output(&path.display().to_string(), &mut promtool)?;
    }
    Ok(())
}
