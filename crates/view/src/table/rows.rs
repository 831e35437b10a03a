//! A mirror's rows as a stream of Arrow batches.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanBuilder, Int64Builder, RecordBatch, RecordBatchOptions, StringViewBuilder},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchReceiverStreamBuilder, streaming::PartitionStream},
};
use deltafold_event::{ColumnType, Position, arrays::Values, members};

use super::{filter::Keys, schema::Source};
use crate::{At, ReadError, Reader, Version};

/// As many keys are looked up at once, where a scan would go to a thread of its own.
const FEW_KEYS: usize = 64;

/// How many rows without columns make a batch.
const COUNTED_AT_ONCE: usize = 65_536;

/// One scan of a mirror.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) reader: Reader,
    pub(crate) at: At,
    pub(crate) fields: Arc<[Source]>,
    pub(crate) schema: SchemaRef,
    pub(crate) keys: Keys,
    pub(crate) limit: Option<usize>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match &self.keys {
            Keys::These(keys) if keys.len() <= FEW_KEYS => self.look_up(),
            Keys::All if self.fields.is_empty() && self.limit.is_none() => self.count(),
            _ => self.read_aside(context.session_config().batch_size()),
        }
    }
}

impl Rows {
    fn versions(&self) -> Box<dyn Iterator<Item = std::result::Result<Version, ReadError>> + Send> {
        let limit = self.limit.unwrap_or(usize::MAX);
        match &self.keys {
            Keys::All => Box::new(self.reader.scan(self.at).take(limit)),
            Keys::After(key) => Box::new(self.reader.scan_after(self.at, key).take(limit)),
            Keys::These(keys) => {
                let (reader, at) = (self.reader.clone(), self.at);
                let found = keys.clone().into_iter().filter_map(move |key| reader.as_of(&key, at).transpose());
                Box::new(found.take(limit))
            }
        }
    }

    /// Reads on the spot: a few seeks cost less than going to another thread.
    fn look_up(&self) -> SendableRecordBatchStream {
        let read = || {
            let mut columns = Columns::new(&self.fields, FEW_KEYS);
            for version in self.versions() {
                columns.append(&version.map_err(external)?)?;
            }
            columns.finish(&self.schema)
        };
        let stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 1);
        stream.tx().try_send(read()).expect("there is room for one batch");
        stream.build()
    }

    /// As many rows as there are, with no columns. A reader that goes away ends it at the next batch.
    fn count(&self) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (mut versions, schema, out) = (self.reader.scan(self.at), self.schema.clone(), stream.tx());
        stream.spawn_blocking(move || {
            loop {
                let rows = versions.pass(COUNTED_AT_ONCE).map_err(external)?;
                let batch = Columns { rows, ..Columns::new(&[], 0) }.finish(&schema);
                if out.blocking_send(batch).is_err() || rows < COUNTED_AT_ONCE {
                    return Ok(());
                }
            }
        });
        stream.build()
    }

    /// Reads the disk on a thread that may wait for it. A reader that goes away ends it at the next batch.
    fn read_aside(&self, batch_rows: usize) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let out = stream.tx();
        let (versions, fields, schema) = (self.versions(), self.fields.clone(), self.schema.clone());
        let capacity = batch_rows.min(self.limit.unwrap_or(usize::MAX));
        stream.spawn_blocking(move || {
            let mut columns = Columns::new(&fields, capacity);
            for version in versions {
                columns.append(&version.map_err(external)?)?;
                if columns.rows == batch_rows {
                    let full = std::mem::replace(&mut columns, Columns::new(&fields, capacity));
                    if out.blocking_send(full.finish(&schema)).is_err() {
                        return Ok(());
                    }
                }
            }
            if columns.rows > 0 {
                // An error means that nobody reads any more.
                let _ = out.blocking_send(columns.finish(&schema));
            }
            Ok(())
        });
        stream.build()
    }
}

/// The columns of a batch under construction.
struct Columns {
    columns: Vec<Cells>,
    /// Whether any of them is inside the row.
    reads_rows: bool,
    rows: usize,
}

/// One of them, by where its values come from.
enum Cells {
    Column(String, Values),
    Key(StringViewBuilder),
    ValidFrom(Values),
    RecordedFrom(Int64Builder),
    RecordedTo(Int64Builder),
    Event(StringViewBuilder),
    Incomplete(BooleanBuilder),
    Row(StringViewBuilder),
}

impl Cells {
    fn new(source: &Source, capacity: usize) -> Self {
        match source {
            Source::Column(column) => Self::Column(column.name.clone(), Values::new(&column.column_type, capacity)),
            Source::Key => Self::Key(StringViewBuilder::with_capacity(capacity)),
            Source::ValidFrom => Self::ValidFrom(Values::new(&ColumnType::TimestampTz, capacity)),
            Source::RecordedFrom => Self::RecordedFrom(Int64Builder::with_capacity(capacity)),
            Source::RecordedTo => Self::RecordedTo(Int64Builder::with_capacity(capacity)),
            Source::Event => Self::Event(StringViewBuilder::with_capacity(capacity)),
            Source::Incomplete => Self::Incomplete(BooleanBuilder::with_capacity(capacity)),
            Source::Row => Self::Row(StringViewBuilder::with_capacity(capacity)),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Column(_, values) | Self::ValidFrom(values) => values.finish(),
            Self::Key(mut cells) | Self::Event(mut cells) | Self::Row(mut cells) => Arc::new(cells.finish()),
            Self::RecordedFrom(mut cells) | Self::RecordedTo(mut cells) => Arc::new(cells.finish()),
            Self::Incomplete(mut cells) => Arc::new(cells.finish()),
        }
    }
}

impl Columns {
    fn new(fields: &[Source], capacity: usize) -> Self {
        Self {
            columns: fields.iter().map(|source| Cells::new(source, capacity)).collect(),
            reads_rows: fields.iter().any(|source| source.column().is_some()),
            rows: 0,
        }
    }

    fn append(&mut self, version: &Version) -> Result<()> {
        let row = version.row();
        let values = match self.reads_rows {
            true => members(row).map_err(|error| external(damaged(version, &error)))?,
            false => vec![],
        };
        let mut next = 0;
        for cells in &mut self.columns {
            match cells {
                Cells::Column(name, cells) => {
                    // Columns mostly come in the row's own order: look on from the last one found.
                    let mut order = (next..values.len()).chain(0..next);
                    match order.find(|&at| values[at].0 == *name) {
                        Some(at) => {
                            next = at + 1;
                            cells.append(values[at].1.get());
                        }
                        None => cells.append_null(),
                    }
                }
                Cells::Key(cells) => cells.append_value(&version.key),
                Cells::ValidFrom(cells) => cells.append_moment(version.valid_from),
                Cells::RecordedFrom(cells) => cells.append_value(version.recorded_from.as_i64()),
                Cells::RecordedTo(cells) => cells.append_option(version.recorded_to.map(Position::as_i64)),
                Cells::Event(cells) => cells.append_option(version.event.map(|event| event.to_string())),
                Cells::Incomplete(cells) => cells.append_value(version.incomplete),
                Cells::Row(cells) => cells.append_value(row),
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn finish(self, schema: &SchemaRef) -> Result<RecordBatch> {
        let arrays = self.columns.into_iter().map(Cells::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        Ok(RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?)
    }
}

fn damaged(version: &Version, error: &serde_json::Error) -> ReadError {
    ReadError::Corrupt(format!("the row {} is not a JSON object: {error}", version.key))
}

fn external(error: ReadError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
