//! Arrow columns as a Parquet file in memory.

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError};
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    errors::Result,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{Encoded, statistics::Statistics};
use crate::schema::column;

/// Texts that hardly ever come again: no dictionary, and nobody looks for them by range.
const UNIQUE: [&str; 7] =
    [column::EVENT_ID, column::BEFORE, column::AFTER, column::METADATA, "key", "value", "headers"];

/// What hardly ever comes again either, but for its neighbours; looked for by range.
const MOSTLY_UNIQUE: [&str; 2] = [column::SOURCE_POSITION, column::TRANSACTION_ID];

/// Numbers that are close to each other, or at least short.
const DELTAS: [&str; 4] = [column::OFFSET, column::ORDINAL, column::POSITION, column::OCCURRED_AT];

/// Texts that are sorted, so that each begins like the one before it.
const SORTED: [&str; 1] = [column::AGGREGATE_ID];

/// How many rows are best written at once.
pub(crate) const PIECE_ROWS: usize = 4_096;

/// What a page grows to before it is compressed: small enough to be in the processor's cache still.
const PAGE_BYTES: usize = 128 << 10;
/// After how many rows the writer looks whether a page is full.
const ROWS_BETWEEN_LOOKS: usize = 256;

/// About what a row of events takes in a file; only to ask for memory once.
const TYPICAL_ROW_BYTES: usize = 160;

/// One row group, zstd-1; Bloom filters where events are looked up; page index for what is looked up by range.
///
/// The rows come in pieces, so that what is encoded next is still in the processor's cache.
pub(crate) fn write(
    schema: SchemaRef,
    rows: usize,
    batches: impl Iterator<Item = std::result::Result<RecordBatch, ArrowError>>,
) -> Result<Encoded> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("deltafold ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_write_batch_size(ROWS_BETWEEN_LOOKS)
        .set_max_row_group_row_count(Some(rows.max(1)));
    let has = |name: &str| schema.field_with_name(name).is_ok();
    for name in UNIQUE.into_iter().filter(|name| has(name)) {
        let path = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    for name in DELTAS.into_iter().filter(|name| has(name)) {
        let path = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    for name in SORTED.into_iter().filter(|name| has(name)) {
        let path = ColumnPath::from(name);
        properties = properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BYTE_ARRAY);
    }
    for name in MOSTLY_UNIQUE.into_iter().filter(|name| has(name)) {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    if has(column::EVENT_ID) {
        for name in [column::EVENT_ID, column::AGGREGATE_ID] {
            let path = ColumnPath::from(name);
            properties = properties
                .set_column_bloom_filter_fpp(path.clone(), 0.01)
                .set_column_bloom_filter_max_ndv(path, rows.max(1) as u64);
        }
    }
    // Without Arrow's own schema: a file says the same whether it was written from texts or from views.
    let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    let file = Vec::with_capacity(4096 + rows * TYPICAL_ROW_BYTES);
    let mut statistics = Statistics::new(&schema);
    let mut writer = ArrowWriter::try_new_with_options(file, schema.clone(), options)?;
    for batch in batches {
        let batch = batch?;
        statistics.add(&batch);
        writer.write(&batch)?;
    }
    Ok(Encoded { bytes: writer.into_inner()?, statistics: statistics.to_json() })
}
