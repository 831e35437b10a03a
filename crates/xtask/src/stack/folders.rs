//! Folders that belong to a database's user.

use crate::command::output;
use anyhow::{Context, Result, ensure};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a folder that every user may pass through, and the folders above it.
pub(super) fn make(path: &Path) -> Result<()> {
    let made = std::fs::create_dir_all(path);
    made.and_then(|()| std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)))
        .with_context(|| format!("make {}", path.display()))
}

/// Removes a folder, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Keeps a copy of a database's data under a name: of `data` in its folder.
pub(super) fn keep(folder: &Path, name: &str) -> Result<()> {
    let copy = saved(folder, name);
    remove(&copy)?;
    self::copy(&folder.join("data"), &copy)
}

/// Puts the copy of that name in the place of a database's data.
pub(super) fn put_back(folder: &Path, name: &str) -> Result<()> {
    let copy = saved(folder, name);
    ensure!(copy.exists(), "the database was never saved as {name}");
    remove(&folder.join("data"))?;
    self::copy(&copy, &folder.join("data"))
}

fn saved(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("saved-{name}"))
}

/// Copies a folder with all that is in it: owners, modes and times too.
fn copy(from: &Path, to: &Path) -> Result<()> {
    output("cp", Command::new("cp").arg("--archive").arg(from).arg(to)).map(drop)
}
