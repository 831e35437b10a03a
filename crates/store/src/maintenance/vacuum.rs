//! Removing data files that nothing needs any more.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::clean::clean;
use crate::{
    EventStore, MaintenanceError, VacuumReport, blocking,
    disk::{self, disk_error},
    fault,
    table::{Table, snapshot::LastCheckpoint},
};

impl EventStore {
    /// Removes data files and log entries that nothing needs and that are older than the retention.
    ///
    /// # Errors
    /// When the file system refuses.
    pub async fn vacuum(&self) -> Result<VacuumReport, MaintenanceError> {
        let mut report = VacuumReport::default();
        for table in [self.letters(), self.events()] {
            table.refresh().await?;
            let log = clean(table, self.options().log_retention).await?;
            report.log.entries += log.entries;
            report.log.checkpoints += log.checkpoints;
            report.log.frontier = log.frontier;
            remove_unneeded(table, self.options().file_retention, &mut report).await?;
        }
        Ok(report)
    }
}

/// Removes the files in a table's directory that its newest version does not name, unless they are young, or were
/// replaced a short while ago: a reader may be at them, or a writer about to commit them.
async fn remove_unneeded(
    table: &Table,
    retention: Duration,
    report: &mut VacuumReport,
) -> Result<(), MaintenanceError> {
    let removed: HashMap<String, i64> = table.removed().await?.into_iter().collect();
    let (dir, shown) = (table.dir.clone(), table.dir.display().to_string());
    let old = blocking(move || {
        let mut old = old_files(&dir, retention)?;
        old.extend(old_files(&dir.join("_delta_log"), retention)?.into_iter().filter(|file| file.left_over));
        Ok(old)
    });
    let old = old.await.map_err(|error: io::Error| disk_error(&error, &shown))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let recently = now.saturating_sub(retention).as_millis() as i64;
    let unneeded: Vec<OldFile> = {
        let state = table.state();
        let needed = |file: &OldFile| {
            state.files.has_path(&file.name) || removed.get(&file.name).is_some_and(|&removed| removed > recently)
        };
        old.into_iter().filter(|file| file.left_over || !needed(file)).collect()
    };
    let done = blocking(move || {
        let (mut files, mut bytes) = (0, 0);
        for file in unneeded {
            fault::reach("store::maintenance::vacuum")?;
            if disk::remove(&file.path)? {
                files += 1;
                bytes += file.bytes;
            }
        }
        Ok((files, bytes))
    });
    let (files, bytes) = done.await.map_err(|error: io::Error| disk_error(&error, &shown))?;
    report.files += files;
    report.bytes += bytes;
    Ok(())
}

struct OldFile {
    path: PathBuf,
    name: String,
    bytes: u64,
    /// What a write that was cut short has left.
    left_over: bool,
}

/// The data files and left-overs in a directory that are older than the retention.
fn old_files(dir: &Path, retention: Duration) -> io::Result<Vec<OldFile>> {
    let now = SystemTime::now();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let left_over = name
            .rsplit_once('#')
            .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
        if !left_over && !name.ends_with(".parquet") {
            continue;
        }
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if now.duration_since(metadata.modified()?).unwrap_or_default() >= retention {
            found.push(OldFile { path: entry.path(), name, bytes: metadata.len(), left_over });
        }
    }
    Ok(found)
}

impl Table {
    /// The files that were replaced and are still remembered, with the time (ms).
    async fn removed(&self) -> Result<Vec<(String, i64)>, MaintenanceError> {
        let last = LastCheckpoint::read(self.store.as_ref()).await?;
        let mut removed = match last {
            Some(last) => last.load_removed(self.store.as_ref()).await?,
            None => Vec::new(),
        };
        let known = self.state().version;
        for version in last.map_or(0, |last| last.version + 1)..=known {
            removed.extend(self.read_entry(version).await?.into_iter().flat_map(|entry| entry.removes));
        }
        Ok(removed)
    }
}
