//! Values to compare columns with.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use deltafold_event::{
    ColumnType,
    arrays::{self, DECIMAL128_DIGITS, Values, data_type},
};
use serde_json::Value;

/// A value of a column's type as DataFusion takes it, to compare with that column; none when the value is not
/// of the type. Null is the type's null.
pub fn literal(column_type: &ColumnType, value: &Value) -> Option<ScalarValue> {
    let text = value.to_string();
    if let (ColumnType::Decimal(_), Some(scalar)) = (column_type, finer_decimal(column_type, &text)) {
        return Some(scalar);
    }
    let mut values = Values::new(column_type, 1);
    if !values.append(&text) && !value.is_null() {
        return None;
    }
    ScalarValue::try_from_array(&values.finish(), 0).ok()
}

/// A number with more digits after the point than the column's: comparable all the same, with a scale of its own.
fn finer_decimal(column_type: &ColumnType, text: &str) -> Option<ScalarValue> {
    let text = arrays::unquoted(text);
    let DataType::Decimal128(_, column_scale) = data_type(column_type) else { return None };
    let scale = i8::try_from(arrays::scale(&text)?).ok()?;
    if scale <= column_scale {
        return None;
    }
    let number = arrays::decimal128(&text, scale, DECIMAL128_DIGITS)?;
    Some(ScalarValue::Decimal128(Some(number), DECIMAL128_DIGITS, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_of_the_type_or_nothing() {
        let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let price = ColumnType::Decimal(Some((12, 2)));
        assert_eq!(literal(&price, &parsed("4")), Some(ScalarValue::Decimal128(Some(400), 38, 2)));
        assert_eq!(literal(&price, &parsed("\"4.005\"")), Some(ScalarValue::Decimal128(Some(4_005), 38, 3)));
        assert_eq!(literal(&price, &parsed("null")), Some(ScalarValue::Decimal128(None, 38, 2)));
        assert_eq!(literal(&ColumnType::Boolean, &parsed("true")), Some(ScalarValue::Boolean(Some(true))));
        assert_eq!(literal(&ColumnType::Date, &parsed("\"no date\"")), None);
    }
}
