//! The source block of an envelope.

use std::borrow::Cow;

use crate::{DecodeError, classify::Format, json, walk::Checked};

/// What the source block says, as far as it matters. Texts are borrowed; numbers are still raw.
#[derive(Debug, Default)]
pub(crate) struct SourceBlock<'a> {
    /// The block as given.
    pub(crate) raw: &'a str,
    pub(crate) connector: Cow<'a, str>,
    pub(crate) name: Option<Cow<'a, str>>,
    pub(crate) database: Option<Cow<'a, str>>,
    pub(crate) schema: Option<Cow<'a, str>>,
    pub(crate) table: Option<Cow<'a, str>>,
    pub(crate) ts_us: Option<&'a str>,
    pub(crate) ts_ns: Option<&'a str>,
    pub(crate) ts_ms: Option<&'a str>,
    pub(crate) lsn: Option<&'a str>,
    pub(crate) tx_id: Option<&'a str>,
    pub(crate) gtid: Option<&'a str>,
    pub(crate) server_id: Option<&'a str>,
    pub(crate) file: Option<Cow<'a, str>>,
    pub(crate) pos: Option<&'a str>,
    pub(crate) row: Option<&'a str>,
    /// Whether the row was read by a snapshot.
    pub(crate) is_snapshot: bool,
}

impl<'a> SourceBlock<'a> {
    /// Of an envelope's block.
    pub(crate) fn read(source: Checked<'a>) -> Result<Self, DecodeError> {
        let mut block = Self { raw: source.raw(), ..Self::default() };
        source.members().for_each(|(name, value)| block.add(&name, value.raw()));
        block.supported()
    }

    /// Itself, if its connector is one whose events can be told from each other for good.
    fn supported(self) -> Result<Self, DecodeError> {
        if self.connector.is_empty() {
            return Err(DecodeError::NoSource { what: "connector in its source self" });
        }
        match &*self.connector {
            "mongodb" => Err(DecodeError::Format(Format::MongoDb)),
            // Their positions are known (`facts/cdc.md`) and part of an event's id, which never changes: reading them
            // by arrival now would make other events of them later.
            "sqlserver" | "oracle" => Err(DecodeError::Connector(self.connector.into_owned())),
            _ => Ok(self),
        }
    }

    fn add(&mut self, name: &str, raw: &'a str) {
        if raw == "null" {
            return;
        }
        match name {
            "connector" => self.connector = json::string(raw).unwrap_or_default(),
            "name" => self.name = json::string(raw),
            "db" => self.database = json::string(raw),
            "schema" => self.schema = json::string(raw),
            "table" => self.table = json::string(raw),
            "file" => self.file = json::string(raw),
            "ts_us" => self.ts_us = Some(raw),
            "ts_ns" => self.ts_ns = Some(raw),
            "ts_ms" => self.ts_ms = Some(raw),
            "lsn" => self.lsn = Some(raw),
            "txId" => self.tx_id = Some(raw),
            "gtid" => self.gtid = Some(raw),
            "server_id" => self.server_id = Some(raw),
            "pos" => self.pos = Some(raw),
            "row" => self.row = Some(raw),
            "snapshot" => self.is_snapshot = is_snapshot(raw),
            _ => {}
        }
    }

    /// `source.txId`, else `source.gtid`.
    pub(crate) fn transaction(&self) -> Option<Cow<'a, str>> {
        self.tx_id.or(self.gtid).map(|raw| json::string(raw).unwrap_or(Cow::Borrowed(raw)))
    }

    /// Whether `before` is always the whole row.
    pub(crate) fn has_whole_before(&self) -> bool {
        matches!(&*self.connector, "mysql" | "mariadb")
    }

    /// The table for messages: `schema.table`, or `database.table` where there are no schemas.
    pub(crate) fn table_for_people(&self) -> String {
        let place = self.schema.as_deref().or(self.database.as_deref()).unwrap_or_default();
        format!("{place}.{}", self.table.as_deref().unwrap_or_default())
    }
}

/// `"true"`, `"first"`, `"last"`, `"incremental"` and so on; older data has booleans, Avro's JSON `{"string":"true"}`.
fn is_snapshot(raw: &str) -> bool {
    match raw.as_bytes().first() {
        Some(b'"') => raw != "\"false\"",
        Some(b'{') => !raw.contains("\"false\""),
        _ => raw == "true",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_has_many_spellings() {
        let is = |snapshot: &str| {
            let block = format!(r#"{{"connector":"postgresql","snapshot":{snapshot}}}"#);
            SourceBlock::read(Checked::new(&block)).unwrap().is_snapshot
        };
        for yes in [
            r#""true""#,
            r#""first""#,
            r#""last_in_data_collection""#,
            r#""incremental""#,
            "true",
            r#"{"string":"true"}"#,
        ] {
            assert!(is(yes), "{yes}");
        }
        for no in [r#""false""#, "false", "null", r#"{"string":"false"}"#] {
            assert!(!is(no), "{no}");
        }
    }

    #[test]
    fn transactions_are_text() {
        let of = |rest: &str| {
            let block = format!(r#"{{"connector":"x"{rest}}}"#);
            SourceBlock::read(Checked::new(&block)).unwrap().transaction().map(Cow::into_owned)
        };
        assert_eq!(of(r#","txId":730"#).as_deref(), Some("730"));
        assert_eq!(of(r#","txId":null,"gtid":"0-5401-641""#).as_deref(), Some("0-5401-641"));
        assert_eq!(of(""), None);
    }

    #[test]
    fn unsupported_connectors_are_named() {
        for (block, code) in [
            (r#"{"connector":"sqlserver"}"#, "unsupported_connector"),
            (r#"{"connector":"mongodb"}"#, "unsupported_format"),
            (r#"{"name":"x"}"#, "no_source"),
        ] {
            assert_eq!(SourceBlock::read(Checked::new(block)).unwrap_err().code(), code);
        }
    }
}
