//! The types of columns, by their names in definitions and views rather than Arrow's.

use arrow::datatypes::{DataType, TimeUnit};
use deltafold_event::ColumnType;

/// The type that a view's column has for values of this one; none where no column can have them.
pub(crate) fn column_type(data_type: &DataType) -> Option<ColumnType> {
    Some(match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => ColumnType::Int,
        // Of an unsigned number only what fits: more is an overflow when it comes.
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ColumnType::BigInt,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Float,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => ColumnType::Decimal(Some((*precision, *scale))),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::Text,
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Time32(unit) | DataType::Time64(unit) => ColumnType::Time(digits(*unit)),
        DataType::Duration(_) => ColumnType::Time(None),
        DataType::Timestamp(unit, None) => ColumnType::Timestamp(digits(*unit)),
        DataType::Timestamp(_, Some(_)) => ColumnType::TimestampTz,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ColumnType::Bytes
        }
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => ColumnType::List(Box::new(column_type(item.data_type())?)),
        _ => return None,
    })
}

/// Of seconds, where they are fewer than the six that a column holds.
fn digits(unit: TimeUnit) -> Option<u8> {
    match unit {
        TimeUnit::Second => Some(0),
        TimeUnit::Millisecond => Some(3),
        TimeUnit::Microsecond | TimeUnit::Nanosecond => None,
    }
}

/// What a type is called that DataFusion named: `Utf8View` is text. Kinds of types, as `Decimal`, and types that no
/// column has are called as Arrow calls them, in small letters.
pub(crate) fn name(of_arrow: &str) -> String {
    if let Some(known) = of_arrow.parse().ok().and_then(|data_type| column_type(&data_type)) {
        return known.to_string();
    }
    match of_arrow.split('(').next() {
        Some("Duration") => "time".to_owned(),
        kind => kind.unwrap_or_default().to_lowercase(),
    }
}

/// The same of several, with commas between them.
pub(crate) fn names(of_arrow: &str) -> String {
    let (mut names, mut from, mut depth) = (Vec::new(), 0, 0);
    for (at, letter) in of_arrow.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                names.push(name(of_arrow[from..at].trim()));
                from = at + 1;
            }
            _ => {}
        }
    }
    names.push(name(of_arrow[from..].trim()));
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_called_what_definitions_call_them() {
        for (of_arrow, expected) in [
            ("Utf8View", "text"),
            ("Int64", "bigint"),
            ("Decimal128(38, 2)", "decimal(38,2)"),
            ("Timestamp(µs, \"UTC\")", "timestamptz"),
            // A kind of types.
            ("Decimal", "decimal"),
            ("Duration", "time"),
            ("Interval(MonthDayNano)", "interval"),
        ] {
            assert_eq!(name(of_arrow), expected);
        }
        assert_eq!(names("Utf8View, Decimal128(38, 2), Int32"), "text, decimal(38,2), int");
    }
}
