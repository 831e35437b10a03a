//! The ids of aggregates.

/// The id of the aggregate whose key columns have these values (canonical JSON, in key order): the text of the
/// one value, or of several a compact JSON array, numbers as numbers. None when there is no column or one of the
/// values is null.
pub fn aggregate_id(values: &[&str]) -> Option<String> {
    if values.is_empty() || values.iter().any(|value| value.trim() == "null") {
        return None;
    }
    match values {
        [one] if one.trim_start().starts_with('"') => Some(serde_json::from_str(one).unwrap_or_else(|_| compact(one))),
        [one] => Some(compact(one)),
        several => {
            let values: Vec<String> = several.iter().map(|value| compact(value)).collect();
            Some(format!("[{}]", values.join(",")))
        }
    }
}

/// The value's one way of being written: without spaces, text with no more escapes than needed.
fn compact(value: &str) -> String {
    match value.as_bytes().first() {
        Some(b'"' | b'[' | b'{' | b' ') => serde_json::from_str::<serde_json::Value>(value)
            .map_or_else(|_| value.to_owned(), |value| value.to_string()),
        _ => value.trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_text_and_several_are_an_array() {
        assert_eq!(aggregate_id(&["7"]).as_deref(), Some("7"));
        assert_eq!(aggregate_id(&[r#""a\/b \u0041""#]).as_deref(), Some("a/b A"));
        assert_eq!(aggregate_id(&["7", r#""L\u0037 \"""#, "true"]).as_deref(), Some(r#"[7,"L7 \"",true]"#));
        assert_eq!(aggregate_id(&["12345678901234567890.10"]).as_deref(), Some("12345678901234567890.10"));
        assert_eq!(aggregate_id(&["7", "null"]), None);
        assert_eq!(aggregate_id(&[]), None);
    }
}
