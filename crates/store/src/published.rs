//! Views as Delta tables, for other engines to read: rows by key, kept by upsert and delete, with a change data feed.
//!
//! How far a table has come is the version of an application transaction in the same commit as its rows, so that a
//! publisher that was cut short neither repeats nor misses anything. The commits are delta-rs's own (MERGE), which is
//! why the tables can be maintained, and their feeds read, by whatever reads Delta.

use std::{error::Error, path::Path, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
};
use deltafold_event::Position;
use deltalake::{
    DeltaTable, DeltaTableBuilder, DeltaTableError,
    datafusion::{
        common::Column,
        logical_expr::{Expr, Operator, binary_expr},
        prelude::SessionContext,
    },
    kernel::{
        Transaction,
        engine::arrow_conversion::{TryIntoArrow, TryIntoKernel},
        transaction::CommitProperties,
    },
    operations::write::SchemaMode,
    protocol::SaveMode,
};
use url::Url;

use crate::{
    DiskError,
    disk::{self, Disk},
};

/// The column that a merge has beside those of its table: whether the row of this key is to go.
pub const REMOVED: &str = "_removed";

/// After how many commits files are compacted, and those that nobody reads any more removed.
const MAINTAINED_EVERY: u64 = 100;

/// Why a table could not be written or read; the next attempt begins where the last commit ended.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The file system refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What delta-rs says.
    #[error(
        "{table} cannot be published ({what}): that is tried again; if it stays so, remove the directory to have it \
         written anew"
    )]
    Table {
        /// Its directory.
        table: String,
        /// What went wrong.
        what: String,
    },
}

/// A table of a view.
#[derive(Debug)]
pub struct PublishedTable {
    shown: String,
    key: &'static [&'static str],
    table: DeltaTable,
}

