//! One data file, opened.

use std::{
    ops::Range,
    sync::{Arc, LazyLock},
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use deltafold_event::{Position, StoredEvent};
use object_store::{ObjectStore, path::Path};
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
            RowSelection,
        },
    },
    bloom_filter::Sbbf,
    errors::Result,
    file::metadata::PageIndexPolicy,
};

use super::{EventColumns, Interner, columns};
use crate::{ReadError, schema, source::Bytes, table::file::DataFile};

/// How many rows are decoded at once.
const BATCH_ROWS: usize = 8_192;

/// A data file; everything but opening blocks.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    pub(crate) file: Arc<DataFile>,
    source: Bytes,
    metadata: ArrowReaderMetadata,
}

/// Texts as views into the decoded pages, so that they are copied once.
fn viewed(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, field.is_nullable())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

static EVENTS_VIEWED: LazyLock<SchemaRef> = LazyLock::new(|| viewed(&schema::EVENTS));

impl ParquetFile {
    /// Gets hold of a file's bytes; [`Self::new`] does the rest where it may block.
    pub(crate) async fn source(store: &dyn ObjectStore, file: &DataFile) -> std::result::Result<Bytes, ReadError> {
        Bytes::open(store, &Path::from(file.path.as_str())).await
    }

    /// Reads the footer of an event file; `lookup`: and the page index.
    pub(crate) fn new(file: Arc<DataFile>, source: Bytes, lookup: bool) -> std::result::Result<Self, ReadError> {
        let policy = if lookup { PageIndexPolicy::Optional } else { PageIndexPolicy::Skip };
        let options = ArrowReaderOptions::new().with_page_index_policy(policy).with_schema(EVENTS_VIEWED.clone());
        let metadata = ArrowReaderMetadata::load(&source, options);
        let metadata = metadata.map_err(|error| ReadError::of_parquet(&file.path.as_str().into(), &error))?;
        Ok(Self { file, source, metadata })
    }

    /// Reads the footer of a file of dead letters.
    pub(crate) fn letters(file: Arc<DataFile>, source: Bytes) -> std::result::Result<Self, ReadError> {
        let metadata = ArrowReaderMetadata::load(&source, ArrowReaderOptions::new());
        let metadata = metadata.map_err(|error| ReadError::of_parquet(&file.path.as_str().into(), &error))?;
        Ok(Self { file, source, metadata })
    }

    pub(crate) fn metadata(&self) -> &ArrowReaderMetadata {
        &self.metadata
    }

    /// This file's error.
    pub(crate) fn broken(&self, what: impl ToString) -> ReadError {
        ReadError::File { file: self.file.path.clone(), what: what.to_string() }
    }

    fn unreadable(&self, error: &parquet::errors::ParquetError) -> ReadError {
        ReadError::of_parquet(&self.file.path.as_str().into(), error)
    }

    /// Some rows of some columns; no columns: all of them.
    fn reader(&self, names: &[&str], rows: Option<RowSelection>) -> Result<ParquetRecordBatchReader> {
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.metadata.clone())
                .with_batch_size(BATCH_ROWS);
        if !names.is_empty() {
            let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
            builder = builder.with_projection(mask);
        }
        if let Some(rows) = rows {
            builder = builder.with_row_selection(rows);
        }
        builder.build()
    }

    /// All rows, some at a time.
    pub(crate) fn rows(&self, at_once: usize) -> std::result::Result<ParquetRecordBatchReader, ReadError> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.metadata.clone());
        builder.with_batch_size(at_once).build().map_err(|error| self.unreadable(&error))
    }

    /// Some rows of some columns; no columns: all of them.
    pub(crate) fn batches(
        &self,
        names: &[&str],
        rows: Option<RowSelection>,
    ) -> std::result::Result<Vec<RecordBatch>, ReadError> {
        let reader = self.reader(names, rows).map_err(|error| self.unreadable(&error))?;
        reader.map(|batch| batch.map_err(|error| self.broken(error))).collect()
    }

    /// The events in some rows (ascending indices), in the order of the rows.
    pub(crate) fn events(&self, rows: &[usize]) -> std::result::Result<Vec<StoredEvent>, ReadError> {
        let selection = select(rows, self.file.rows as usize);
        let mut events = Vec::with_capacity(rows.len());
        let (mut interner, mut last) = (Interner::default(), columns::Last::default());
        for batch in self.batches(&[], Some(selection))? {
            let positions = self.positions(&batch)?;
            let columns = EventColumns::of(&batch).map_err(|what| self.broken(what))?;
            for (row, position) in positions.into_iter().enumerate() {
                let event = columns.event(row, position, &self.file, &mut interner, &mut last, None);
                events.push(event.map_err(|what| self.broken(what))?);
            }
        }
        Ok(events)
    }

    /// The positions of a batch's rows.
    pub(crate) fn positions(&self, batch: &RecordBatch) -> std::result::Result<Vec<Position>, ReadError> {
        columns::positions(batch, &self.file).map_err(|what| self.broken(what))
    }

    /// The column that positions are read from.
    pub(crate) fn position_column(&self) -> &'static str {
        if self.file.compacted { schema::column::POSITION } else { schema::column::ORDINAL }
    }

    /// Whether a Bloom filter leaves it open that a text is in a column.
    pub(crate) fn may_hold(&self, name: &str, text: &str) -> bool {
        let found = self.bloom(name);
        found.ok().flatten().is_none_or(|filter| filter.check(text.as_bytes()))
    }

    fn bloom(&self, name: &str) -> Result<Option<Sbbf>> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.metadata.clone());
        let column = builder.parquet_schema().columns().iter().position(|column| column.name() == name);
        match column.filter(|_| builder.metadata().num_row_groups() == 1) {
            Some(column) => builder.get_row_group_column_bloom_filter(0, column),
            None => Ok(None),
        }
    }
}

/// Selects rows by ascending index.
pub(crate) fn select(rows: &[usize], total: usize) -> RowSelection {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for &row in rows {
        match ranges.last_mut() {
            Some(range) if range.end == row => range.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    RowSelection::from_consecutive_ranges(ranges.into_iter(), total)
}
