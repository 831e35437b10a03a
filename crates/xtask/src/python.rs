//! A Python with the packages of `tests/requirements.txt`: readers of other makes.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::command::{cache_dir, run, workspace_root};

/// A Python with both readers in it; made once for each list of requirements.
///
/// # Errors
/// When it cannot be made: what is missing.
pub fn python() -> Result<PathBuf> {
    let requirements = workspace_root().join("tests").join("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).with_context(|| format!("read {}", requirements.display()))?;
    let root = cache_dir("python")?;
    let (python, installed) = (root.join("bin").join("python"), root.join("installed.txt"));
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    run(
        "a Python of our own (needs python3 with venv)",
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(&root),
    )?;
    run(
        "install the readers",
        Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(&requirements),
    )?;
    std::fs::write(&installed, &wanted).with_context(|| format!("write {}", installed.display()))?;
    Ok(python)
}
