//! Checked JSON as borrowed slices: no tree is built and nothing is written anew.

use std::borrow::Cow;

use memchr::{memchr, memmem};
use serde::de::IgnoredAny;
use sonic_rs::{LazyValue, to_array_iter, to_object_iter};

use crate::{DecodeError, Limits};

/// Takes bytes for text that can be walked: not too long, UTF-8, not too deep, escapes that mean characters.
///
/// The walk itself (`sonic-rs`) recurses without a limit and does not look into `\u` escapes, and whoever reads
/// what is stored would stumble over either.
pub(crate) fn text<'a>(bytes: &'a [u8], what: &'static str, limits: &Limits) -> Result<&'a str, DecodeError> {
    if bytes.len() > limits.length_bytes {
        return Err(DecodeError::TooLong { what, limit: limits.length_bytes });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| DecodeError::Utf8 { what, at: error.valid_up_to() })?;
    check_depth(text, what, limits.depth)?;
    check_escapes(text, what)?;
    Ok(text)
}

fn check_depth(text: &str, what: &'static str, limit: usize) -> Result<(), DecodeError> {
    // `[` and `{` differ in one bit. Counting all of them is many times faster than following the nesting.
    let openings = text.bytes().filter(|byte| byte & !0x20 == b'[').count();
    if openings <= limit {
        return Ok(());
    }
    let bytes = text.as_bytes();
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

/// The place of the quote that ends the string which begins at `at`, or the end of the text.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

fn check_escapes(text: &str, what: &'static str) -> Result<(), DecodeError> {
    let bytes = text.as_bytes();
    if memmem::find(bytes, b"\\u").is_none() {
        return Ok(());
    }
    let mut at = 0;
    while let Some(found) = memchr(b'\\', &bytes[at..]) {
        at += found;
        let length = match bytes.get(at + 1) {
            Some(b'u') => {
                escaped_char(text, at)
                    .ok_or(DecodeError::Json { what, at, reason: "this \\u escape means no character" })?
                    .1
            }
            _ => 2,
        };
        at = (at + length).min(bytes.len());
    }
    Ok(())
}

/// The character of the `\u` escape at `at`, or of two that make a pair, and the length of it all.
fn escaped_char(text: &str, at: usize) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
    };
    match unit(at)? {
        high @ 0xD800..0xDC00 => {
            let low @ 0xDC00..0xE000 = unit(at + 6)? else { return None };
            char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)).map(|char| (char, 12))
        }
        single => char::from_u32(single).map(|char| (char, 6)),
    }
}

/// Calls `each` with every member of a JSON object, names without escapes, values raw. Checks all of the text.
pub(crate) fn members<'a>(
    json: &'a str,
    what: &'static str,
    mut each: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), DecodeError> {
    let mut end = None;
    for member in to_object_iter(json) {
        let (name, value) = member.map_err(|error| syntax(json, what, &error))?;
        let raw = raw(&value);
        end = Some(offset(json, raw) + raw.len());
        each(name, raw);
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

/// Where a slice of `json` begins in it.
fn offset(json: &str, slice: &str) -> usize {
    slice.as_ptr() as usize - json.as_ptr() as usize
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
    let mut text = String::with_capacity(inner.len());
    unescape(inner, &mut text)?;
    Some(Cow::Owned(text))
}

/// Appends the text of a JSON string's inside.
pub(crate) fn unescape(inner: &str, text: &mut String) -> Option<()> {
    let mut rest = inner;
    while let Some(at) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (char, length) = match rest.as_bytes().get(at + 1)? {
            b'"' => ('"', 2),
            b'\\' => ('\\', 2),
            b'/' => ('/', 2),
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => escaped_char(rest, at)?,
            _ => return None,
        };
        text.push(char);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &str) -> Result<Vec<(String, String)>, DecodeError> {
        let mut names = Vec::new();
        members(json, "value", |name, raw| names.push((name.into_owned(), raw.to_owned())))?;
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
        assert_eq!(string(r#""a\"\\\/\b\f\n\r\tA\ud83d\ude00é""#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\tA😀é"));
        assert_eq!(string("1"), None);
        assert_eq!(string("\""), None);
    }
}
