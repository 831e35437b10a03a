//! Debezium's stand-ins for values that the log did not carry because they did not change (PostgreSQL's TOAST).
//!
//! `numeric[]` and `timestamptz[]` come as null, not to be told from a real one. A connector whose
//! `unavailable.value.placeholder` was changed is not recognised.

use std::sync::OnceLock;

use memchr::memmem::Finder;

/// Text, json, xml; also the one element of a `text[]`, and key and value of an hstore.
const TEXT: &str = "__debezium_unavailable_value";
/// Its base64: bytea.
const BASE64: &str = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==";
/// Its name UUID: the one element of a `uuid[]`.
const UUID: &str = "b68a35a7-17ad-35b3-af2a-ae46edb4545a";
/// Where its bytes begin as numbers: arrays of integers and dates.
const CODES_START: &str = "[95,95,100,101,98,";

/// Whether a row may hold a stand-in. Quick; false is certain.
pub(crate) fn may_occur(row: &str) -> bool {
    static FINDERS: OnceLock<[Finder<'static>; 4]> = OnceLock::new();
    FINDERS
        .get_or_init(|| [TEXT, BASE64, UUID, CODES_START].map(Finder::new))
        .iter()
        .any(|finder| finder.find(row.as_bytes()).is_some())
}

/// Whether a raw JSON value is a stand-in, in any of its forms.
pub(crate) fn is_placeholder(raw: &str) -> bool {
    match raw.as_bytes().first() {
        Some(b'"') => {
            is_quoted(raw, TEXT)
                || is_quoted(raw, BASE64)
                // An hstore as JSON text.
                || raw.len() == 2 * TEXT.len() + 13 && unescaped_is_map(raw)
        }
        Some(b'[') => {
            let inner = raw[1..].strip_suffix(']').unwrap_or_default().trim();
            is_quoted(inner, TEXT) || is_quoted(inner, BASE64) || is_quoted(inner, UUID) || is_codes(inner)
        }
        Some(b'{') => is_map(raw),
        _ => false,
    }
}

fn is_quoted(raw: &str, text: &str) -> bool {
    raw.len() == text.len() + 2 && raw.starts_with('"') && raw.ends_with('"') && &raw[1..=text.len()] == text
}

fn is_codes(inner: &str) -> bool {
    let mut codes = inner.split(',').map(str::trim);
    TEXT.bytes().all(|byte| codes.next().is_some_and(|code| code.parse() == Ok(byte))) && codes.next().is_none()
}

fn is_map(raw: &str) -> bool {
    let inner = raw.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner
        .and_then(|inner| inner.split_once(':'))
        .is_some_and(|(name, value)| is_quoted(name.trim(), TEXT) && is_quoted(value.trim(), TEXT))
}

fn unescaped_is_map(raw: &str) -> bool {
    serde_json::from_str::<String>(raw).is_ok_and(|text| is_map(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> String {
        let codes: Vec<_> = TEXT.bytes().map(|byte| byte.to_string()).collect();
        format!("[{}]", codes.join(","))
    }

    #[test]
    fn every_form_is_recognised() {
        let codes = codes();
        for raw in [
            r#""__debezium_unavailable_value""#,
            r#""X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==""#,
            r#"["__debezium_unavailable_value"]"#,
            r#"["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]"#,
            r#"{"__debezium_unavailable_value":"__debezium_unavailable_value"}"#,
            r#""{\"__debezium_unavailable_value\":\"__debezium_unavailable_value\"}""#,
            &codes,
        ] {
            assert!(is_placeholder(raw), "{raw}");
            assert!(may_occur(&format!(r#"{{"a":{raw}}}"#)), "{raw}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_a_value() {
        let longer = codes().replace(']', ",95]");
        for raw in [
            r#""__debezium_unavailable_value ""#,
            r#"["__debezium_unavailable_value","x"]"#,
            r#""b68a35a7-17ad-35b3-af2a-ae46edb4545a""#,
            r#"[95,95,100,101,98]"#,
            "null",
            "[]",
            "{}",
            "\"",
            "[",
            &longer,
        ] {
            assert!(!is_placeholder(raw), "{raw}");
        }
    }
}
