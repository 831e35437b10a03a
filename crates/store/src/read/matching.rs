//! Which rows of a file satisfy a filter, by reading as little of it as will do.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::TimestampMicrosecondType,
};
use deltafold_event::Position;
use parquet::{
    arrow::arrow_reader::RowSelection,
    file::page_index::column_index::{ByteArrayColumnIndex, ColumnIndexMetaData},
};

use super::ParquetFile;
use crate::{EventFilter, ReadError, schema::column};

/// The rows that satisfy a filter: position and index.
pub(crate) fn matching(file: &ParquetFile, filter: &EventFilter) -> Result<Vec<(Position, usize)>, ReadError> {
    if let Some(id) = &filter.aggregate_id
        && !file.may_hold(column::AGGREGATE_ID, id)
    {
        return Ok(Vec::new());
    }
    let selection = pages(file, filter);
    let mut names = vec![file.position_column()];
    let wanted = [
        (column::AGGREGATE_TYPE, filter.aggregate_type.is_some() || filter.without_control),
        (column::AGGREGATE_ID, filter.aggregate_id.is_some()),
        (column::EVENT_TYPE, filter.event_type.is_some()),
        (column::EVENT_ID, filter.id.is_some()),
        (column::TRANSACTION_ID, filter.transaction_id.is_some()),
        (column::OCCURRED_AT, filter.occurred_from.is_some() || filter.occurred_to.is_some()),
    ];
    names.extend(wanted.iter().filter(|(_, wanted)| *wanted).map(|(name, _)| *name));
    let mut indices = indices(selection.as_ref(), file.file.rows as usize);
    let mut found = Vec::new();
    for batch in file.batches(&names, selection)? {
        let positions = file.positions(&batch)?;
        let keep = Keep::of(&batch, filter);
        for (row, position) in positions.into_iter().enumerate() {
            let index = indices.next().ok_or_else(|| file.broken("it has more rows than its Add says"))?;
            if keep.row(row, position) {
                found.push((position, index));
            }
        }
    }
    Ok(found)
}

/// The indices of the rows that a selection takes.
fn indices(selection: Option<&RowSelection>, total: usize) -> Box<dyn Iterator<Item = usize>> {
    let Some(selection) = selection else { return Box::new(0..total) };
    let mut start = 0;
    let ranges: Vec<_> = selection
        .iter()
        .map(|selector| {
            start += selector.row_count;
            (start - selector.row_count..start, selector.skip)
        })
        .collect();
    Box::new(ranges.into_iter().filter(|(_, skip)| !skip).flat_map(|(range, _)| range))
}

/// The columns of a batch that a filter looks at.
struct Keep<'a> {
    filter: &'a EventFilter,
    id: Option<String>,
    batch: &'a RecordBatch,
}

impl<'a> Keep<'a> {
    fn of(batch: &'a RecordBatch, filter: &'a EventFilter) -> Self {
        Self { filter, id: filter.id.map(|id| id.to_string()), batch }
    }

    fn text(&self, name: &str, row: usize) -> Option<&'a str> {
        let column = self.batch.column_by_name(name)?.as_string_view_opt()?;
        column.is_valid(row).then(|| column.value(row))
    }

    fn row(&self, row: usize, position: Position) -> bool {
        let filter = self.filter;
        let equal =
            |name, wanted: &Option<String>| wanted.as_deref().is_none_or(|wanted| self.text(name, row) == Some(wanted));
        let occurred = || {
            let column = self.batch.column_by_name(column::OCCURRED_AT);
            let column = column.and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
            column.map_or(0, |column| column.value(row))
        };
        filter.from.is_none_or(|from| position >= from)
            && filter.to.is_none_or(|to| position < to)
            && equal(column::AGGREGATE_TYPE, &filter.aggregate_type)
            && equal(column::AGGREGATE_ID, &filter.aggregate_id)
            && equal(column::EVENT_TYPE, &filter.event_type)
            && equal(column::EVENT_ID, &self.id)
            && equal(column::TRANSACTION_ID, &filter.transaction_id)
            && (!filter.without_control
                || !self.text(column::AGGREGATE_TYPE, row).is_some_and(|text| text.starts_with('$')))
            && filter.occurred_from.is_none_or(|from| occurred() >= from.as_micros())
            && filter.occurred_to.is_none_or(|to| occurred() < to.as_micros())
    }
}

/// The pages that can hold rows of an aggregate: files are sorted by type and id (D4).
fn pages(file: &ParquetFile, filter: &EventFilter) -> Option<RowSelection> {
    let by_type = filter.aggregate_type.as_deref().and_then(|text| pages_with(file, column::AGGREGATE_TYPE, text));
    let by_id = filter.aggregate_id.as_deref().and_then(|text| pages_with(file, column::AGGREGATE_ID, text));
    match (by_type, by_id) {
        (Some(by_type), Some(by_id)) => Some(by_type.intersection(&by_id)),
        (one, other) => one.or(other),
    }
}

fn pages_with(file: &ParquetFile, name: &str, text: &str) -> Option<RowSelection> {
    let metadata = file.metadata().metadata();
    let columns = file.metadata().parquet_schema().columns();
    let column = columns.iter().position(|column| column.name() == name)?;
    let ColumnIndexMetaData::BYTE_ARRAY(index) = metadata.column_index()?.first()?.get(column)? else { return None };
    let starts = metadata.offset_index()?.first()?.get(column)?.page_locations();
    let total = metadata.row_group(0).num_rows() as usize;
    let ranges = starts.iter().enumerate().filter(|(page, _)| may_hold(index, *page, text)).map(|(page, start)| {
        let end = starts.get(page + 1).map_or(total, |next| next.first_row_index as usize);
        start.first_row_index as usize..end
    });
    Some(RowSelection::from_consecutive_ranges(ranges, total))
}

fn may_hold(index: &ByteArrayColumnIndex, page: usize, text: &str) -> bool {
    match (index.min_value(page), index.max_value(page)) {
        (Some(least), Some(greatest)) => least <= text.as_bytes() && text.as_bytes() <= greatest,
        // A page of nulls.
        _ => false,
    }
}
