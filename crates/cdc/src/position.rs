//! Where the source says a change stands.

use deltafold_event::{Identity, SourcePosition};

use crate::{DecodeError, source_block::SourceBlock};

/// A source position with the raw fields that are part of an event's identity.
#[derive(Debug)]
pub(crate) enum RawPosition<'a> {
    /// PostgreSQL. `sequence` is left out: it may start with null when the same event is sent again.
    Lsn(u64),
    /// MySQL and MariaDB.
    Binlog { server_id: Option<u64>, file: &'a str, pos: u64, row: Option<u32> },
}

impl<'a> RawPosition<'a> {
    /// Of a source block; none where it has none, or is of a connector whose events are ordered by arrival.
    pub(crate) fn read(source: &'a SourceBlock<'_>) -> Result<Option<Self>, DecodeError> {
        match &*source.connector {
            "postgresql" => Ok(number("source.lsn", source.lsn, i64::MAX)?.map(Self::Lsn)),
            "mysql" | "mariadb" => {
                let Some(file) = source.file.as_deref().filter(|file| !file.is_empty()) else { return Ok(None) };
                let Some(pos) = number("source.pos", source.pos, i64::MAX)? else { return Ok(None) };
                let row = number("source.row", source.row, u32::MAX.into())?.map(|row| row as u32);
                Ok(Some(Self::Binlog {
                    server_id: number("source.server_id", source.server_id, i64::MAX)?,
                    file,
                    pos,
                    row,
                }))
            }
            _ => Ok(None),
        }
    }

    /// Its order-preserving encoding.
    pub(crate) fn encoded(&self) -> SourcePosition {
        match *self {
            Self::Lsn(lsn) => SourcePosition::postgres(lsn),
            Self::Binlog { server_id, file, pos, row } => {
                SourcePosition::binlog(server_id.unwrap_or(0), file, pos, row.unwrap_or(0))
            }
        }
    }

    /// Appends its fields to an identity.
    pub(crate) fn identify(&self, identity: Identity) -> Identity {
        let number = |identity: Identity, field: Option<u64>| match field {
            Some(field) => identity.number(field),
            None => identity.text(None),
        };
        match *self {
            Self::Lsn(lsn) => identity.number(lsn),
            Self::Binlog { server_id, file, pos, row } => {
                number(number(identity, server_id).text(Some(file)).number(pos), row.map(u64::from))
            }
        }
    }
}

/// A whole number from 0 to `max`.
pub(crate) fn number(field: &'static str, raw: Option<&str>, max: i64) -> Result<Option<u64>, DecodeError> {
    let Some(raw) = raw else { return Ok(None) };
    let digits = raw.trim_matches('"');
    match digits.parse::<i64>() {
        Ok(number @ 0..) if number <= max => Ok(Some(number as u64)),
        _ => Err(DecodeError::Position { field, value: digits.chars().take(40).collect(), max }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk::Checked;

    fn position(block: &str) -> Result<Option<SourcePosition>, DecodeError> {
        let block = SourceBlock::read(Checked::new(block))?;
        Ok(RawPosition::read(&block)?.map(|position| position.encoded()))
    }

    #[test]
    fn each_connector_has_its_own() {
        assert_eq!(position(r#"{"connector":"postgresql","lsn":5}"#), Ok(Some(SourcePosition::postgres(5))));
        assert_eq!(position(r#"{"connector":"postgresql","lsn":null}"#), Ok(None));
        assert_eq!(
            position(r#"{"connector":"mariadb","server_id":5401,"file":"bin.000012","pos":4,"row":1}"#),
            Ok(Some(SourcePosition::binlog(5401, "bin.000012", 4, 1)))
        );
        assert_eq!(position(r#"{"connector":"mysql","file":"","pos":0}"#), Ok(None));
        assert_eq!(position(r#"{"connector":"db2","lsn":5}"#), Ok(None));
    }

    #[test]
    fn positions_outside_their_range_are_refused() {
        for lsn in ["9223372036854775808", "-1", "1.5", "1e3", "\"x\"", "{}"] {
            let error = position(&format!(r#"{{"connector":"postgresql","lsn":{lsn}}}"#)).unwrap_err();
            assert_eq!(error.code(), "position_out_of_range", "{lsn}");
        }
        let error = position(r#"{"connector":"mysql","file":"b.1","pos":4,"row":4294967296}"#).unwrap_err();
        assert_eq!(error.to_string(), "source.row is 4294967296: a position is a whole number from 0 to 4294967295");
    }
}