impl PublishedTable {
    /// Opens the table in a directory, which need not exist; its rows are told apart by the columns of `key`.
    ///
    /// # Errors
    /// When the directory cannot be made, or holds something else.
    pub async fn open(dir: &Path, key: &'static [&'static str]) -> Result<Self, PublishError> {
        let shown = dir.display().to_string();
        let failed = |reason| DiskError::Failed { path: shown.clone(), reason };
        let dir = disk::resolved(dir).map_err(failed)?;
        std::fs::create_dir_all(&dir).map_err(failed)?;
        let url = Url::from_directory_path(&dir).expect("an absolute path is a URL");
        let refused = |error: DeltaTableError| refused(&shown, &error);
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(refused)?;
        let mut table = builder.with_storage_backend(Arc::new(Disk::new()), url).build().map_err(refused)?;
        if table.verify_deltatable_existence().await.map_err(refused)? {
            table.load().await.map_err(refused)?;
        }
        Ok(Self { shown, key, table })
    }

    /// How far it has come of what an application writes; none before its first commit.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn until(&self, app_id: &str) -> Result<Option<Position>, PublishError> {
        let Ok(snapshot) = self.table.snapshot() else { return Ok(None) };
        let version = snapshot.transaction_version(&*self.table.log_store(), app_id).await;
        Ok(version.map_err(|error| self.refused(&error))?.and_then(|version| Position::from_i64(version).ok()))
    }

    /// Whether its columns are these.
    pub fn has_columns(&self, columns: &Schema) -> bool {
        let Ok(snapshot) = self.table.snapshot() else { return false };
        let wanted: Result<deltalake::kernel::StructType, _> = columns.try_into_kernel();
        wanted.is_ok_and(|wanted| wanted == *snapshot.schema())
    }

    /// Replaces all that is in it, its columns included. Its feed begins anew.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn replace(
        &mut self,
        columns: &SchemaRef,
        rows: Vec<RecordBatch>,
        app_id: &str,
        until: Position,
    ) -> Result<(), PublishError> {
        let rows = if rows.is_empty() { vec![RecordBatch::new_empty(Arc::clone(columns))] } else { rows };
        let write = self.table.clone().write(rows);
        let write = write
            .with_save_mode(SaveMode::Overwrite)
            .with_schema_mode(SchemaMode::Overwrite)
            .with_configuration([
                ("delta.enableChangeDataFeed", Some("true")),
                ("delta.dataSkippingStatsColumns", Some("_key")),
            ])
            .with_commit_properties(commit(app_id, until));
        self.table = write.await.map_err(|error| self.refused(&error))?;
        Ok(())
    }

    /// Takes in changes: rows of its columns and [`REMOVED`], at most one of each key. `is_all`: they are all there is,
    /// and what is not among them goes.
    ///
    /// # Errors
    /// When it cannot be written; then nothing has changed.
    pub async fn merge(
        &mut self,
        changes: Vec<RecordBatch>,
        is_all: bool,
        app_id: &str,
        until: Position,
    ) -> Result<(), PublishError> {
        let source = |name: &str| Expr::Column(Column::new(Some("source"), name));
        let target = |name: &str| Expr::Column(Column::new(Some("target"), name));
        let columns: Schema = match self.table.snapshot() {
            Ok(snapshot) => snapshot.schema().as_ref().try_into_arrow().map_err(DeltaTableError::from),
            Err(error) => Err(error),
        }
        .map_err(|error| self.refused(&error))?;
        let names: Vec<&str> = columns.fields().iter().map(|field| field.name().as_str()).collect();
        let is_same = self.key.iter().map(|name| target(name).eq(source(name))).reduce(Expr::and);
        let is_other = names.iter().map(|name| is_distinct(target(name), source(name))).reduce(Expr::or);
        let (is_same, is_other) = is_same.zip(is_other).expect("a table has columns, and a key");
        let changes = SessionContext::new().read_batches(changes).map_err(|error| self.refused(&error))?;
        let merge = async {
            let mut merge = self
                .table
                .clone()
                .merge(changes, is_same)
                .with_source_alias("source")
                .with_target_alias("target")
                .with_commit_properties(commit(app_id, until))
                .when_matched_delete(|delete| delete.predicate(source(REMOVED)))?
                .when_matched_update(|update| {
                    let update = update.predicate(is_other);
                    names.iter().fold(update, |update, name| update.update(Column::from_name(*name), source(name)))
                })?
                .when_not_matched_insert(|insert| {
                    let insert = insert.predicate(Expr::Not(Box::new(source(REMOVED))));
                    names.iter().fold(insert, |insert, name| insert.set(Column::from_name(*name), source(name)))
                })?;
            if is_all {
                merge = merge.when_not_matched_by_source_delete(|delete| delete)?;
            }
            merge.await
        };
        let merged: Result<(DeltaTable, _), DeltaTableError> = merge.await;
        (self.table, _) = merged.map_err(|error| self.refused(&error))?;
        self.maintain().await
    }

    /// Every now and then: fewer and larger files, and none that nobody reads any more.
    async fn maintain(&mut self) -> Result<(), PublishError> {
        if self.table.version().is_none_or(|version| version % MAINTAINED_EVERY != 0) {
            return Ok(());
        }
        let (table, _) = self.table.clone().optimize().await.map_err(|error| self.refused(&error))?;
        let (table, _) = table.vacuum().await.map_err(|error| self.refused(&error))?;
        self.table = table;
        Ok(())
    }

    fn refused(&self, error: &(dyn Error + 'static)) -> PublishError {
        refused(&self.shown, error)
    }
}

/// The disk's failure, or else the table's.
fn refused(table: &str, error: &(dyn Error + 'static)) -> PublishError {
    match disk::is_disk_failure(error) {
        true => disk::disk_error(error, table).into(),
        false => PublishError::Table { table: table.to_owned(), what: error.to_string() },
    }
}

fn is_distinct(one: Expr, other: Expr) -> Expr {
    binary_expr(one, Operator::IsDistinctFrom, other)
}

fn commit(app_id: &str, until: Position) -> CommitProperties {
    CommitProperties::default().with_application_transaction(Transaction::new(app_id, until.as_i64()))
}
