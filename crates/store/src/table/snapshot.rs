//! Reading a table's state from a checkpoint.

use std::collections::HashMap;

use arrow::{
    array::{Array, AsArray, MapArray, StringArray, StructArray},
    datatypes::Int64Type,
};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    file::metadata::ParquetMetaDataReader,
};
use serde::Deserialize;

use super::{
    file::{DataFile, Described},
    state::State,
};
use crate::{
    MaintenanceError, ReadError,
    disk::{LAST_CHECKPOINT, disk_error},
    source::Bytes,
};

/// `_last_checkpoint`: which checkpoint is the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct LastCheckpoint {
    pub(crate) version: u64,
    parts: Option<u64>,
}

impl LastCheckpoint {
    /// A checkpoint in one file, as we write them.
    pub(crate) fn at(version: u64) -> Self {
        Self { version, parts: None }
    }

    /// What the table says; none if it says nothing, or nothing that can be read (it is a hint).
    pub(crate) async fn read(store: &dyn ObjectStore) -> Result<Option<Self>, ReadError> {
        let path = Path::from(format!("_delta_log/{LAST_CHECKPOINT}"));
        match store.get(&path).await {
            Ok(found) => {
                let bytes = found.bytes().await.map_err(|error| ReadError::of_object(&path, &error))?;
                Ok(serde_json::from_slice(&bytes).ok())
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(ReadError::of_object(&path, &error)),
        }
    }

    /// Names a checkpoint that is there as the newest, as its writer would have done.
    pub(crate) async fn publish(version: u64, store: &dyn ObjectStore) -> Result<(), MaintenanceError> {
        let this = Self::at(version);
        let path = &this.paths()[0];
        let source = Bytes::open(store, path).await?;
        let at = path.clone();
        let size = crate::blocking(move || {
            let footer = ParquetMetaDataReader::new().parse_and_finish(&source);
            footer.map_err(|error| ReadError::of_parquet(&at, &error))
        });
        let size = size.await?.file_metadata().num_rows();
        let hint = serde_json::json!({"version": version, "size": size}).to_string();
        let path = Path::from(format!("_delta_log/{LAST_CHECKPOINT}"));
        store.put(&path, hint.into()).await.map_err(|error| disk_error(&error, path.as_ref()))?;
        Ok(())
    }

    fn paths(self) -> Vec<Path> {
        let version = self.version;
        match self.parts {
            None | Some(0) => vec![format!("_delta_log/{version:020}.checkpoint.parquet").into()],
            Some(parts) => (1..=parts)
                .map(|part| format!("_delta_log/{version:020}.checkpoint.{part:010}.{parts:010}.parquet").into())
                .collect(),
        }
    }

    /// The state as of the checkpoint.
    pub(crate) async fn load(self, store: &dyn ObjectStore) -> Result<State, ReadError> {
        let mut state = State { version: self.version, ..State::default() };
        let mut files = Vec::new();
        for path in self.paths() {
            let (adds, txns) = read(store, &path, ["add", "txn"], |columns| {
                (adds(columns.column_by_name("add")), txns(columns.column_by_name("txn")))
            })
            .await?
            .into_iter()
            .unzip::<_, _, Vec<_>, Vec<_>>();
            for add in adds.into_iter().flatten() {
                files.push(DataFile::read(add).map_err(|what| ReadError::file(&path, what))?);
            }
            state.txns.extend(txns.into_iter().flatten());
        }
        for file in files {
            state.committed_at = state.committed_at.max(file.committed_at);
            state.files.insert(file).map_err(|what| ReadError::file(&self.paths()[0], what))?;
        }
        Ok(state)
    }

    /// The files that were removed and are still remembered, with the time of removal (ms).
    pub(crate) async fn load_removed(self, store: &dyn ObjectStore) -> Result<Vec<(String, i64)>, ReadError> {
        let mut removed = Vec::new();
        for path in self.paths() {
            let part = read(store, &path, ["remove"], |columns| removes(columns.column_by_name("remove"))).await?;
            removed.extend(part.into_iter().flatten());
        }
        Ok(removed)
    }
}

/// Reads some of the columns of a checkpoint's file, a value for each batch.
async fn read<T: Send + 'static, const N: usize>(
    store: &dyn ObjectStore,
    path: &Path,
    columns: [&'static str; N],
    each: impl Fn(&arrow::record_batch::RecordBatch) -> T + Send + 'static,
) -> Result<Vec<T>, ReadError> {
    let source = Bytes::open(store, path).await?;
    let at = path.clone();
    crate::blocking(move || {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let read = || {
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(source, options)?;
            let roots: Vec<usize> = builder
                .parquet_schema()
                .root_schema()
                .get_fields()
                .iter()
                .enumerate()
                .filter(|(_, field)| columns.contains(&field.name()))
                .map(|(index, _)| index)
                .collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
            let reader = builder.with_projection(mask).with_batch_size(8_192).build()?;
            reader.map(|batch| Ok(each(&batch?))).collect::<Result<Vec<T>, parquet::errors::ParquetError>>()
        };
        read().map_err(|error| ReadError::of_parquet(&at, &error))
    })
    .await
}

fn text<'a>(structs: &'a StructArray, name: &str) -> Option<&'a StringArray> {
    structs.column_by_name(name)?.as_string_opt()
}

