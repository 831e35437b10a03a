//! Input that cannot become an event, and what is said of it.

use deltafold_cdc::{Decoder, DecoderConfig, Headers};

use super::support::{decode_with, decoder, envelope, line, postgres, record, refused};

const KEY: Option<&str> = Some(r#"{"id":1}"#);

fn line_refused(text: &[u8]) -> String {
    let error = line(text).unwrap_err();
    format!("{}: {error}", error.code())
}

#[test]
fn lines_that_are_cut_or_garbled() {
    let whole = format!(
        r#"{{"topic":"t","partition":0,"offset":1,"key":"{{\"id\":1}}","payload":{}}}"#,
        serde_json::to_string(&envelope("c", "null", r#"{"id":1}"#, &postgres("t", ""))).unwrap()
    );
    assert!(line(whole.as_bytes()).is_ok());
    for end in 1..whole.len() {
        assert!(line_refused(&whole.as_bytes()[..end]).starts_with("truncated_json: "), "{}", &whole[..end]);
    }
    let pair = format!(r#"{{"key":{{"id":1}},"value":{}}}"#, envelope("c", "null", r#"{"id":1}"#, &postgres("t", "")));
    assert!(line(pair.as_bytes()).is_ok());
    for end in 1..pair.len() {
        assert!(line_refused(&pair.as_bytes()[..end]).starts_with("truncated_json: "), "{}", &pair[..end]);
    }
    assert!(line_refused(b"{\"key\":{\"id\":1},\"value\":{\"op\":\"\xff\"}}").starts_with("invalid_utf8: byte "));
    assert!(line_refused(b"\x00\x00\x00\x00\x05abc").starts_with("registry_framing: "));
    assert!(line_refused(b"hello").starts_with("not_an_object: the value is hello"));
}

#[test]
fn lines_that_are_too_long_or_too_deep() {
    let long = format!(r#"{{"before":null,"after":{{"x":"{}"}}}}"#, "x".repeat(50_000_000));
    assert!(line_refused(long.as_bytes()).starts_with("too_long: the line has more than 33554432 bytes"));
    let nested = format!("{}1{}", r#"{"a":["#.repeat(5_000), "]}".repeat(5_000));
    for text in [
        nested.clone(),
        envelope("c", "null", &nested, &postgres("t", "")),
        format!(r#"{{"topic":"t","partition":0,"offset":1,"payload":{}}}"#, serde_json::to_string(&nested).unwrap()),
    ] {
        assert!(line_refused(text.as_bytes()).starts_with("too_deep: "), "{}", &text[..60]);
    }
}

#[test]
fn an_array_is_no_event_however_deep() {
    assert!(line_refused("[".repeat(10_000).as_bytes()).starts_with("not_an_object: the value is the array [[["));
}

#[test]
fn a_position_outside_its_range() {
    for lsn in ["9223372036854775808", "-1", "99999999999999999999"] {
        let source = postgres("t", "").replace(r#""lsn":26492464"#, &format!(r#""lsn":{lsn}"#));
        let reason = refused(&[], KEY, &envelope("c", "null", "{}", &source));
        let expected = format!(
            "position_out_of_range: source.lsn is {lsn}: a position is a whole number from 0 to 9223372036854775807"
        );
        assert_eq!(reason, expected);
    }
}

#[test]
fn times_that_are_none() {
    let source = postgres("t", "").replace("1790582400029070", "99999999999999999999");
    assert!(
        refused(&[], KEY, &envelope("c", "null", "{}", &source)).starts_with("time_out_of_range: source.ts_us is 9")
    );
    let source = r#"{"connector":"postgresql","name":"s","db":"d","schema":"p","table":"t","lsn":1}"#;
    let value = format!(r#"{{"op":"c","after":{{"id":1}},"source":{source}}}"#);
    let mut record = record(KEY, &value, Headers::None);
    record.timestamp_ms = None;
    assert_eq!(decode_with(&mut decoder(&[]), &record).unwrap_err().code(), "no_time");
}

#[test]
fn envelopes_that_lack_something() {
    for (value, reason) in [
        (envelope("x", "null", "{}", &postgres("t", "")), "unknown_operation: the operation \"x\" is not known"),
        (envelope("c", "null", "{}", "null"), "no_source: the change event has no source block"),
        (envelope("c", "null", "{}", "{}"), "no_source: the change event has no connector"),
        (envelope("c", "null", "{}", &postgres("", "")), "no_source: the change event has no table"),
        (
            envelope("c", "null", "null", &postgres("t", "")),
            "no_row: the event has the operation c and no row in after",
        ),
        (envelope("u", "null", "\"{}\"", &postgres("t", "")), "row_not_an_object: after is the text \"{}\""),
        (envelope("d", "[1]", "null", &postgres("t", "")), "row_not_an_object: before is the array [1]"),
        (envelope("m", "null", "null", &postgres("", "")), "no_source: the change event has no message"),
        (envelope("c", "null", "{}", &postgres("t", "").replace("postgresql", "oracle")), "unsupported_connector: "),
        (envelope("c", "null", "{}", &postgres("$schema", "")), "reserved_name: table public.$schema"),
        (
            r#"{"id":1,"__op":"c","__deleted":"false"}"#.into(),
            "unsupported_format: not a Debezium change event: it looks like a flattened row",
        ),
        (
            r#"{"database":"d","table":"t","type":"insert","ts":1,"data":{"id":1}}"#.into(),
            "unsupported_format: not a Debezium change event: it looks like Maxwell",
        ),
        (r#"{"schema":{},"payload":7}"#.into(), "not_an_object: the value is 7"),
    ] {
        let found = refused(&[], KEY, &value);
        assert!(found.starts_with(reason), "{value}\n{found}");
    }
    let key = format!("{{\"id\":\"{}\"}}", "x".repeat(16 * 1024 + 1));
    let found = refused(&[], Some(&key), &envelope("c", "null", "{}", &postgres("t", "")));
    assert!(found.starts_with("long_key: the key of this t is 16385 bytes long, and 16384 are the most"), "{found}");
}

#[test]
fn a_wrong_record_leaves_nothing_behind() {
    let mut decoder = Decoder::new(DecoderConfig::default());
    let good = envelope("c", "null", r#"{"id":1}"#, &postgres("t", ""));
    let mut decoded = Vec::new();
    for value in [good.as_str(), "{", good.as_str(), r#"{"a":1}"#] {
        let before = decoded.len();
        if decoder.decode(&record(KEY, value, Headers::None), &mut decoded).is_err() {
            assert_eq!(decoded.len(), before);
        }
    }
    assert_eq!(decoded.len(), 2);
    assert_eq!(decoded[0].event, decoded[1].event);
}
