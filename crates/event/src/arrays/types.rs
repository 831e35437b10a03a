//! The Arrow types of columns.

use arrow_schema::{DataType, TimeUnit};

use crate::ColumnType;

/// The digits of a decimal column: before and after the point, at most as many as Arrow has.
pub const DECIMAL128_DIGITS: u8 = 38;
const DECIMAL256_DIGITS: u8 = 76;
/// Of a decimal without a scale: as many digits before the point as after it.
const UNKNOWN_SCALE: i8 = 38;

/// The Arrow type of a column. Times of day are durations, since MariaDB's are; JSON is its text.
pub fn data_type(column_type: &ColumnType) -> DataType {
    match column_type {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int => DataType::Int32,
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Decimal(Some((precision, scale))) => {
            // A negative scale means zeros before the point.
            let digits = i16::from(*precision) - i16::from((*scale).min(0));
            let scale = (*scale).max(0);
            if digits <= i16::from(DECIMAL128_DIGITS) && scale <= DECIMAL128_DIGITS as i8 {
                DataType::Decimal128(DECIMAL128_DIGITS, scale)
            } else {
                DataType::Decimal256(DECIMAL256_DIGITS, scale.min(DECIMAL256_DIGITS as i8))
            }
        }
        ColumnType::Decimal(None) => DataType::Decimal256(DECIMAL256_DIGITS, UNKNOWN_SCALE),
        ColumnType::Text | ColumnType::Json => DataType::Utf8View,
        ColumnType::Date => DataType::Date32,
        ColumnType::Time(_) => DataType::Duration(TimeUnit::Microsecond),
        ColumnType::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampTz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Bytes => DataType::BinaryView,
        ColumnType::List(item) => DataType::new_list(data_type(item), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_get_the_type_that_holds_them() {
        let of = |precision_and_scale| data_type(&ColumnType::Decimal(precision_and_scale));
        assert_eq!(of(Some((12, 2))), DataType::Decimal128(38, 2));
        assert_eq!(of(Some((5, -3))), DataType::Decimal128(38, 0));
        assert_eq!(of(Some((60, 10))), DataType::Decimal256(76, 10));
        assert_eq!(of(None), DataType::Decimal256(76, 38));
    }
}
