//! Checkpoints, by deltalake.

use deltalake::{DeltaTableBuilder, checkpoints::create_checkpoint};
use tokio::runtime::Handle;

use crate::{
    CheckpointReport, EventStore, MaintenanceError, blocking,
    disk::{disk_error, is_disk_failure},
    fault,
    table::{Table, snapshot::LastCheckpoint},
};

impl EventStore {
    /// Writes a checkpoint of both tables.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn checkpoint(&self) -> Result<CheckpointReport, MaintenanceError> {
        Ok(CheckpointReport {
            events_version: write(self.events()).await?,
            dead_letters_version: write(self.letters()).await?,
        })
    }
}

/// Writes a checkpoint of the newest version there is, and says which.
pub(super) async fn write(table: &Table) -> Result<u64, MaintenanceError> {
    let (version, url) = (table.state().version, table.url.clone());
    let shown = table.dir.display().to_string();
    let failed = |error: deltalake::DeltaTableError| match is_disk_failure(&error) {
        true => MaintenanceError::Disk(disk_error(&error, &shown)),
        false => MaintenanceError::Checkpoint { version, what: error.to_string() },
    };
    fault::reach("store::maintenance::before_checkpoint").map_err(|error| disk_error(&error, &shown))?;
    let builder = DeltaTableBuilder::from_url(url.clone()).map_err(failed)?;
    let builder = builder.with_storage_backend(table.disk.clone(), url);
    // It reads and writes without yielding.
    let runtime = Handle::current();
    let written = blocking(move || {
        runtime.block_on(async {
            let table = builder.load().await?;
            create_checkpoint(&table, None).await?;
            Ok(table.version())
        })
    });
    let written = written.await.map_err(failed)?.unwrap_or(0);
    fault::reach("store::maintenance::after_checkpoint").map_err(|error| disk_error(&error, &shown))?;
    // Where a checkpoint of the version is there already, deltalake leaves it at that; its writer may have died before
    // it named it.
    if table.last_checkpoint().await? < Some(written) {
        LastCheckpoint::publish(written, table.store.as_ref()).await?;
    }
    Ok(written)
}
