//! Events to decode.

use deltafold_cdc::{
    AggregateConfig, DecodeError, Decoded, Decoder, DecoderConfig, Headers, Ignored, LineHome, LineReader, Record,
};
use deltafold_event::{Event, Metadata};

/// PostgreSQL's source block, with more members (each led by a comma).
pub(crate) fn postgres(table: &str, more: &str) -> String {
    format!(
        r#"{{"version":"3.5.0.Final","connector":"postgresql","name":"shop","ts_ms":1790582400029,"snapshot":"false","db":"shop","sequence":"[null,\"26492464\"]","ts_us":1790582400029070,"schema":"public","table":"{table}","txId":730,"lsn":26492464{more}}}"#
    )
}

/// MariaDB's source block.
pub(crate) fn mariadb(table: &str) -> String {
    format!(
        r#"{{"version":"3.5.0.Final","connector":"mariadb","name":"maria","ts_ms":1790582400000,"snapshot":"false","db":"shop","table":"{table}","server_id":5401,"gtid":"0-5401-641","file":"mysql-bin.000012","pos":4711,"row":2,"thread":null,"query":null}}"#
    )
}

/// An envelope.
pub(crate) fn envelope(op: &str, before: &str, after: &str, source: &str) -> String {
    format!(
        r#"{{"before":{before},"after":{after},"source":{source},"transaction":null,"op":"{op}","ts_ms":1795263674711}}"#
    )
}

/// A decoder for which these keys are declared.
pub(crate) fn decoder(declared: &[(&str, &[&str])]) -> Decoder {
    let aggregates = declared
        .iter()
        .map(|(name, key)| {
            let key = key.iter().map(|column| (*column).to_owned()).collect();
            ((*name).to_owned(), AggregateConfig { key: Some(key), ..AggregateConfig::default() })
        })
        .collect();
    Decoder::new(DecoderConfig { aggregates, ..DecoderConfig::default() })
}

/// A record of the topic `t`, partition 1, offset 17.
pub(crate) fn record<'a>(key: Option<&'a str>, value: &'a str, headers: Headers<'a>) -> Record<'a> {
    Record {
        topic: "t",
        partition: 1,
        offset: 17,
        timestamp_ms: Some(1_795_263_674_899),
        key: key.map(str::as_bytes),
        value: Some(value.as_bytes()),
        headers,
    }
}

/// What becomes of a record.
pub(crate) fn decode_with(
    decoder: &mut Decoder,
    record: &Record<'_>,
) -> Result<(Vec<Decoded>, Option<Ignored>), DecodeError> {
    let mut decoded = Vec::new();
    let ignored = decoder.decode(record, &mut decoded)?;
    Ok((decoded, ignored))
}

/// The one event of a record with this key and value.
pub(crate) fn event(key: Option<&str>, value: &str) -> Event {
    let (mut decoded, ignored) = decode_with(&mut decoder(&[]), &record(key, value, Headers::None)).unwrap();
    assert_eq!((decoded.len(), ignored), (1, None));
    decoded.remove(0).event
}

/// Why a record with this key and value is none, after its code.
pub(crate) fn refused(declared: &[(&str, &[&str])], key: Option<&str>, value: &str) -> String {
    let error = decode_with(&mut decoder(declared), &record(key, value, Headers::None)).unwrap_err();
    format!("{}: {error}", error.code())
}

/// What becomes of a line.
pub(crate) fn line(text: &[u8]) -> Result<(Vec<Decoded>, Option<Ignored>), DecodeError> {
    let mut reader = LineReader::default();
    let record = reader.read(text, LineHome { topic: "file/1", line: 7 })?;
    decode_with(&mut decoder(&[]), &record)
}

/// Where an event's row came from and went to.
pub(crate) fn moved(event: &Event) -> (Option<String>, Option<String>) {
    let metadata = Metadata::parse(&event.metadata).unwrap();
    (metadata.moved_from, metadata.moved_to)
}