fn value(texts: Option<&StringArray>, row: usize) -> Option<String> {
    texts.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row).to_owned())
}

fn rows(structs: &StructArray) -> impl Iterator<Item = usize> {
    (0..structs.len()).filter(|&row| structs.is_valid(row))
}

fn adds(column: Option<&arrow::array::ArrayRef>) -> Vec<Described> {
    let Some(structs) = column.and_then(|column| column.as_struct_opt()) else { return Vec::new() };
    let (paths, statistics) = (text(structs, "path"), text(structs, "stats"));
    let sizes = structs.column_by_name("size").and_then(|sizes| sizes.as_primitive_opt::<Int64Type>());
    let tags = structs.column_by_name("tags").and_then(|tags| tags.as_map_opt());
    rows(structs)
        .map(|row| Described {
            path: value(paths, row).unwrap_or_default(),
            size: sizes.map_or(0, |sizes| sizes.value(row).max(0) as u64),
            statistics: value(statistics, row),
            tags: tags.filter(|tags| tags.is_valid(row)).map(|tags| map(tags, row)).unwrap_or_default(),
        })
        .collect()
}

fn map(maps: &MapArray, row: usize) -> HashMap<String, String> {
    let entries = maps.value(row);
    let keys = entries.column(0).as_string_opt::<i32>();
    let values = entries.column(1).as_string_opt::<i32>();
    (0..entries.len()).filter_map(|entry| Some((value(keys, entry)?, value(values, entry)?))).collect()
}

fn txns(column: Option<&arrow::array::ArrayRef>) -> Vec<(String, i64)> {
    let Some(structs) = column.and_then(|column| column.as_struct_opt()) else { return Vec::new() };
    let ids = text(structs, "appId");
    let versions = structs.column_by_name("version").and_then(|versions| versions.as_primitive_opt::<Int64Type>());
    rows(structs).filter_map(|row| Some((value(ids, row)?, versions?.value(row)))).collect()
}

fn removes(column: Option<&arrow::array::ArrayRef>) -> Vec<(String, i64)> {
    let Some(structs) = column.and_then(|column| column.as_struct_opt()) else { return Vec::new() };
    let paths = text(structs, "path");
    let times = structs.column_by_name("deletionTimestamp").and_then(|times| times.as_primitive_opt::<Int64Type>());
    rows(structs).filter_map(|row| Some((value(paths, row)?, times.map_or(0, |times| times.value(row))))).collect()
}
