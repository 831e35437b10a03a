//! Compaction: small files of neighbouring positions become one (D12).

use std::sync::Arc;

use object_store::{ObjectStoreExt, path::Path};
use uuid::Uuid;

use super::{
    merge,
    plan::{Plan, next_merge},
};
use crate::{
    CompactReport, EventStore, MaintenanceError, blocking,
    disk::disk_error,
    read::ParquetFile,
    table::{Table, commit::Proposal, entry::NewFile, file::DataFile},
};

/// The most bytes in memory that a merged file holds.
const MOST_RAW_BYTES: u64 = 256 << 20;

/// How often a merge is given up because another process has taken its files.
const GIVE_UP: usize = 3;

impl EventStore {
    /// Merges small files as far as it goes.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub async fn compact(&self) -> Result<CompactReport, MaintenanceError> {
        self.compact_while(2, || true).await
    }

    /// Merges runs of so many files while it is wanted.
    pub(super) async fn compact_while(
        &self,
        files: usize,
        wanted: impl Fn() -> bool,
    ) -> Result<CompactReport, MaintenanceError> {
        let plan = Plan { rows: self.options().compact_events as u64, raw_bytes: MOST_RAW_BYTES, files };
        let mut report = CompactReport::default();
        for table in [self.letters(), self.events()] {
            table.refresh().await?;
            let mut superseded = 0;
            while wanted() {
                let known: Vec<Arc<DataFile>> = table.state().files.iter().cloned().collect();
                let Some(range) = next_merge(&known, plan) else { break };
                match replace(table, &known[range], &mut report).await {
                    Err(MaintenanceError::Superseded(_)) if superseded < GIVE_UP => superseded += 1,
                    merged => merged?,
                }
            }
        }
        Ok(report)
    }
}

/// Merges files and commits what they became.
async fn replace(table: &Table, files: &[Arc<DataFile>], report: &mut CompactReport) -> Result<(), MaintenanceError> {
    let mut sources = Vec::with_capacity(files.len());
    for file in files {
        sources.push((file.clone(), ParquetFile::source(table.store.as_ref(), file).await?));
    }
    let letters = table.name == "dead_letters";
    let encoded = blocking(move || {
        let open = |(file, source)| {
            if letters { ParquetFile::letters(file, source) } else { ParquetFile::new(file, source, false) }
        };
        let opened: Vec<ParquetFile> = sources.into_iter().map(open).collect::<Result<_, _>>()?;
        merge::merge(&opened)
    })
    .await?;
    let merged = NewFile {
        path: format!("compact-{}.zstd.parquet", Uuid::new_v4()),
        size: encoded.bytes.len() as u64,
        statistics: encoded.statistics,
    };
    let path = Path::from(merged.path.as_str());
    table.store.put(&path, encoded.bytes.into()).await.map_err(|error| disk_error(&error, path.as_ref()))?;
    let proposal = Proposal {
        file: merge::tags(files).map(|tags| (&merged, tags)),
        replaces: files,
        points: ["store::maintenance::before_compaction", "store::maintenance::after_compaction"],
        ..Proposal::default()
    };
    let committed = table.commit(&proposal, |_, _| ()).await;
    if let Err(crate::table::commit::CommitError::Superseded(_)) = &committed {
        // Nobody can know of it. If it stays, vacuum removes it.
        let _ = table.store.delete(&path).await;
    }
    committed?;
    report.merged += files.len();
    report.written += 1;
    report.events += files.iter().map(|file| file.rows).sum::<u64>();
    report.bytes_before += files.iter().map(|file| file.size).sum::<u64>();
    report.bytes_after += merged.size;
    Ok(())
}
