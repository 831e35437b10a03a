//! Lines of input files.

use crate::{
    DecodeError, Headers, Limits, Record, json,
    line_shape::{Members, Shape, Value, compact_pair, is_bare},
    position::number,
    unescape::unescape,
};

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
    topic: Vec<u8>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl LineReader {
    /// With these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// The record in a line (without its line break). Its key and value are not looked into: that is the decoder's.
    ///
    /// # Errors
    /// When the line is too long, not UTF-8, not JSON or nested too deeply.
    pub fn read<'a>(&'a mut self, line: &'a [u8], home: LineHome<'a>) -> Result<Record<'a>, DecodeError> {
        json::check_length(line, "line", &self.limits)?;
        let line = line.trim_ascii();
        let bare = Record {
            topic: home.topic,
            partition: 0,
            offset: home.line,
            timestamp_ms: None,
            key: None,
            value: Some(line),
            headers: Headers::None,
        };
        if is_bare(line) {
            return Ok(bare);
        }
        if let Some((key, value)) = compact_pair(line) {
            return Ok(Record { key, value: Some(value), ..bare });
        }
        let members = Members::read(line, &self.limits, &mut self.value)?;
        let value = match members.shape() {
            Shape::Bare => return Ok(bare),
            Shape::Pair => &members.value,
            Shape::Kcat => &members.payload,
        };
        let mut record = Record {
            timestamp_ms: members.timestamp(),
            key: content(members.key, &mut self.key)?,
            value: match value {
                Value::Unescaped => Some(&self.value),
                Value::Raw(raw) => content(Some(raw), &mut self.value)?,
                Value::Absent => None,
            },
            headers: members.headers(),
            ..bare
        };
        if members.shape() == Shape::Kcat {
            if let Some(topic) = content(members.topic, &mut self.topic)? {
                record.topic = std::str::from_utf8(topic)
                    .map_err(|error| DecodeError::Utf8 { what: "topic", at: error.valid_up_to() })?;
            }
            record.partition = number("partition", members.partition, i32::MAX.into())?.unwrap_or(0) as i32;
            record.offset = number("offset", members.offset, i64::MAX)?.unwrap_or(0) as i64;
        }
        Ok(record)
    }
}

/// The bytes that a raw value stands for: a string's text, and of anything else the JSON itself.
fn content<'a>(raw: Option<&'a str>, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, DecodeError> {
    let Some(raw) = json::given(raw) else { return Ok(None) };
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Ok(Some(raw.as_bytes()));
    };
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Some(inner.as_bytes()));
    }
    match unescape(inner.as_bytes(), buffer) {
        Some(()) => Ok(Some(buffer)),
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
        for line in [
            r#"{"before":null,"op":"c"}"#,
            r#"{ "before":null}"#,
            r#"{"id":1,"value":2,"x":3}"#,
            r#"{"schema":1,"payload":2}"#,
            r#"{"payload":{},"schema":{}}"#,
            "17",
            "",
        ] {
            assert_eq!(texts(line), (None, Some(line.to_owned()), "file/1 0 7 None".into()), "{line}");
        }
    }

    #[test]
    fn keys_and_values_may_be_json_or_text() {
        let same = (Some(r#"{"id":1}"#.into()), Some(r#"{"op":"c"}"#.into()), "file/1 0 7 None".to_owned());
        for line in [
            r#"{"key":{"id":1},"value":{"op":"c"}}"#,
            r#" {"key": {"id":1}, "value":{"op":"c"} } "#,
            r#"{"value":"{\"op\":\"c\"}","key":"{\"id\":1}"}"#,
        ] {
            assert_eq!(texts(line), same, "{line}");
        }
        assert_eq!(texts(r#"{"key":null,"value":null}"#), (None, None, "file/1 0 7 None".into()));
        assert_eq!(
            texts(r#"{"key":null,"value":{"a":{}}}"#),
            (None, Some(r#"{"a":{}}"#.into()), "file/1 0 7 None".into())
        );
        assert_eq!(texts(r#"{"key":"a","value":{},"ts":5}"#).2, "file/1 0 7 Some(5)");
        assert_eq!(texts(r#"{"key":{"a":"}\""},"value":{"b":{}}}"#).0.as_deref(), Some(r#"{"a":"}\""}"#));
    }

    #[test]
    fn a_record_of_kcat_keeps_its_own_coordinates() {
        let line = r#"{"topic":"a.b","partition":2,"offset":15,"tstype":"create","ts":9,"broker":1,"headers":["h","\u0001"],"key":null,"payload":"{\"x\":\"\\u00e4\"}"}"#;
        let reordered = r#"{"broker":1,"headers":["h","\u0001"],"key":null,"offset":15,"partition":2,
            "payload":"{\"x\":\"\\u00e4\"}","topic":"a.b","ts":9,"tstype":"create"}"#;
        for line in [line, reordered] {
            assert_eq!(texts(line), (None, Some(r#"{"x":"\u00e4"}"#.into()), "a.b 2 15 Some(9)".into()));
            let mut reader = LineReader::default();
            let record = reader.read(line.as_bytes(), HOME).unwrap();
            assert_eq!(record.headers.get("h").as_deref(), Some("\u{1}"));
        }
        let tombstone = r#"{"topic":"a","partition":2,"offset":15,"ts":-1,"key":"{\"id\":1}","payload":null}"#;
        assert_eq!(texts(tombstone), (Some(r#"{"id":1}"#.into()), None, "a 2 15 None".into()));
        let object = r#"{"topic":"a","partition":2,"offset":15,"key":{"id":1},"payload":{"op":"c"}}"#;
        assert_eq!(texts(object).1.as_deref(), Some(r#"{"op":"c"}"#));
    }

    #[test]
    fn broken_lines_say_what_is_wrong() {
        let mut reader = LineReader::new(Limits { length_bytes: 100, depth: 5, ..Limits::default() });
        for (line, code) in [
            (r#"{"topic":"a","partition":2,"off"#, "truncated_json"),
            (r#"{"topic":"a" "b"}"#, "invalid_json"),
            (r#"{"topic":"a","partition":1,"offset":1,"payload":"a"b"}"#, "invalid_json"),
            (r#"{"topic":"a","partition":1,"offset":1,"payload":"\uZZZZ"}"#, "invalid_json"),
            (r#"{"topic":"a","partition":1,"offset":1,"headers":["\ud800"],"payload":"x"}"#, "invalid_json"),
            (r#"{"topic":"a","partition":1,"offset":99999999999999999999,"payload":null}"#, "position_out_of_range"),
            (r#"{"x":[[[[[1]]]]]}"#, "too_deep"),
            (&"x".repeat(101), "too_long"),
        ] {
            assert_eq!(reader.read(line.as_bytes(), HOME).unwrap_err().code(), code, "{line}");
        }
        assert_eq!(reader.read(b"{\"a\":\"\xff\"}", HOME).unwrap_err().code(), "invalid_utf8");
    }
}
