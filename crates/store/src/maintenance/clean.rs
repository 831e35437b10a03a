//! Log clean-up: entries that a checkpoint and compacted files have made superfluous.

use std::{
    fs, io,
    path::Path,
    time::{Duration, SystemTime},
};

use crate::{
    CleanReport, MaintenanceError, blocking,
    disk::{self, disk_error},
    fault,
    table::{Table, snapshot::LastCheckpoint},
};

/// Removes log entries that are behind the newest published checkpoint and the compaction frontier and older than
/// the retention, oldest first, and checkpoints older than the last but one.
///
/// A version is removed only after `_last_checkpoint` says a greater one: a writer that slept and wins it looks
/// there before it acknowledges anything (`table/commit.rs`).
pub(super) async fn clean(table: &Table, retention: Duration) -> Result<CleanReport, MaintenanceError> {
    let frontier = table.state().frontier();
    let Some(last) = LastCheckpoint::read(table.store.as_ref()).await? else {
        return Ok(CleanReport { frontier, ..CleanReport::default() });
    };
    let versions = table.versions().await?;
    let upto = last.version.min(frontier.version());
    let entries: Vec<u64> = versions.entries.into_iter().take_while(|&version| version < upto).collect();
    let mut checkpoints: Vec<u64> =
        versions.checkpoints.into_iter().filter(|&version| version < last.version).collect();
    checkpoints.pop();
    let (dir, shown) = (table.log_dir(), table.log_dir().display().to_string());
    let removed = blocking(move || {
        let entries = remove_old(&dir, &entries, "json", retention)?;
        let checkpoints = remove_old(&dir, &checkpoints, "checkpoint.parquet", retention)?;
        if entries + checkpoints > 0 {
            disk::sync_dir(&dir)?;
        }
        Ok((entries, checkpoints))
    });
    let (entries, checkpoints) = removed.await.map_err(|error: io::Error| disk_error(&error, &shown))?;
    Ok(CleanReport { entries, checkpoints, frontier })
}

/// Removes files, oldest version first, up to the first that is too young.
fn remove_old(dir: &Path, versions: &[u64], kind: &str, retention: Duration) -> io::Result<usize> {
    let now = SystemTime::now();
    let mut removed = 0;
    for version in versions {
        let path = dir.join(format!("{version:020}.{kind}"));
        let age = match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            modified => now.duration_since(modified?).unwrap_or_default(),
        };
        if age < retention {
            break;
        }
        fault::reach("store::maintenance::clean")?;
        removed += usize::from(disk::remove(&path)?);
    }
    Ok(removed)
}
