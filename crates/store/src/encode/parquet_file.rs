//! Arrow columns as a Parquet file in memory.

use arrow::array::RecordBatch;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    errors::Result,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

use super::{Encoded, statistics};
use crate::schema::column;

/// Texts that hardly ever come again: no dictionary, and nobody looks for them by range.
const UNIQUE: [&str; 7] =
    [column::EVENT_ID, column::BEFORE, column::AFTER, column::METADATA, "key", "value", "headers"];

/// Numbers that are close to each other.
const DELTAS: [&str; 3] = [column::OFFSET, column::ORDINAL, column::POSITION];

/// One row group, zstd-1; Bloom filters where events are looked up; page index for what is looked up by range.
pub(crate) fn write(batch: &RecordBatch) -> Result<Encoded> {
    let rows = batch.num_rows();
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("deltafold ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(rows.max(1)));
    let schema = batch.schema();
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
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), batch.schema(), options)?;
    writer.write(batch)?;
    Ok(Encoded { bytes: writer.into_inner()?, statistics: statistics(batch) })
}
