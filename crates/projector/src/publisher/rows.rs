//! The columns of published tables.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, StringBuilder},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use deltafold_event::{
    Column, ColumnType, Timestamp,
    arrays::{Values, data_type},
    members,
};
use deltafold_store::REMOVED;

use super::PublisherError;

/// What is in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Every version.
    Versions,
    /// The rows as they are.
    Current,
}

const KEY: &str = "_key";
const VALID_FROM: &str = "_valid_from";
const VALID_TO: &str = "_valid_to";

impl Form {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Versions => "versions",
            Self::Current => "current",
        }
    }

    /// The columns by which its rows are told apart.
    pub(super) fn key(self) -> &'static [&'static str] {
        match self {
            Self::Versions => &[KEY, VALID_FROM],
            Self::Current => &[KEY],
        }
    }

    /// The columns before those of the view.
    fn own(self) -> &'static [&'static str] {
        match self {
            Self::Versions => &[KEY, VALID_FROM, VALID_TO],
            Self::Current => &[KEY, VALID_FROM],
        }
    }
}

/// How a view's rows become those of a table.
pub(super) struct Layout {
    pub(super) form: Form,
    columns: SchemaRef,
    /// The view's columns, with the types that they are published as.
    of_view: Vec<Column>,
}

impl Layout {
    pub(super) fn new(form: Form, columns: &[Column]) -> Self {
        let moment = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let own = form.own().iter().map(|name| {
            let data_type = if *name == KEY { DataType::Utf8 } else { moment.clone() };
            Field::new(*name, data_type, *name == VALID_TO)
        });
        let mut fields: Vec<Field> = own.collect();
        let of_view = columns.iter().map(|column| published(&column.column_type));
        let of_view =
            columns.iter().zip(of_view).map(|(column, column_type)| Column { name: column.name.clone(), column_type });
        let of_view: Vec<Column> = of_view.collect();
        for column in &of_view {
            // Delta does not tell names apart by case, and has none with these.
            let mut name = column.name.replace([' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='], "_");
            while name.eq_ignore_ascii_case(REMOVED)
                || name.eq_ignore_ascii_case(VALID_TO)
                || fields.iter().any(|field| field.name().eq_ignore_ascii_case(&name))
            {
                name.push('_');
            }
            fields.push(Field::new(name, stored(&data_type(&column.column_type)), true));
        }
        Self { form, columns: Arc::new(Schema::new(fields)), of_view }
    }

    /// Those of the table.
    pub(super) fn columns(&self) -> &SchemaRef {
        &self.columns
    }
}

/// What a column is published as: Delta has no times of day and no decimals of more than 38 digits, which are text.
fn published(column_type: &ColumnType) -> ColumnType {
    match column_type {
        ColumnType::Time(_) => ColumnType::Text,
        ColumnType::Decimal(_) if matches!(data_type(column_type), DataType::Decimal256(..)) => ColumnType::Text,
        ColumnType::List(item) => ColumnType::List(Box::new(published(item))),
        other => other.clone(),
    }
}

/// The types that every reader of Parquet knows.
fn stored(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(Arc::new(Field::new("element", stored(item.data_type()), true))),
        other => other.clone(),
    }
}

/// Rows of a table, or changes of them, that are being gathered.
pub(super) struct Rows<'l> {
    layout: &'l Layout,
    keys: StringBuilder,
    valid_from: Values,
    valid_to: Values,
    cells: Vec<Values>,
    /// Of changes: whether each is the removal of a row.
    removed: Option<Vec<bool>>,
    rows: usize,
}

