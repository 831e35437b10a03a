//! Running other programs, and where their files go.
#![expect(clippy::print_stderr, reason = "developer commands say what they do")]

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

/// The workspace's root folder: of the checkout that cargo runs us for. With one target folder for several checkouts
/// the program may have been built in another one.
pub fn workspace_root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let is_root = |dir: &&Path| dir.join("crates").join("xtask").is_dir();
        Path::new(&manifest).ancestors().find(is_root).expect("a package of ours lies below the root").to_owned()
    });
    &ROOT
}

/// Cargo's target folder, as cargo itself would choose it from the environment.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace_root().join(dir),
        None => workspace_root().join("target"),
    }
}

/// A folder of our own below the target folder, for what is fetched or generated once; made if need be.
pub fn cache_dir(name: &str) -> Result<PathBuf> {
    let dir = target_dir().join("xtask").join(name);
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    Ok(dir)
}

/// What cargo tells a program that it runs about the program's package.
const OF_OUR_PACKAGE: [&str; 4] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"];

/// The cargo that runs us, as if it were run by hand: there are build scripts that run again, and much is built again
/// after them, when one of the variables that describe our own package is another or not there.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| OF_OUR_PACKAGE.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `command` in sight; an exit code other than 0 is an error. Says how long it took.
pub fn run(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("xtask: {what}");
    let begun = Instant::now();
    let status = command.status().with_context(|| format!("{what}: start {:?}", command.get_program()))?;
    if !status.success() {
        bail!("{what} failed ({status})");
    }
    eprintln!("xtask: {what}: done in {:.0?}", begun.elapsed());
    Ok(())
}

/// Runs `command` and returns what it printed on stdout; an exit code other than 0 is an error with its stderr.
pub fn output(what: &str, command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{what}: start {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!("{what} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{what}: output is not UTF-8"))
}
