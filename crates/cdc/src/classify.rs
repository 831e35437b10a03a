//! What a record's value is, told by its shape and never by its topic's name.

use std::fmt;

use crate::{DecodeError, Ignored, Limits, json, walk::Checked};

/// Formats that are recognised but not decoded (yet), so that a dead letter can say what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A row without envelope, as Debezium's `ExtractNewRecordState` makes it.
    Flattened,
    /// CloudEvents.
    CloudEvents,
    /// Maxwell's daemon.
    Maxwell,
    /// Canal.
    Canal,
    /// AWS Database Migration Service.
    Dms,
    /// Debezium's MongoDB connector.
    MongoDb,
    /// Nothing we know.
    Plain,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flattened => {
                "a flattened row (ExtractNewRecordState), which has no source position: remove that transform from the connector"
            }
            Self::CloudEvents => "CloudEvents, which this version does not read: set value.converter to a JsonConverter",
            Self::Maxwell => "Maxwell, which this version does not read",
            Self::Canal => "Canal, which this version does not read",
            Self::Dms => "AWS DMS, which this version does not read",
            Self::MongoDb => "MongoDB's change events, which this version does not read",
            Self::Plain => "plain JSON; a change event has op, source, before and after",
        })
    }
}

/// The members of a value that tell what it is, raw.
#[derive(Debug, Default)]
pub(crate) struct Members<'a> {
    pub(crate) schema: Option<&'a str>,
    pub(crate) payload: Option<Checked<'a>>,
    pub(crate) op: Option<&'a str>,
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    pub(crate) source: Option<Checked<'a>>,
    pub(crate) message: Option<&'a str>,
    pub(crate) ts_ms: Option<&'a str>,
    pub(crate) ts_us: Option<&'a str>,
    status: Option<&'a str>,
    kind: Option<&'a str>,
    data: Option<&'a str>,
    pub(crate) id: Option<&'a str>,
    pub(crate) event_count: Option<&'a str>,
    marks: Marks,
    count: usize,
}

/// Debezium's signals.
const SIGNALS: [&str; 8] = [
    "execute-snapshot",
    "stop-snapshot",
    "pause-snapshot",
    "resume-snapshot",
    "snapshot-window-open",
    "snapshot-window-close",
    "schema-changes",
    "log",
];

/// Names that only one format has.
#[derive(Debug, Default)]
struct Marks {
    schema_change: usize,
    notification: usize,
    specversion: bool,
    maxwell: bool,
    canal: bool,
    dms: bool,
    flattened: bool,
    clocks: usize,
}

impl<'a> Members<'a> {
    /// Of a JSON object.
    pub(crate) fn read(json: &'a str, limits: &Limits) -> Result<Self, DecodeError> {
        let mut found = Self::default();
        json::members(json, "value", limits, |name, value| found.add(&name, value))?;
        Ok(found)
    }

    /// Of the inside of a wrapper.
    pub(crate) fn of(object: Checked<'a>) -> Self {
        let mut found = Self::default();
        object.members().for_each(|(name, value)| found.add(&name, value));
        found
    }

    fn add(&mut self, name: &str, value: Checked<'a>) {
        let raw = value.raw();
        self.count += 1;
        match name {
            "schema" => self.schema = Some(raw),
            "payload" => self.payload = Some(value),
            "op" => self.op = Some(raw),
            "before" => self.before = Some(raw),
            "after" => self.after = Some(raw),
            "source" => self.source = Some(value),
            "message" => self.message = Some(raw),
            "ts_ms" => {
                self.ts_ms = Some(raw);
                self.marks.clocks += 1;
            }
            "ts_us" => {
                self.ts_us = Some(raw);
                self.marks.clocks += 1;
            }
            "ts_ns" => self.marks.clocks += 1,
            "status" => self.status = Some(raw),
            "type" => self.kind = Some(raw),
            "data" => self.data = Some(raw),
            "id" => self.id = Some(raw),
            "ddl" | "tableChanges" | "databaseName" => self.marks.schema_change += 1,
            "event_count" => self.event_count = Some(raw),
            "aggregate_type" | "additional_data" => self.marks.notification += 1,
            "specversion" => self.marks.specversion = true,
            "xid" | "xoffset" | "commit" => self.marks.maxwell = true,
            "isDdl" | "mysqlType" | "pkNames" | "sqlType" => self.marks.canal = true,
            "metadata" => self.marks.dms = true,
            _ if name.starts_with("__") => self.marks.flattened = true,
            _ => {}
        }
    }

    /// Whether it is `{"schema":…,"payload":…}`.
    pub(crate) fn is_wrapper(&self) -> bool {
        self.count == 2
            && self.payload.is_some()
            && self.schema.is_some_and(|schema| schema.starts_with('{') || schema == "null")
    }

