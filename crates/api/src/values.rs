//! From canonical JSON to what GraphQL answers.

use std::str::FromStr;

use async_graphql::{Name, Number, Value};
use deltafold_event::{Column, ColumnType, coerce};

use crate::errors::{ApiError, shortened};

/// The answer for a value of a row: `raw` is the JSON text of the member, the column's type applies.
///
/// # Errors
/// When the value is none of that type.
pub(crate) fn of_column(raw: &str, column: &Column) -> Result<Value, ApiError> {
    if let Some(value) = at_once(raw, &column.column_type) {
        return Ok(value);
    }
    let misfit = || ApiError::Misfit {
        column: column.name.clone(),
        expected: column.column_type.to_string(),
        found: shortened(raw),
    };
    let value: serde_json::Value = serde_json::from_str(raw).map_err(|_| misfit())?;
    let value = coerce(&value, &column.column_type).ok_or_else(misfit)?;
    Ok(of_type(value, &column.column_type))
}

/// The forms that most values have, without a detour.
fn at_once(raw: &str, column_type: &ColumnType) -> Option<Value> {
    if raw == "null" {
        return Some(Value::Null);
    }
    match column_type {
        ColumnType::Text => {
            let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
            (!inner.contains('\\')).then(|| Value::String(inner.to_owned()))
        }
        ColumnType::Boolean => raw.parse().ok().map(Value::Boolean),
        ColumnType::Int => raw.parse::<i32>().ok().map(|number| Value::Number(number.into())),
        ColumnType::BigInt => raw.parse::<i64>().ok().map(|number| Value::String(number.to_string())),
        _ => None,
    }
}

/// A canonical value in the form its scalar has.
fn of_type(value: serde_json::Value, column_type: &ColumnType) -> Value {
    use serde_json::Value as Json;
    match (column_type, value) {
        (_, Json::Null) => Value::Null,
        (ColumnType::List(element), Json::Array(values)) => {
            Value::List(values.into_iter().map(|value| of_type(value, element)).collect())
        }
        (ColumnType::Json, Json::String(text)) => of_text(&text),
        (ColumnType::BigInt | ColumnType::Decimal(_), Json::Number(number)) => Value::String(number.to_string()),
        (_, value) => of_json(value),
    }
}

/// JSON held as its text; what is none is a string.
pub(crate) fn of_text(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value) => of_json(value),
        Err(_) => Value::String(text.to_owned()),
    }
}

/// Any JSON. Member by member: through serde, numbers that keep their digits would turn into objects.
pub(crate) fn of_json(value: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => Value::Number(number),
        Json::String(text) => Value::String(text),
        Json::Array(values) => Value::List(values.into_iter().map(of_json).collect()),
        Json::Object(members) => {
            Value::Object(members.into_iter().map(|(name, value)| (Name::new(name), of_json(value))).collect())
        }
    }
}

/// The way back.
pub(crate) fn into_json(value: Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => Json::Bool(value),
        Value::Number(number) => Json::Number(number),
        Value::String(text) => Json::String(text),
        Value::Enum(name) => Json::String(name.to_string()),
        Value::List(values) => Json::Array(values.into_iter().map(into_json).collect()),
        Value::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name.to_string(), into_json(value))).collect())
        }
        Value::Binary(bytes) => Json::Array(bytes.iter().map(|&byte| byte.into()).collect()),
    }
}

/// What a client gave for a column, as a canonical value of its type: [`coerce`] has the last word on it.
pub(crate) fn into_canonical(value: &Value, column_type: &ColumnType) -> Option<serde_json::Value> {
    let json = match (column_type, value) {
        // As a number: digits in a text might be taken for base64.
        (ColumnType::BigInt | ColumnType::Decimal(_), Value::String(digits)) => match number(digits) {
            Some(number) => serde_json::Value::Number(number),
            None => serde_json::Value::String(digits.clone()),
        },
        (_, value) => into_json(value.clone()),
    };
    coerce(&json, column_type)
}

/// Plain digits as a JSON number, which must not begin with zeros.
fn number(digits: &str) -> Option<Number> {
    let (sign, plain) = match digits.strip_prefix('-') {
        Some(plain) => ("-", plain),
        None => ("", digits),
    };
    let zeros =
        plain.bytes().zip(plain.bytes().skip(1)).take_while(|(zero, next)| *zero == b'0' && next.is_ascii_digit());
    Number::from_str(&format!("{sign}{}", &plain[zeros.count()..])).ok()
}

#[cfg(test)]
mod tests {
    use async_graphql::value;

    use super::*;

    fn answer(raw: &str, column_type: ColumnType) -> Value {
        of_column(raw, &Column { name: "c".to_owned(), column_type }).unwrap()
    }

    #[test]
    fn exact_numbers_are_strings_and_others_numbers() {
        assert_eq!(answer("9223372036854775807", ColumnType::BigInt), value!("9223372036854775807"));
        assert_eq!(answer("7", ColumnType::Int), value!(7));
        assert_eq!(answer("\"12.50\"", ColumnType::Decimal(Some((12, 2)))), value!("12.50"));
        assert_eq!(answer("1.5", ColumnType::Float), value!(1.5));
        assert_eq!(answer("\"NaN\"", ColumnType::Float), value!("NaN"));
        assert_eq!(answer("null", ColumnType::Float), Value::Null);
    }

    #[test]
    fn json_columns_are_values_with_their_digits() {
        let text = r#""{\"a\":[1.000000000000000000001,{\"b\":null}]}""#;
        let found = answer(text, ColumnType::Json);
        assert_eq!(into_json(found).to_string(), r#"{"a":[1.000000000000000000001,{"b":null}]}"#);
    }

    #[test]
    fn lists_are_lists_of_their_elements() {
        let found = answer("[1,null,3]", ColumnType::List(Box::new(ColumnType::BigInt)));
        assert_eq!(found, value!(["1", null, "3"]));
    }

    #[test]
    fn digits_of_a_client_are_never_base64() {
        let price = ColumnType::Decimal(Some((12, 2)));
        for (given, canonical) in [("1234", "1234.00"), ("-0012.5", "-12.50"), ("0", "0.00"), ("NaN", "NaN")] {
            assert_eq!(into_canonical(&value!(given), &price), Some(canonical.into()), "{given}");
        }
        assert_eq!(
            into_canonical(&value!("9007199254740993"), &ColumnType::BigInt),
            Some(9_007_199_254_740_993_i64.into())
        );
    }

    #[test]
    fn text_is_unescaped() {
        assert_eq!(answer(r#""a\n\u00e9\"""#, ColumnType::Text), value!("a\né\""));
        assert_eq!(answer(r#""plain""#, ColumnType::Text), value!("plain"));
    }
}
