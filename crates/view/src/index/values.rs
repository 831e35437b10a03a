//! Values of columns as bytes that order as the values do.

use std::collections::BTreeMap;

use arrow::{
    compute::SortOptions,
    row::{RowConverter, Rows, SortField},
};
use deltafold_event::{
    Column,
    arrays::{Values, data_type},
    members,
};

use crate::ReadError;

/// Reads columns out of rows. Smaller values have smaller bytes, and null the greatest; bytes of one value never begin
/// those of another ([`RowConverter`]).
pub(super) struct Encoder {
    columns: Vec<Column>,
    converters: Vec<RowConverter>,
}

/// The values of rows.
pub(super) struct Encoded(Vec<Rows>);

impl Encoder {
    /// For these columns.
    pub(super) fn new(columns: Vec<Column>) -> Result<Self, ReadError> {
        let options = SortOptions { descending: false, nulls_first: false };
        let converter = |column: &Column| {
            RowConverter::new(vec![SortField::new_with_options(data_type(&column.column_type), options)])
        };
        let converters = columns.iter().map(converter).collect::<Result<_, _>>().map_err(impossible)?;
        Ok(Self { columns, converters })
    }

    /// The values of rows, each a JSON object.
    pub(super) fn encode<'r>(&self, rows: impl ExactSizeIterator<Item = &'r str>) -> Result<Encoded, ReadError> {
        let of_name: BTreeMap<&str, usize> =
            self.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), at)).collect();
        let capacity = rows.len();
        let mut values: Vec<Values> =
            self.columns.iter().map(|column| Values::new(&column.column_type, capacity)).collect();
        let mut found = vec![None; self.columns.len()];
        for row in rows {
            found.fill(None);
            let members = members(row)
                .map_err(|error| ReadError::Corrupt(format!("a row in an index is not a JSON object: {error}")))?;
            for (name, raw) in &members {
                if let Some(&at) = of_name.get(&**name) {
                    found[at] = Some(raw.get());
                }
            }
            for (values, raw) in values.iter_mut().zip(&found) {
                match raw {
                    Some(raw) => drop(values.append(raw)),
                    None => values.append_null(),
                }
            }
        }
        let rows = values
            .into_iter()
            .zip(&self.converters)
            .map(|(values, converter)| converter.convert_columns(&[values.finish()]).map_err(impossible));
        rows.collect::<Result<_, _>>().map(Encoded)
    }

    /// A value of a column, canonical JSON; none where it is none of the column's type.
    pub(super) fn value(&self, column: usize, json: &str) -> Option<Vec<u8>> {
        let mut values = Values::new(&self.columns[column].column_type, 1);
        if !values.append(json) && json != "null" {
            return None;
        }
        let rows = self.converters[column].convert_columns(&[values.finish()]).ok()?;
        Some(rows.row(0).data().to_vec())
    }
}

impl Encoded {
    /// The value of a column in a row.
    pub(super) fn value(&self, column: usize, row: usize) -> &[u8] {
        self.0[column].row(row).data()
    }
}

/// Every type that a column with an order can have is one that has a row format.
fn impossible(error: arrow::error::ArrowError) -> ReadError {
    ReadError::Corrupt(format!("a column of an index cannot be ordered: {error}"))
}

#[cfg(test)]
mod tests {
    use deltafold_event::ColumnType;

    use super::*;

    /// What cannot be read in a commit would stop the stream.
    #[test]
    fn every_type_with_an_order_has_bytes_in_that_order() {
        for (of, ascending) in [
            ("boolean", &["false", "true"][..]),
            ("int", &["-5", "0", "70000"]),
            ("bigint", &["-5", "0", "9000000000"]),
            ("float", &["-1.5", "0.0", "1e300", "\"NaN\""]),
            ("decimal(10,2)", &["\"-7.25\"", "\"0.00\"", "\"1000000.01\""]),
            ("decimal(60,2)", &["\"-7.25\"", "\"0.00\"", "\"1000000.01\""]),
            ("decimal", &["\"-7.25\"", "\"0\"", "\"1000000.01\""]),
            ("text", &["\"\"", "\"a\"", "\"ab\"", "\"é\""]),
            ("date", &["\"1969-12-31\"", "\"2026-11-21\""]),
            ("time", &["\"00:00:00\"", "\"12:30:00\""]),
            ("timestamp", &["\"1969-12-31T00:00:00\"", "\"2026-11-21T12:00:00.5\""]),
            ("timestamptz", &["\"1969-12-31T00:00:00Z\"", "\"2026-11-21T12:00:00.5Z\""]),
            ("bytes", &["\"\"", "\"AA==\"", "\"/w==\""]),
        ] {
            let column_type: ColumnType = of.parse().unwrap();
            assert!(column_type.has_order());
            let encoder = Encoder::new(vec![Column { name: "c".into(), column_type }]).unwrap();
            let of_value = |json: &&str| encoder.value(0, json).unwrap_or_else(|| panic!("{of}: {json}"));
            let bytes: Vec<Vec<u8>> = ascending.iter().chain(&["null"]).map(of_value).collect();
            assert!(bytes.is_sorted_by(|one, other| one < other), "{of}: {bytes:?}");
            let row = format!("{{\"other\":1,\"c\":{}}}", ascending[0]);
            let encoded = encoder.encode([row.as_str(), "{}"].into_iter()).unwrap();
            assert_eq!(
                (encoded.value(0, 0), encoded.value(0, 1)),
                (&bytes[0][..], &bytes[bytes.len() - 1][..]),
                "{of}"
            );
        }
    }
}
