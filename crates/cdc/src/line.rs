//! Lines of input files.

use crate::{DecodeError, Headers, Limits, Record, json, position::number};

/// Where a line stands: the coordinates of what it holds, unless it is a `kcat -J` record with its own.
#[derive(Debug, Clone, Copy)]
pub struct LineHome<'a> {
    /// The file's app id.
    pub topic: &'a str,
    /// The line's number, from 1.
    pub line: i64,
}

/// Turns lines into records: a bare change event, `{"key": …, "value": …}`, or a record as `kcat -J` prints it. Holds
/// the buffers in which escaped keys and values are unescaped.
#[derive(Debug, Default)]
pub struct LineReader {
    limits: Limits,
    topic: String,
    key: String,
    value: String,
}

impl LineReader {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The record in a line (without its line break).
    ///
    /// # Errors
    /// When the line is too long, not UTF-8, not JSON or nested too deeply.
    pub fn read<'a>(&'a mut self, line: &'a [u8], home: LineHome<'a>) -> Result<Record<'a>, DecodeError> {
        let text = json::text(line, "line", &self.limits)?.trim_ascii();
        let members = if is_bare(text) { Members::default() } else { Members::read(text)? };
        let value = match members.shape() {
            Shape::Bare => Some(text),
            Shape::Pair => members.value,
            Shape::Kcat => members.payload,
        };
        let mut record = Record {
            topic: home.topic,
            partition: 0,
            offset: home.line,
            timestamp_ms: members.timestamp(),
            key: content(members.key, &mut self.key)?,
            value: content(value, &mut self.value)?,
            headers: members.headers.filter(|raw| raw.starts_with('[')).map_or(Headers::None, Headers::Json),
        };
        if let (Shape::Kcat, Some(topic), Some(partition), Some(offset)) =
            (members.shape(), members.topic, members.partition, members.offset)
        {
            if let Some(topic) = content(Some(topic), &mut self.topic)? {
                record.topic = std::str::from_utf8(topic).expect("a part of a text, or of a String");
            }
            record.partition = number("partition", Some(partition), i32::MAX.into())?.unwrap_or(0) as i32;
            record.offset = number("offset", Some(offset), i64::MAX)?.unwrap_or(0) as i64;
        }
        Ok(record)
    }
}

/// The shapes of lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The value itself.
    Bare,
    /// `{"key":…,"value":…}`.
    Pair,
    /// As `kcat -J` prints records.
    Kcat,
}

/// The members of a line that tell its shape, raw.
#[derive(Debug, Default)]
struct Members<'a> {
    topic: Option<&'a str>,
    partition: Option<&'a str>,
    offset: Option<&'a str>,
    time: Option<&'a str>,
    key: Option<&'a str>,
    value: Option<&'a str>,
    payload: Option<&'a str>,
    headers: Option<&'a str>,
    others: usize,
}

impl<'a> Members<'a> {
    fn read(text: &'a str) -> Result<Self, DecodeError> {
        let mut found = Self::default();
        json::members(text, "line", |name, raw| match &*name {
            "topic" => found.topic = Some(raw),
            "partition" => found.partition = Some(raw),
            "offset" => found.offset = Some(raw),
            "ts" | "timestamp" => found.time = Some(raw),
            "key" => found.key = Some(raw),
            "value" => found.value = Some(raw),
            "payload" => found.payload = Some(raw),
            "headers" => found.headers = Some(raw),
            _ => found.others += 1,
        })?;
        Ok(found)
    }

    fn shape(&self) -> Shape {
        let is_text = |raw: Option<&str>| raw.is_some_and(|raw| raw.starts_with('"'));
        let has_coordinates = is_text(self.topic) && self.partition.is_some() && self.offset.is_some();
        if has_coordinates && self.payload.is_some() {
            Shape::Kcat
        } else if self.value.is_some() && self.others == 0 && self.payload.is_none() {
            Shape::Pair
        } else {
            Shape::Bare
        }
    }

    /// The record's time; kcat prints -1 where there is none.
    fn timestamp(&self) -> Option<i64> {
        if self.shape() == Shape::Bare {
            return None;
        }
        self.time?.parse().ok().filter(|millis| *millis >= 0)
    }
}

