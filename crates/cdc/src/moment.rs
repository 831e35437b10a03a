//! When a change was made.

use deltafold_event::Timestamp;

use crate::{DecodeError, Record, classify::Members, source_block::SourceBlock};

/// The source's time as finely as it gives it, else the envelope's, else the record's.
///
/// Snapshots of old MySQL connectors say 0 for "unknown".
pub(crate) fn occurred_at(
    source: &SourceBlock<'_>,
    envelope: &Members<'_>,
    record: &Record<'_>,
    is_read: bool,
) -> Result<Timestamp, DecodeError> {
    let is_known = |amount: &i64| !(is_read && *amount == 0);
    if let Some(micros) = number("source.ts_us", source.ts_us)?.filter(is_known) {
        return Ok(Timestamp::from_micros(micros));
    }
    if let Some(nanos) = number("source.ts_ns", source.ts_ns)?.filter(is_known) {
        return Ok(Timestamp::from_micros(nanos.div_euclid(1_000)));
    }
    if let Some(millis) = number("source.ts_ms", source.ts_ms)?.filter(is_known) {
        return Ok(Timestamp::from_millis(millis));
    }
    if let Some(micros) = number("ts_us", envelope.ts_us)? {
        return Ok(Timestamp::from_micros(micros));
    }
    if let Some(millis) = number("ts_ms", envelope.ts_ms)?.or(record.timestamp_ms) {
        return Ok(Timestamp::from_millis(millis));
    }
    Err(DecodeError::NoTime)
}

fn number(field: &'static str, raw: Option<&str>) -> Result<Option<i64>, DecodeError> {
    match raw {
        None | Some("null") => Ok(None),
        Some(raw) => match raw.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(DecodeError::Time { field, value: raw.chars().take(40).collect() }),
        },
    }
}
