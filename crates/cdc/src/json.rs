//! Checked JSON as borrowed slices: no tree is built and nothing is written anew.

use std::{borrow::Cow, sync::OnceLock};

use memchr::{memchr, memchr2, memmem::Finder};
use serde::de::IgnoredAny;
use sonic_rs::{LazyValue, to_array_iter, to_object_iter};

use crate::{
    DecodeError, Limits,
    unescape::{escaped_char, unescape},
    walk::Checked,
};

/// Takes bytes for text that can be walked: not too long, UTF-8, not too deep, escapes that mean characters.
///
/// The walk itself (`sonic-rs`) recurses without a limit and does not look into `\u` escapes, and whoever reads
/// what is stored would stumble over either.
pub(crate) fn text<'a>(bytes: &'a [u8], what: &'static str, limits: &Limits) -> Result<&'a str, DecodeError> {
    check_length(bytes, what, limits)?;
    let text = utf8(bytes, what)?;
    check_depth(text, what, limits.depth)?;
    check_escapes(text, what)?;
    Ok(text)
}

/// Bytes as text.
pub(crate) fn utf8<'a>(bytes: &'a [u8], what: &'static str) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(bytes).map_err(|error| DecodeError::Utf8 { what, at: error.valid_up_to() })
}

/// Refuses what is too long.
pub(crate) fn check_length(bytes: &[u8], what: &'static str, limits: &Limits) -> Result<(), DecodeError> {
    if bytes.len() > limits.length_bytes {
        return Err(DecodeError::TooLong { what, limit: limits.length_bytes });
    }
    Ok(())
}

/// Refuses what is nested too deep.
pub(crate) fn check_depth(text: &str, what: &'static str, limit: usize) -> Result<(), DecodeError> {
    let bytes = text.as_bytes();
    if count_openings(bytes) <= limit {
        return Ok(());
    }
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return Err(DecodeError::TooDeep { what, limit, at });
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// How many `[` and `{` there are, which differ in one bit. Many times faster than following the nesting: a sum of
/// bytes over so few of them that it does not overflow is what the compiler makes vector instructions of.
fn count_openings(bytes: &[u8]) -> usize {
    bytes
        .chunks(128)
        .map(|chunk| usize::from(chunk.iter().map(|byte| u8::from(byte & !0x20 == b'[')).sum::<u8>()))
        .sum()
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

/// Refuses escapes that mean no character.
pub(crate) fn check_escapes(text: &str, what: &'static str) -> Result<(), DecodeError> {
    static UNICODE: OnceLock<Finder<'static>> = OnceLock::new();
    let bytes = text.as_bytes();
    if UNICODE.get_or_init(|| Finder::new(b"\\u")).find(bytes).is_none() {
        return Ok(());
    }
    let mut at = 0;
    while let Some(found) = memchr(b'\\', &bytes[at..]) {
        at += found;
        let length = match bytes.get(at + 1) {
            Some(b'u') => {
                let reason = "this \\u escape means no character";
                escaped_char(bytes, at).ok_or(DecodeError::Json { what, at, reason })?.1
            }
            _ => 2,
        };
        at = (at + length).min(bytes.len());
    }
    Ok(())
}

/// Calls `each` with every member of a JSON object, names without escapes. Checks all of the text.
pub(crate) fn members<'a>(
    json: &'a str,
    what: &'static str,
    mut each: impl FnMut(Cow<'a, str>, Checked<'a>),
) -> Result<(), DecodeError> {
    members_until(json, what, |name, value, _| {
        each(name, value);
        false
    })
}

/// The same, until `each`, which is given what follows the member as well, returns true: the rest is not checked then.
pub(crate) fn members_until<'a>(
    json: &'a str,
    what: &'static str,
    mut each: impl FnMut(Cow<'a, str>, Checked<'a>, &'a str) -> bool,
) -> Result<(), DecodeError> {
    let mut end = None;
    for member in to_object_iter(json) {
        let (name, value) = member.map_err(|error| syntax(json, what, &error))?;
        let slice = raw(&value);
        let behind = slice.as_ptr() as usize - json.as_ptr() as usize + slice.len();
        if each(name, Checked::new(slice), &json[behind..]) {
            return Ok(());
        }
        end = Some(behind);
    }
    let rest = match end {
        Some(end) => &json[end..],
        None => json.trim_ascii_start().strip_prefix('{').unwrap_or_default(),
    };
    if rest.trim_ascii() == "}" {
        Ok(())
    } else {
        let at = json.len() - rest.trim_ascii_start().len() + 1;
        Err(DecodeError::Json { what, at, reason: "something follows the object; one line holds one record" })
    }
}

/// The elements of a JSON array, raw.
pub(crate) fn elements<'a>(json: &'a str, what: &'static str) -> Result<Vec<&'a str>, DecodeError> {
    to_array_iter(json)
        .map(|element| element.map(|value| raw(&value)).map_err(|error| syntax(json, what, &error)))
        .collect()
}

/// Whether all of a text is one JSON value, within the limits.
pub(crate) fn is_valid(json: &str, limits: &Limits) -> bool {
    text(json.as_bytes(), "text", limits).is_ok() && sonic_rs::from_str::<IgnoredAny>(json).is_ok()
}

fn raw<'a>(value: &LazyValue<'a>) -> &'a str {
    match value.as_raw_cow() {
        Cow::Borrowed(raw) => raw,
        Cow::Owned(_) => unreachable!("values of a borrowed text are borrowed"),
    }
}

