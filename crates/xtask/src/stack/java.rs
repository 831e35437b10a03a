//! Starting the broker and Kafka Connect.

use super::debian::{Tool, tool};
use super::files;
use super::jars::Jars;
use std::process::Command;

pub(super) fn tools() -> Vec<Tool> {
    vec![tool("java", "default-jre-headless"), tool("keytool", "default-jre-headless"), tool("mvn", "maven")]
}

/// `java` on their jars, with the compose file's heap; a class and its arguments are to follow.
pub(super) fn command(jars: &Jars, heap: &str) -> Command {
    let mut java = Command::new("java");
    java.args(heap.split_whitespace());
    // To be up soon, beside others on few cores.
    java.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]);
    java.arg(format!("-Dlog4j2.configurationFile={}", files().join("kafka").join("log4j2.yaml").display()));
    java.args(["-cp", &jars.class_path()]);
    java
}
