//! Opening a table: from its newest checkpoint, with a look at the end of its log.

use std::{fs, io, path::Path, time::Instant};

use deltalake::{
    kernel::{
        Action, CommitInfo, Metadata, Protocol,
        transaction::{CommitData, TransactionError},
    },
    logstore::{CommitOrBytes, LogStore},
    protocol::{DeltaOperation, SaveMode},
};
use serde_json::json;
use uuid::Uuid;

use super::{Table, follow::entry_path, snapshot::LastCheckpoint, state::State};
use crate::{OpenError, Options, ReadError, TornEntry, blocking, disk, schema};

/// An open table and what was found.
pub(crate) struct Opened {
    pub(crate) table: Table,
    pub(crate) torn: Vec<TornEntry>,
}

impl Table {
    /// Opens the table in `dir`, making it if there is none.
    pub(crate) async fn open(
        dir: &Path,
        name: &'static str,
        columns: &arrow::datatypes::Schema,
        options: &Options,
    ) -> Result<Opened, OpenError> {
        let table = Self::at(dir, name)?;
        let versions = table.versions().await?;
        match table.newest_checkpoint(&versions).await? {
            Some(state) => table.change(|known| *known = state),
            None if versions.entries.first().is_some_and(|&first| first > 0) => {
                return Err(table.not_whole("its first log entries are gone and no checkpoint can be read"));
            }
            None => {
                if versions.entries.is_empty() {
                    table.create(columns, options).await?;
                }
                // The first entry holds nothing but the schema, which is ours or the winner's.
                table.read_entry(0).await?;
            }
        }
        let torn = table.read_to_the_end().await?;
        Ok(Opened { table, torn })
    }

    /// Takes in every entry there is, and puts a torn last one aside.
    async fn read_to_the_end(&self) -> Result<Vec<TornEntry>, OpenError> {
        let mut torn = Vec::new();
        loop {
            let mut turn = self.turn.lock().await;
            match self.follow(&mut turn).await {
                Ok(()) => {}
                Err(ReadError::Entry { version, what, .. }) => {
                    torn.extend(self.put_aside(version, what).await?);
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let known = self.state().version;
            let last = self.versions().await?.entries.last().copied().unwrap_or(0);
            if last > known && self.read_entry(known + 1).await?.is_none() {
                return Err(self.not_whole(&format!("log entry {} is missing, though {last} is there", known + 1)));
            }
            if last <= known {
                self.sync_log().await?;
                turn.looked = Instant::now();
                self.publish();
                return Ok(torn);
            }
        }
    }

    /// Moves an entry that cannot be read out of the log, if it is the last. An entry of ours is synced before it
    /// is visible, and acknowledged after: one that is not whole was never acknowledged by anyone.
    async fn put_aside(&self, version: u64, what: String) -> Result<Option<TornEntry>, OpenError> {
        let last = self.versions().await?.entries.last().copied().unwrap_or(0);
        if last != version || version == 0 {
            let what = format!("log entry {version} cannot be read ({what}), and {last} follows it");
            return Err(self.not_whole(&what));
        }
        let kept = format!("_deltafold/torn/{version:020}.{}.json", Uuid::new_v4().simple());
        let (from, to) = (self.dir.join(entry_path(version)), self.dir.join(&kept));
        match blocking(move || disk::set_aside(&from, &to)).await {
            // Another process that is opening the table has done it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk::disk_error(&error, &kept).into()),
            Ok(()) => {}
        }
        tracing::warn!(table = self.name, version, %what, %kept, "a torn last log entry was put aside");
        Ok(Some(TornEntry { table: self.name.to_owned(), version, what, kept }))
    }

    /// The state as of the newest checkpoint that can be read.
    async fn newest_checkpoint(&self, versions: &Versions) -> Result<Option<State>, OpenError> {
        let hint = LastCheckpoint::read(self.store.as_ref()).await?;
        let listed = versions.checkpoints.iter().rev().map(|&version| LastCheckpoint::at(version));
        let mut failure = None;
        for checkpoint in hint.into_iter().chain(listed) {
            match checkpoint.load(self.store.as_ref()).await {
                Ok(state) => return Ok(Some(state)),
                Err(ReadError::Disk { file, what }) => return Err(ReadError::Disk { file, what }.into()),
                Err(error) => {
                    tracing::warn!(table = self.name, version = checkpoint.version, %error, "a checkpoint is left out");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if versions.entries.first() != Some(&0) => Err(error.into()),
            _ => Ok(None),
        }
    }

    /// Writes the first entry; another process may be first.
    async fn create(&self, columns: &arrow::datatypes::Schema, options: &Options) -> Result<(), OpenError> {
        let now = chrono::Utc::now().timestamp_millis();
        let protocol: Protocol =
            serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2})).expect("this is a protocol");
        let metadata: Metadata = serde_json::from_value(json!({
            "id": Uuid::new_v4().to_string(),
            "name": self.name,
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema::delta_json(columns),
            "partitionColumns": [],
            "configuration": {
                "delta.appendOnly": "true",
                "delta.enableExpiredLogCleanup": "false",
                "delta.deletedFileRetentionDuration": format!("interval {} seconds", options.file_retention.as_secs()),
            },
            "createdTime": now,
        }))
        .expect("this is a table's metadata");
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: self.url.clone(),
            protocol: protocol.clone(),
            metadata: metadata.clone(),
        };
        let info = CommitInfo {
            timestamp: Some(now),
            operation: Some(operation.name().to_owned()),
            engine_info: Some(concat!("deltafold/", env!("CARGO_PKG_VERSION")).to_owned()),
            ..CommitInfo::default()
        };
        let actions = vec![Action::CommitInfo(info), Action::Protocol(protocol), Action::Metadata(metadata)];
        let bytes = CommitData::new(actions, operation, Default::default(), Vec::new())
            .get_bytes()
            .expect("actions made of texts and numbers are JSON");
        match self.log.write_commit_entry(0, CommitOrBytes::LogBytes(bytes), Uuid::new_v4()).await {
            Ok(()) | Err(TransactionError::VersionAlreadyExists(_)) => Ok(()),
            Err(error) => Err(disk::disk_error(&error, &self.dir.display().to_string()).into()),
        }
    }

    /// The versions of which there are log entries and checkpoints, ascending.
    pub(crate) async fn versions(&self) -> Result<Versions, crate::DiskError> {
        let dir = self.log_dir();
        let shown = dir.display().to_string();
        blocking(move || Versions::list(&dir)).await.map_err(|error| disk::disk_error(&error, &shown))
    }

    fn not_whole(&self, what: &str) -> OpenError {
        OpenError::Damaged {
            path: self.dir.display().to_string(),
            what: format!("{what}: restore the directory from a backup, or what is missing into it"),
        }
    }
}

/// What a log directory holds, by version.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    pub(crate) entries: Vec<u64>,
    pub(crate) checkpoints: Vec<u64>,
}

impl Versions {
    fn list(dir: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let listed = match fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            listed => listed?,
        };
        for file in listed {
            let name = file?.file_name();
            let Some((version, kind)) = name.to_str().and_then(|name| name.split_once('.')) else { continue };
            let Some(version) = version.parse().ok().filter(|_| version.len() == 20) else { continue };
            match kind {
                "json" => found.entries.push(version),
                "checkpoint.parquet" => found.checkpoints.push(version),
                _ => {}
            }
        }
        found.entries.sort_unstable();
        found.checkpoints.sort_unstable();
        Ok(found)
    }
}