/// Whether a line is a change event or no object at all, told from its first member; false is not certain.
fn is_bare(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('{') else { return true };
    let Some(rest) = rest.trim_ascii_start().strip_prefix('"') else { return false };
    ["before\"", "after\"", "op\"", "source\"", "schema\"", "transaction\""].iter().any(|name| rest.starts_with(name))
}

/// The bytes that a raw value stands for: a string's text, and of anything else the JSON itself.
fn content<'a>(raw: Option<&'a str>, buffer: &'a mut String) -> Result<Option<&'a [u8]>, DecodeError> {
    let Some(raw) = json::given(raw) else { return Ok(None) };
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Ok(Some(raw.as_bytes()));
    };
    if !inner.contains('\\') {
        return Ok(Some(inner.as_bytes()));
    }
    buffer.clear();
    match json::unescape(inner, buffer) {
        Some(()) => Ok(Some(buffer.as_bytes())),
        None => Err(DecodeError::Json { what: "line", at: 0, reason: "an escape in a string means no character" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: LineHome<'static> = LineHome { topic: "file/1", line: 7 };

    fn texts(line: &str) -> (Option<String>, Option<String>, String) {
        let mut reader = LineReader::default();
        let record = reader.read(line.as_bytes(), HOME).unwrap();
        let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let place = format!("{} {} {} {:?}", record.topic, record.partition, record.offset, record.timestamp_ms);
        (text(record.key), text(record.value), place)
    }

    #[test]
    fn a_bare_event_has_the_coordinates_of_its_line() {
        for line in [r#"{"before":null,"op":"c"}"#, r#"{"id":1,"value":2,"x":3}"#, r#"{"schema":1,"payload":2}"#, "17"]
        {
            assert_eq!(texts(line), (None, Some(line.to_owned()), "file/1 0 7 None".into()), "{line}");
        }
    }

    #[test]
    fn keys_and_values_may_be_json_or_text() {
        let same = (Some(r#"{"id":1}"#.into()), Some(r#"{"op":"c"}"#.into()), "file/1 0 7 None".to_owned());
        assert_eq!(texts(r#"{"key":{"id":1},"value":{"op":"c"}}"#), same);
        assert_eq!(texts(r#"{"value":"{\"op\":\"c\"}","key":"{\"id\":1}"}"#), same);
        assert_eq!(texts(r#"{"key":null,"value":null}"#), (None, None, "file/1 0 7 None".into()));
        assert_eq!(texts(r#"{"key":"a","value":{},"ts":5}"#).2, "file/1 0 7 Some(5)");
    }

    #[test]
    fn a_record_of_kcat_keeps_its_own_coordinates() {
        let line = r#"{"topic":"a.b","partition":2,"offset":15,"tstype":"create","ts":9,"broker":1,
            "headers":["h","\u0001"],"key":null,"payload":"{\"x\":\"\\u00e4\"}"}"#;
        assert_eq!(texts(line), (None, Some(r#"{"x":"\u00e4"}"#.into()), "a.b 2 15 Some(9)".into()));
        let mut reader = LineReader::default();
        let record = reader.read(line.as_bytes(), HOME).unwrap();
        assert_eq!(record.headers.get("h").as_deref(), Some("\u{1}"));
    }

    #[test]
    fn broken_lines_say_what_is_wrong() {
        let mut reader = LineReader::new(Limits { length_bytes: 100, depth: 5 });
        for (line, code) in [
            (r#"{"topic":"a","partition":2,"off"#, "truncated_json"),
            (r#"{"topic":"a" "b"}"#, "invalid_json"),
            (r#"{"topic":"a","partition":1,"offset":99999999999999999999,"payload":null}"#, "position_out_of_range"),
            (r#"{"x":[[[[[1]]]]]}"#, "too_deep"),
            (&"x".repeat(101), "too_long"),
        ] {
            assert_eq!(reader.read(line.as_bytes(), HOME).unwrap_err().code(), code, "{line}");
        }
        assert_eq!(reader.read(b"{\"a\":\"\xff\"}", HOME).unwrap_err().code(), "invalid_utf8");
    }
}
