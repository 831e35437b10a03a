//! JSON as borrowed slices: no tree is built and nothing is written anew.

use std::borrow::Cow;

use memchr::memchr2;

use crate::{
    DecodeError, Limits,
    scan::{Fault, Scanner},
    unescape::unescape,
    walk::Checked,
};

/// Bytes as text that is not too long.
pub(crate) fn text<'a>(bytes: &'a [u8], what: &'static str, limits: &Limits) -> Result<&'a str, DecodeError> {
    check_length(bytes, what, limits)?;
    std::str::from_utf8(bytes).map_err(|error| DecodeError::Utf8 { what, at: error.valid_up_to() })
}

/// Refuses what is too long.
pub(crate) fn check_length(bytes: &[u8], what: &'static str, limits: &Limits) -> Result<(), DecodeError> {
    if bytes.len() > limits.length_bytes {
        return Err(DecodeError::TooLong { what, limit: limits.length_bytes });
    }
    Ok(())
}

/// Calls `each` with every member of a JSON object, names without escapes. Checks all of the text.
pub(crate) fn members<'a>(
    json: &'a str,
    what: &'static str,
    limits: &Limits,
    mut each: impl FnMut(Cow<'a, str>, Checked<'a>),
) -> Result<(), DecodeError> {
    members_until(json, what, limits, |name, value, _| {
        each(name, value);
        false
    })
}

/// The same, until `each`, which is given what follows the member as well, returns true: the rest is not checked then.
pub(crate) fn members_until<'a>(
    json: &'a str,
    what: &'static str,
    limits: &Limits,
    mut each: impl FnMut(Cow<'a, str>, Checked<'a>, &'a str) -> bool,
) -> Result<(), DecodeError> {
    let mut scan = || -> Result<(), Fault> {
        let mut scanner = Scanner::new(json, limits.depth.saturating_sub(1));
        scanner.expect(b'{')?;
        if scanner.peek()? == b'}' {
            scanner.expect(b'}')?;
            return scanner.end();
        }
        loop {
            let name = scanner.name()?;
            let value = Checked::new(scanner.value()?);
            let name = string(name).unwrap_or_default();
            if each(name, value, scanner.rest()) {
                return Ok(());
            }
            if !scanner.either(b',', b'}')? {
                return scanner.end();
            }
        }
    };
    scan().map_err(|fault| error(fault, json, what, limits))
}

/// The elements of a JSON array, raw.
pub(crate) fn elements<'a>(json: &'a str, what: &'static str, limits: &Limits) -> Result<Vec<&'a str>, DecodeError> {
    let scan = || -> Result<Vec<&'a str>, Fault> {
        let mut scanner = Scanner::new(json, limits.depth.saturating_sub(1));
        let mut elements = Vec::new();
        scanner.expect(b'[')?;
        if scanner.peek()? == b']' {
            return Ok(elements);
        }
        loop {
            elements.push(scanner.value()?);
            if !scanner.either(b',', b']')? {
                return Ok(elements);
            }
        }
    };
    scan().map_err(|fault| error(fault, json, what, limits))
}

/// Whether all of a text is one JSON value, within the limits.
pub(crate) fn is_valid(json: &str, limits: &Limits) -> bool {
    let mut scanner = Scanner::new(json, limits.depth);
    scanner.value().is_ok() && scanner.end().is_ok()
}

fn error(fault: Fault, json: &str, what: &'static str, limits: &Limits) -> DecodeError {
    match fault {
        Fault::End => DecodeError::Truncated { what, at: json.len() },
        Fault::Deep(at) => DecodeError::TooDeep { what, limit: limits.depth, at },
        Fault::Escape(at) => DecodeError::Json { what, at, reason: "this escape means no character" },
        Fault::Unexpected(at) => DecodeError::Json { what, at, reason: "something else is expected here" },
    }
}

/// The place of the quote that ends the string which begins at `at`; beyond the end where there is none.
pub(crate) fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

/// A raw value that is there and not null.
pub(crate) fn given(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| *raw != "null")
}

/// The text of a raw JSON string; none of anything else.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    without_escapes(raw.strip_prefix('"')?.strip_suffix('"')?)
}

/// The text of a JSON string's inside.
pub(crate) fn without_escapes(inner: &str) -> Option<Cow<'_, str>> {
    if !inner.as_bytes().contains(&b'\\') {
        return Some(Cow::Borrowed(inner));
    }
    let mut bytes = Vec::new();
    unescape(inner.as_bytes(), &mut bytes)?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &str) -> Result<Vec<(String, String)>, DecodeError> {
        let mut names = Vec::new();
        members(json, "value", &Limits::default(), |name, value| {
            names.push((name.into_owned(), value.raw().to_owned()));
        })?;
        Ok(names)
    }

    #[test]
    fn members_are_slices_of_the_text() {
        let found = names(" { \"a\" : 1.50 , \"b\\\"\" : {\"x\":[ ]} } ").unwrap();
        assert_eq!(found, [("a".into(), "1.50".into()), ("b\"".into(), "{\"x\":[ ]}".into())]);
        assert_eq!(names("{ }").unwrap(), []);
        let limits = Limits::default();
        assert_eq!(elements("[1, [2] ,{}]", "x", &limits), Ok(vec!["1", "[2]", "{}"]));
        assert_eq!(elements("[]", "x", &limits), Ok(vec![]));
    }

    #[test]
    fn what_ends_too_early_is_told_from_what_is_wrong() {
        for json in ["{", r#"{"a":1"#, r#"{"a":{"b":"c"#, r#"{"a":nul"#, r#"{"a":1,"#, r#"{"a""#, r#"{"a":1,"b"#] {
            assert!(matches!(names(json), Err(DecodeError::Truncated { .. })), "{json}: {:?}", names(json));
        }
        for json in ["{a:1}", r#"{"a":tru,"b":1}"#, r#"{"a":1} {"b":2}"#, r#"{"a":01}"#, "{}}", "[1]", r#"{"a":1]"#] {
            assert!(matches!(names(json), Err(DecodeError::Json { .. })), "{json}: {:?}", names(json));
        }
    }

    #[test]
    fn depth_counts_the_object_itself() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert!(names(&nested(126)).is_ok());
        assert!(matches!(names(&nested(127)), Err(DecodeError::TooDeep { limit: 127, at: 131, .. })));
    }

    #[test]
    fn strings_lose_their_escapes() {
        assert_eq!(string(r#""a\"bé""#).as_deref(), Some("a\"bé"));
        assert_eq!(string(r#""abc""#).as_deref(), Some("abc"));
        assert_eq!(string("1"), None);
        assert_eq!(string("\""), None);
    }
}
