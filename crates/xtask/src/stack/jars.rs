//! The broker, Kafka Connect and Debezium: jars that Maven fetches once for each version of our poms.

use super::compose::Compose;
use super::files;
use crate::command::{cache_dir, run};
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Where the jars are.
#[derive(Debug, Clone)]
pub(super) struct Jars {
    /// The broker and Kafka Connect.
    pub(super) kafka: PathBuf,
    /// Kafka Connect's `plugin.path`.
    pub(super) plugins: PathBuf,
}

impl Jars {
    /// Fetches what is not there yet. The broker has the version of the compose file's image.
    pub(super) fn fetch(compose: &Compose) -> Result<Self> {
        // One at a time: a second stack of this process would fetch them into the same place.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let kafka = fetch("kafka", "jars", &[format!("-Dkafka.version={}", compose.version("kafka")?)])?;
        let plugins = fetch("debezium", "plugins/debezium", &[])?;
        let plugins = plugins.parent().context("plugins lie in a folder of their folder")?.to_owned();
        Ok(Self { kafka, plugins })
    }

    /// For `java -cp`.
    pub(super) fn class_path(&self) -> String {
        format!("{}/*", self.kafka.display())
    }
}

/// The dependencies of one pom, in a folder named after what they depend on: the pom and its parameters.
fn fetch(name: &str, folder: &str, parameters: &[String]) -> Result<PathBuf> {
    let pom = files().join("kafka").join(format!("{name}.pom.xml"));
    let text = std::fs::read_to_string(&pom).with_context(|| format!("read {}", pom.display()))?;
    let fetched = cache_dir("stack")?.join(format!("{name}-{:016x}", digest(&(text + &parameters.join(" ")))));
    let jars = fetched.join(folder);
    if jars.exists() {
        return Ok(jars);
    }
    // Beside its place first, so that what has its name is whole; another process may be doing the same.
    let partial = fetched.with_extension(std::process::id().to_string());
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom).args(parameters);
    maven.arg(format!("-DoutputDirectory={}", partial.join(folder).display())).arg("dependency:copy-dependencies");
    run(&format!("fetch the jars of {name} (once)"), &mut maven)?;
    if let Err(error) = std::fs::rename(&partial, &fetched) {
        std::fs::remove_dir_all(&partial).with_context(|| format!("remove {}", partial.display()))?;
        if !jars.exists() {
            return Err(error).with_context(|| format!("make {}", fetched.display()));
        }
    }
    Ok(jars)
}

/// FNV-1a: a name for a text that is the same in every build of ours.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
