//! The shapes that lines come in.

use crate::{DecodeError, Headers, Limits, json, unescape::unescape};

/// The shapes of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The value itself.
    Bare,
    /// `{"key":…,"value":…}`.
    Pair,
    /// As `kcat -J` prints records.
    Kcat,
}

/// A record's value in a line.
#[derive(Debug, Default)]
pub(crate) enum Value<'a> {
    #[default]
    Absent,
    /// Still JSON.
    Raw(&'a str),
    /// In the buffer, its escapes undone.
    Unescaped,
}

/// The members of a line that tell its shape, raw.
#[derive(Debug, Default)]
pub(crate) struct Members<'a> {
    pub(crate) topic: Option<&'a str>,
    pub(crate) partition: Option<&'a str>,
    pub(crate) offset: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    pub(crate) value: Value<'a>,
    pub(crate) payload: Value<'a>,
    time: Option<&'a str>,
    headers: Option<&'a str>,
    others: usize,
}

impl<'a> Members<'a> {
    /// Of a line. A payload that comes last and is a string, as kcat prints it, is unescaped right away into `buffer`
    /// rather than walked over first.
    pub(crate) fn read(line: &'a [u8], limits: &Limits, buffer: &mut Vec<u8>) -> Result<Self, DecodeError> {
        let text = json::text(line, "line", limits)?;
        let mut found = Self::default();
        json::members_until(text, "line", limits, |name, value, rest| {
            found.add(&name, value.raw());
            let is_payload = last_payload(rest).is_some_and(|inner| unescape(inner.as_bytes(), buffer).is_some());
            if is_payload {
                found.payload = Value::Unescaped;
            }
            is_payload
        })?;
        Ok(found)
    }

    fn add(&mut self, name: &str, raw: &'a str) {
        match name {
            "topic" => self.topic = Some(raw),
            "partition" => self.partition = Some(raw),
            "offset" => self.offset = Some(raw),
            "ts" | "timestamp" => self.time = Some(raw),
            "key" => self.key = Some(raw),
            "value" => self.value = Value::Raw(raw),
            "payload" => self.payload = Value::Raw(raw),
            "headers" => self.headers = Some(raw),
            _ => self.others += 1,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        let is_text = |raw: Option<&str>| raw.is_some_and(|raw| raw.starts_with('"'));
        let has_coordinates = is_text(self.topic) && self.partition.is_some() && self.offset.is_some();
        let has = |value: &Value<'_>| !matches!(value, Value::Absent);
        if has_coordinates && has(&self.payload) {
            Shape::Kcat
        } else if has(&self.value) && !has(&self.payload) && self.others == 0 {
            Shape::Pair
        } else {
            Shape::Bare
        }
    }

    /// The record's time; kcat prints -1 where there is none.
    pub(crate) fn timestamp(&self) -> Option<i64> {
        self.time?.parse().ok().filter(|millis| *millis >= 0)
    }

    pub(crate) fn headers(&self) -> Headers<'a> {
        self.headers.filter(|raw| raw.starts_with('[')).map_or(Headers::None, Headers::Json)
    }
}

/// The inside of the string if what is left of a line is `,"payload":"…"}`. Whether it is one string only is for
/// [`unescape`] to see.
fn last_payload(rest: &str) -> Option<&str> {
    rest.strip_prefix(",\"payload\":\"")?.strip_suffix("\"}")
}

/// Whether a line is a change event or no object at all, told from its first member; false is not certain.
pub(crate) fn is_bare(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"{") else { return true };
    let rest = rest.trim_ascii_start();
    let names: [&[u8]; 6] = [b"\"before\"", b"\"after\"", b"\"op\"", b"\"source\"", b"\"schema\"", b"\"transaction\""];
    names.iter().any(|name| rest.starts_with(name))
}

/// Key and value of a line `{"key":{…},"value":{…}}` without spaces around them, found without walking over the value:
/// whether it is JSON at all is for the decoder to see, which walks over it anyway.
pub(crate) fn compact_pair(line: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let rest = line.strip_prefix(b"{\"key\":")?;
    let (key, rest) = match rest.strip_prefix(b"null") {
        Some(rest) => (None, rest),
        None => {
            let (key, rest) = rest.split_at(object_end(rest)?);
            (Some(key), rest)
        }
    };
    let value = rest.strip_prefix(b",\"value\":")?.strip_suffix(b"}")?;
    (value.starts_with(b"{") && value.ends_with(b"}")).then_some((key, value))
}

/// The place behind the object at the start.
fn object_end(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match bytes.get(at)? {
            byte if depth == 0 && *byte != b'{' => return None,
            b'"' => at = json::string_end(bytes, at),
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}