fn syntax(json: &str, what: &'static str, error: &sonic_rs::Error) -> DecodeError {
    let is_at_end = error.offset() + 1 >= json.trim_ascii_end().len();
    if error.is_eof() || is_at_end && ends_inside(json) {
        DecodeError::Truncated { what, at: json.len() }
    } else {
        DecodeError::Json { what, at: error.offset(), reason: "the value, name or sign expected here is another" }
    }
}

/// Whether a string, an array or an object is still open where the text ends.
fn ends_inside(json: &str) -> bool {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 0_i64);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at),
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    depth > 0 || at > bytes.len()
}

/// A raw value that is there and not null.
pub(crate) fn given(raw: Option<&str>) -> Option<&str> {
    raw.filter(|raw| *raw != "null")
}

/// The text of a raw JSON string; none of anything else.
pub(crate) fn string(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr(b'\\', inner.as_bytes()).is_none() {
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
        members(json, "value", |name, value| names.push((name.into_owned(), value.raw().to_owned())))?;
        Ok(names)
    }

    fn check(bytes: &[u8]) -> Result<&str, DecodeError> {
        text(bytes, "value", &Limits::default())
    }

    #[test]
    fn members_are_slices_of_the_text() {
        let found = names(" { \"a\" : 1.50 , \"b\\\"\" : {\"x\":[ ]} } ").unwrap();
        assert_eq!(found, [("a".into(), "1.50".into()), ("b\"".into(), "{\"x\":[ ]}".into())]);
        assert_eq!(names("{}").unwrap(), []);
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
    fn depth_is_limited_and_strings_do_not_count() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(check(nested(127).as_bytes()).is_ok());
        assert!(matches!(check(nested(128).as_bytes()), Err(DecodeError::TooDeep { at: 127, .. })));
        assert!(matches!(check(nested(10_000_000).as_bytes()), Err(DecodeError::TooDeep { at: 127, .. })));
        assert!(check(format!("\"\\\"{}\"", nested(500)).as_bytes()).is_ok());
        assert!(check("[],".repeat(1_000).as_bytes()).is_ok());
    }

    #[test]
    fn escapes_must_mean_characters() {
        for good in [r#""\u0041\\uZZ""#, r#""\ud83d\ude00""#, r#""\\""#] {
            assert!(check(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [r#""\uZZZZ""#, r#""\ud83d""#, r#""\ude00\ud83d""#, r#""\u12"#] {
            assert!(matches!(check(bad.as_bytes()), Err(DecodeError::Json { .. })), "{bad}");
        }
        assert_eq!(check(b"ab\xff"), Err(DecodeError::Utf8 { what: "value", at: 2 }));
    }

    #[test]
    fn strings_lose_their_escapes() {
        assert_eq!(string(r#""a\"bé""#).as_deref(), Some("a\"bé"));
        assert_eq!(string(r#""abc""#).as_deref(), Some("abc"));
        assert_eq!(string("1"), None);
        assert_eq!(string("\""), None);
    }
}