    /// What this is; none: the envelope of a change.
    pub(crate) fn classify(&self) -> Result<Option<Ignored>, DecodeError> {
        let has_source = self.source.is_some_and(Checked::is_object);
        if self.op.is_some_and(|op| op.starts_with('"')) {
            if has_source {
                return Ok(None);
            }
            if self.before.is_some() || self.after.is_some() {
                return Err(DecodeError::NoSource { what: "source block" });
            }
        }
        Ok(Some(if self.is_transaction() {
            Ignored::Transaction
        } else if self.marks.schema_change >= 2 {
            Ignored::SchemaChange
        } else if self.marks.clocks > 0 && self.count == self.marks.clocks {
            Ignored::Heartbeat
        } else if self.is_notification() {
            Ignored::Notification
        } else {
            return Err(DecodeError::Format(self.format()));
        }))
    }

    fn is_transaction(&self) -> bool {
        self.id.is_some() && self.event_count.is_some() && (self.has_status("BEGIN") || self.has_status("END"))
    }

    /// Whether the status that is given is this one.
    pub(crate) fn has_status(&self, status: &str) -> bool {
        self.status.and_then(json::string).as_deref() == Some(status)
    }

    /// A notification, or a signal that came through a topic.
    fn is_notification(&self) -> bool {
        let kind = self.kind.and_then(json::string);
        let is_signal = || kind.as_deref().is_some_and(|kind| SIGNALS.contains(&kind));
        kind.is_some() && self.marks.notification == 2 || self.data.is_some() && self.count <= 3 && is_signal()
    }

    fn format(&self) -> Format {
        let data_is = |start| self.data.is_some_and(|data: &str| data.starts_with(start));
        if self.marks.specversion {
            Format::CloudEvents
        } else if self.kind.is_some() && self.marks.canal {
            Format::Canal
        } else if self.kind.is_some() && data_is('{') {
            Format::Maxwell
        } else if self.kind.is_some() && data_is('[') {
            Format::Canal
        } else if self.marks.dms && (self.data.is_some() || self.count == 1) {
            Format::Dms
        } else if self.marks.flattened {
            Format::Flattened
        } else if self.marks.maxwell {
            Format::Maxwell
        } else {
            Format::Plain
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(json: &str) -> Result<Option<Ignored>, DecodeError> {
        Members::read(json, &Limits::default())?.classify()
    }

    #[test]
    fn records_are_told_by_their_shape() {
        for (json, ignored) in [
            (r#"{"op":"c","source":{},"before":null}"#, None),
            (r#"{"ts_ms":1}"#, Some(Ignored::Heartbeat)),
            (r#"{"ts_ms":1,"ts_us":1,"ts_ns":1}"#, Some(Ignored::Heartbeat)),
            (r#"{"status":"BEGIN","id":"1:2","event_count":null,"ts_ms":1}"#, Some(Ignored::Transaction)),
            (
                r#"{"source":{},"databaseName":"d","ddl":"CREATE TABLE t","tableChanges":[]}"#,
                Some(Ignored::SchemaChange),
            ),
            (r#"{"type":"execute-snapshot","data":{"data-collections":["t"]}}"#, Some(Ignored::Notification)),
            (
                r#"{"id":"x","aggregate_type":"Initial Snapshot","type":"COMPLETED","additional_data":{}}"#,
                Some(Ignored::Notification),
            ),
        ] {
            assert_eq!(classify(json), Ok(ignored), "{json}");
        }
    }

    #[test]
    fn other_formats_are_named() {
        for (json, format) in [
            (r#"{"id":1,"__op":"c","__deleted":"false"}"#, Format::Flattened),
            (r#"{"specversion":"1.0","data":{}}"#, Format::CloudEvents),
            (r#"{"database":"d","table":"t","type":"insert","ts":1,"xid":2,"data":{"id":1}}"#, Format::Maxwell),
            (r#"{"data":[{"id":"1"}],"es":1,"type":"INSERT","isDdl":false,"table":"t"}"#, Format::Canal),
            (r#"{"data":{"id":1},"metadata":{"operation":"insert"}}"#, Format::Dms),
            (r#"{"id":1,"op":"x","status":"BEGIN"}"#, Format::Plain),
            (r#"{"id":1,"type":"x","data":"y","ddl":"z"}"#, Format::Plain),
            ("{}", Format::Plain),
        ] {
            assert_eq!(classify(json), Err(DecodeError::Format(format)), "{json}");
        }
        assert!(matches!(classify(r#"{"op":"c","after":{}}"#), Err(DecodeError::NoSource { .. })));
    }
}
