//! What is in the event store, read without the store's code: the log's JSON entries and the Parquet files they name.

use crate::generator::Counts;
use anyhow::{Context, Result, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the independent count gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Events of types without `$`.
    pub events: u64,
    /// Different ids among them.
    pub distinct: u64,
    /// Rows of the table of dead letters.
    pub dead_letters: u64,
    /// Of the event store's active files.
    pub bytes: u64,
}

impl Audit {
    /// Counts a data directory.
    pub fn of(data: &Path) -> Result<Self> {
        let mut audit = Self { events: 0, distinct: 0, dead_letters: 0, bytes: 0 };
        let mut ids = HashSet::new();
        for file in active_files(&data.join("events"))? {
            audit.bytes +=
                std::fs::metadata(&file.path).with_context(|| format!("look at {}", file.path.display()))?.len();
            for_each_batch(&file.path, &["aggregate_type", "event_id"], |batch| {
                let (types, event_ids) = (strings(batch, "aggregate_type")?, strings(batch, "event_id")?);
                let (types, event_ids) = (types.as_string::<i32>(), event_ids.as_string::<i32>());
                for row in 0..batch.num_rows() {
                    if !types.value(row).starts_with('$') {
                        audit.events += 1;
                        ids.insert(uuid_number(event_ids.value(row))?);
                    }
                }
                Ok(())
            })?;
        }
        audit.distinct = ids.len() as u64;
        let dead_letters = data.join("dead_letters");
        if dead_letters.exists() {
            for file in active_files(&dead_letters)? {
                for_each_batch(&file.path, &[], |batch| {
                    audit.dead_letters += batch.num_rows() as u64;
                    Ok(())
                })?;
            }
        }
        Ok(audit)
    }

    /// Whether this is what the generator made.
    pub fn check(&self, counts: &Counts) -> Result<()> {
        ensure!(self.events == counts.events, "the store has {} events, the stream {}", self.events, counts.events);
        ensure!(
            self.distinct == counts.distinct,
            "the store has {} distinct events, the stream {}",
            self.distinct,
            counts.distinct
        );
        ensure!(
            self.dead_letters == counts.poison,
            "{} dead letters of {} poisoned lines",
            self.dead_letters,
            counts.poison
        );
        Ok(())
    }
}

/// The position at which each line of the stream became an event of `orders`, for the orders that `wanted` picks.
pub fn positions_by_line(data: &Path, wanted: impl Fn(u64) -> bool) -> Result<BTreeMap<u64, i64>> {
    let mut positions = BTreeMap::new();
    for file in active_files(&data.join("events"))? {
        for_each_batch(&file.path, &["aggregate_type", "aggregate_id", "offset", "ordinal", "position"], |batch| {
            let (types, ids) = (strings(batch, "aggregate_type")?, strings(batch, "aggregate_id")?);
            let (types, ids) = (types.as_string::<i32>(), ids.as_string::<i32>());
            let offsets = column(batch, "offset")?.as_primitive::<Int64Type>();
            let ordinals = column(batch, "ordinal")?.as_primitive::<Int32Type>();
            let filled = column(batch, "position")?.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                if types.value(row) == "orders" && ids.is_valid(row) && ids.value(row).parse().is_ok_and(&wanted) {
                    let position = if filled.is_valid(row) {
                        filled.value(row)
                    } else {
                        (file.version << 23) + i64::from(ordinals.value(row))
                    };
                    positions.insert(offsets.value(row) as u64, position);
                }
            }
            Ok(())
        })?;
    }
    Ok(positions)
}

struct ActiveFile {
    path: PathBuf,
    /// The commit that added it; of a file that a checkpoint names, the checkpoint's, but then its rows say their positions.
    version: i64,
}

/// The files that the log adds and does not remove again: those of the newest checkpoint if the log has been cleaned before it, and
/// what every later entry says. A gap in the log is an error.
fn active_files(table: &Path) -> Result<Vec<ActiveFile>> {
    let log = table.join("_delta_log");
    let (entries, checkpoints) = (numbered(&log, ".json")?, numbered(&log, ".checkpoint.parquet")?);
    let mut active = BTreeMap::new();
    let mut next = 0;
    if !entries.contains_key(&0) {
        let (version, path) =
            checkpoints.last_key_value().with_context(|| format!("{}: no checkpoint", log.display()))?;
        for_each_batch(path, &["add.path"], |batch| {
            let add = column(batch, "add")?.as_struct();
            let paths = cast(add.column_by_name("path").context("an add has a path")?, &DataType::Utf8)?;
            let paths = paths.as_string::<i32>();
            active.extend(
                (0..paths.len()).filter(|row| add.is_valid(*row)).map(|row| (paths.value(row).to_owned(), *version)),
            );
            Ok(())
        })?;
        next = version + 1;
    }
    for (version, path) in entries.range(next..) {
        ensure!(*version == next, "{}: entry {next} of the log is missing", log.display());
        next += 1;
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        for line in text.lines() {
            let action: Value = serde_json::from_str(line).with_context(|| format!("parse {}", path.display()))?;
            if let Some(name) = action["add"]["path"].as_str() {
                active.insert(name.to_owned(), *version);
            }
            if let Some(name) = action["remove"]["path"].as_str() {
                active.remove(name);
            }
        }
    }
    Ok(active.into_iter().map(|(name, version)| ActiveFile { path: table.join(name), version }).collect())
}

/// The files of a log that are a version and this ending.
fn numbered(log: &Path, ending: &str) -> Result<BTreeMap<i64, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(log).with_context(|| format!("list {}", log.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(version) = name.strip_suffix(ending).and_then(|version| version.parse().ok()) {
            files.insert(version, path);
        }
    }
    Ok(files)
}

fn for_each_batch(path: &Path, columns: &[&str], mut each: impl FnMut(&RecordBatch) -> Result<()>) -> Result<()> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).with_context(|| format!("open {}", path.display()))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
    for batch in builder.with_projection(mask).with_batch_size(8192).build()? {
        each(&batch.with_context(|| format!("read {}", path.display()))?)?;
    }
    Ok(())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    Ok(batch.column_by_name(name).with_context(|| format!("the event table has no column {name}"))?.as_ref())
}

/// A text column, whatever form the file says it should be read in.
fn strings(batch: &RecordBatch, name: &str) -> Result<arrow::array::ArrayRef> {
    Ok(cast(column(batch, name)?, &DataType::Utf8)?)
}

fn uuid_number(text: &str) -> Result<u128> {
    let digits: String = text.chars().filter(|digit| *digit != '-').collect();
    u128::from_str_radix(&digits, 16).with_context(|| format!("{text} is no UUID"))
}
