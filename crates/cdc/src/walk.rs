//! A walk over JSON that was checked before: nothing is looked at but where names and values end.

use std::borrow::Cow;

use crate::{
    json,
    unescape::{STRIDE, plain_bytes},
};

/// A JSON value that was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked<'a>(&'a str);

impl<'a> Checked<'a> {
    /// Of a value's text, which the caller has checked.
    pub(crate) fn new(raw: &'a str) -> Self {
        Self(raw)
    }

    /// Its text.
    pub(crate) fn raw(self) -> &'a str {
        self.0
    }

    pub(crate) fn is_object(self) -> bool {
        self.0.starts_with('{')
    }

    pub(crate) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The members of an object, names without escapes; anything else has none.
    pub(crate) fn members(self) -> Members<'a> {
        Members { json: self.0, at: if self.is_object() { 1 } else { self.0.len() } }
    }
}

/// The members of an object, one after the other.
#[derive(Debug)]
pub(crate) struct Members<'a> {
    json: &'a str,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Checked<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.json.as_bytes();
        let name_start = skip(bytes, self.at, b',');
        if bytes.get(name_start) != Some(&b'"') {
            return None;
        }
        let name_end = string_end(bytes, name_start)?;
        let value_start = skip(bytes, name_end, b':');
        self.at = value_end(bytes, value_start)?;
        let name = json::string(self.json.get(name_start..name_end)?)?;
        Some((name, Checked(self.json.get(value_start..self.at)?)))
    }
}

/// The first place from `at` on that holds neither this sign nor a space.
fn skip(bytes: &[u8], mut at: usize, sign: u8) -> usize {
    while bytes.get(at).is_some_and(|byte| *byte == sign || is_space(*byte)) {
        at += 1;
    }
    at
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The place behind the string that begins at `at`. Most are short: eight bytes at a time find their end soonest.
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at..)?.first_chunk::<STRIDE>() {
            Some(stride) => {
                let plain = plain_bytes(*stride);
                at += plain;
                if plain == STRIDE {
                    continue;
                }
            }
            None => at += bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'))?,
        }
        if bytes[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn value_end(bytes: &[u8], start: usize) -> Option<usize> {
    match bytes.get(start)? {
        b'"' => string_end(bytes, start),
        b'{' | b'[' => container_end(bytes, start),
        _ => {
            let rest = &bytes[start..];
            rest.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || is_space(*byte)).map(|end| start + end)
        }
    }
}

fn container_end(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0_usize);
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Limits;

    #[test]
    fn members_come_as_they_are_written() {
        let json = "{ \"a\\\"\" : {\"x\":[1,\"}\\\"]\"]} ,\"\":\"\\\\\",\"n\":-1.5e3\n,\"z\":null}";
        let found: Vec<_> =
            Checked::new(json).members().map(|(name, value)| (name.into_owned(), value.raw())).collect();
        let expected = [("a\"", "{\"x\":[1,\"}\\\"]\"]}"), ("", "\"\\\\\""), ("n", "-1.5e3"), ("z", "null")];
        assert_eq!(found, expected.map(|(name, raw)| (name.to_owned(), raw)));
        for empty in ["{}", "{ }", "null", "[1,{\"a\":1}]", "\"{\""] {
            assert_eq!(Checked::new(empty).members().count(), 0, "{empty}");
        }
    }

    proptest! {
        #[test]
        fn the_same_as_the_checking_walk(json in "\\{(\"[ab\\\\\"]{0,3}\":([0-9]{1,3}|null|\"[a\\\\\"]{0,4}\"|\\[[1,\"]{0,4}\\]|\\{\\}),?){0,4}\\}") {
            let mut expected = Vec::new();
            let checked = json::members(&json, "text", &Limits::default(), |name, value| expected.push((name, value)));
            let found: Vec<_> = Checked::new(&json).members().collect();
            if checked.is_ok() {
                prop_assert_eq!(found, expected);
            }
        }
    }
}