impl<'l> Rows<'l> {
    pub(super) fn new(layout: &'l Layout, are_changes: bool) -> Self {
        let moments = || Values::new(&ColumnType::TimestampTz, 0);
        Self {
            layout,
            keys: StringBuilder::new(),
            valid_from: moments(),
            valid_to: moments(),
            cells: layout.of_view.iter().map(|column| Values::new(&column.column_type, 0)).collect(),
            removed: are_changes.then(Vec::new),
            rows: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// One that is there.
    pub(super) fn put(
        &mut self,
        key: &str,
        valid_from: Timestamp,
        valid_to: Option<Timestamp>,
        row: &str,
    ) -> Result<(), PublisherError> {
        let values =
            members(row).map_err(|error| PublisherError::Rows(format!("the row {key} is no JSON object: {error}")))?;
        self.keys.append_value(key);
        self.valid_from.append_moment(valid_from);
        match valid_to {
            Some(moment) => self.valid_to.append_moment(moment),
            None => self.valid_to.append_null(),
        }
        for (column, cells) in self.layout.of_view.iter().zip(&mut self.cells) {
            match values.iter().find(|(name, _)| *name == column.name) {
                Some((_, value)) => drop(cells.append(value.get())),
                None => cells.append_null(),
            }
        }
        self.end(false);
        Ok(())
    }

    /// One that is to go.
    pub(super) fn remove(&mut self, key: &str, valid_from: Timestamp) {
        self.keys.append_value(key);
        self.valid_from.append_moment(valid_from);
        self.valid_to.append_null();
        self.cells.iter_mut().for_each(Values::append_null);
        self.end(true);
    }

    fn end(&mut self, is_removed: bool) {
        if let Some(removed) = &mut self.removed {
            removed.push(is_removed);
        }
        self.rows += 1;
    }

    pub(super) fn finish(mut self) -> Result<RecordBatch, PublisherError> {
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(self.keys.finish()), self.valid_from.finish()];
        if self.layout.form == Form::Versions {
            arrays.push(self.valid_to.finish());
        }
        arrays.extend(self.cells.into_iter().map(Values::finish));
        let mut fields = self.layout.columns.fields().to_vec();
        if let Some(removed) = self.removed {
            fields.push(Arc::new(Field::new(REMOVED, DataType::Boolean, false)));
            arrays.push(Arc::new(BooleanArray::from(removed)));
        }
        let refused = |error: arrow::error::ArrowError| PublisherError::Rows(error.to_string());
        for (array, field) in arrays.iter_mut().zip(&fields) {
            if array.data_type() != field.data_type() {
                *array = cast(array, field.data_type()).map_err(refused)?;
            }
        }
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_names_and_types_that_delta_has() {
        let column = |name: &str, column_type| Column { name: name.to_owned(), column_type };
        let columns = [
            column("Total", ColumnType::Decimal(Some((12, 2)))),
            column("total", ColumnType::Decimal(None)),
            column("a (b)", ColumnType::List(Box::new(ColumnType::Json))),
            column("_key", ColumnType::Bytes),
            column("_Removed", ColumnType::Int),
        ];
        let layout = Layout::new(Form::Current, &columns);
        let found: Vec<String> = layout.columns().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(found, ["_key", "_valid_from", "Total", "total_", "a__b_", "_key_", "_Removed_"]);
        let types: Vec<&DataType> = layout.columns().fields().iter().skip(2).map(|field| field.data_type()).collect();
        let texts = DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
        let expected = [DataType::Decimal128(38, 2), DataType::Utf8, texts, DataType::Binary, DataType::Int32];
        assert_eq!(types, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_a_row_says_stands_in_its_columns() {
        let column = |name: &str, column_type| Column { name: name.to_owned(), column_type };
        let layout =
            Layout::new(Form::Versions, &[column("n", ColumnType::Decimal(None)), column("t", ColumnType::Text)]);
        let mut rows = Rows::new(&layout, true);
        let moment = Timestamp::from_micros(7);
        rows.put("1", moment, None, r#"{"n":"12345678901234567890123456789012345678901234567890.5"}"#).expect("a row");
        rows.remove("2", moment);
        assert!(rows.put("3", moment, None, "[]").is_err(), "no object");
        let batch = rows.finish().expect("they fit");
        let text = arrow::util::pretty::pretty_format_batches(&[batch]).map(|text| text.to_string());
        let text = text.expect("it can be shown");
        assert!(text.contains("12345678901234567890123456789012345678901234567890.5"), "{text}");
        assert!(text.contains("true") && !text.contains("| 3"), "{text}");
    }
}
