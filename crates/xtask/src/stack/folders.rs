//! Folders that belong to a database's user.

use crate::command::output;
use anyhow::{Context, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
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

/// Copies a folder with all that is in it: owners, modes and times too.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    output("cp", Command::new("cp").arg("--archive").arg(from).arg(to)).map(drop)
}
