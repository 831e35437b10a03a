//! The clients of `tests/clients`, with the packages that they need: clients of other makes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::command::{cache_dir, output, run, workspace_root};

/// The oldest Node.js that the packages run on.
const OLDEST: u32 = 20;

/// A folder with the clients and their packages, which are installed once for each list of them.
///
/// # Errors
/// When it cannot be made: what is missing.
pub fn clients() -> Result<PathBuf> {
    let version = output("node --version (needs Node.js with npm)", Command::new("node").arg("--version"))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    ensure!(major >= Some(OLDEST), "the clients need Node.js {OLDEST}, and this is {version}");

    let sources = workspace_root().join("tests").join("clients");
    let folder = cache_dir("clients")?;
    let installed = folder.join("installed.json");
    let lock = sources.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| format!("read {}", lock.display()))?;
    for entry in fs::read_dir(&sources).with_context(|| format!("read {}", sources.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let name = entry.file_name();
            fs::copy(entry.path(), folder.join(&name)).with_context(|| format!("copy {}", name.display()))?;
        }
    }
    if fs::read_to_string(&installed).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    let mut install = Command::new("npm");
    run("install the clients", install.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&folder))?;
    fs::write(&installed, &wanted).with_context(|| format!("write {}", installed.display()))?;
    Ok(folder)
}

/// What a client prints.
///
/// # Errors
/// When it fails: what it says.
pub fn client(folder: &Path, script: &str, arguments: &[&str]) -> Result<String> {
    output(script, Command::new("node").arg(script).args(arguments).current_dir(folder))
}
