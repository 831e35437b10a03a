//! Why a record cannot become an event.

use deltafold_event::SchemaError;

use crate::classify::Format;

/// Why a record cannot become an event: what is wrong with it and what to do about it. The record becomes a dead
/// letter with this reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Longer than [`crate::Limits::length_bytes`].
    #[error(
        "the {what} has more than {limit} bytes; if it is one record, the limit on the length of lines has to be raised"
    )]
    TooLong {
        /// The line, the key or the value.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Nested deeper than [`crate::Limits::depth`].
    #[error("the JSON of the {what} is nested more than {limit} deep at byte {at}; nothing that reads it goes deeper")]
    TooDeep {
        /// The line, the key or the value.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// The first byte beyond it, from 0.
        at: usize,
    },
    /// Not UTF-8.
    #[error("byte {at} of the {what} is not UTF-8; if the record is in a binary format, it needs a converter to JSON")]
    Utf8 {
        /// The line, the key or the value.
        what: &'static str,
        /// The first wrong byte, from 0.
        at: usize,
    },
    /// In the framing of a schema registry.
    #[error(
        "the {what} is framed for a schema registry (Avro, Protobuf or JSON Schema), which this version does not read: \
         set the connector's key.converter and value.converter to org.apache.kafka.connect.json.JsonConverter"
    )]
    Framed {
        /// The key or the value.
        what: &'static str,
    },
    /// It ends too early.
    #[error("the {what} ends inside a JSON value, after byte {at}: it was cut off; capture it again, whole")]
    Truncated {
        /// The line, the key or the value.
        what: &'static str,
        /// Its length.
        at: usize,
    },
    /// Not JSON.
    #[error("the {what} is not JSON at byte {at}: {reason}")]
    Json {
        /// The line, the key or the value.
        what: &'static str,
        /// Where, from 0.
        at: usize,
        /// What was expected there.
        reason: &'static str,
    },
    /// JSON, but no object.
    #[error("the value is {found}, not a JSON object; a change event is an object with op, source, before and after")]
    NotAnObject {
        /// What it is.
        found: String,
    },
    /// Another format than Debezium's envelope.
    #[error("not a Debezium change event: it looks like {0}")]
    Format(Format),
    /// An envelope with an operation that nobody knows.
    #[error("the operation \"{0}\" is not known: expected c, u, d, r, t or m")]
    Operation(String),
    /// An envelope without what says where it comes from.
    #[error(
        "the change event has no {what} ; keep the envelope and its source block whole (no transform may drop a part of it)"
    )]
    NoSource {
        /// What is missing.
        what: &'static str,
    },
    /// A connector whose positions are not read yet.
    #[error(
        "the connector \"{0}\" is not supported in this version, whose sources are PostgreSQL, MySQL and MariaDB: its \
         events are kept here and can be retried after an upgrade"
    )]
    Connector(String),
    /// A number of the source block, or of a record's coordinates, that is none or does not fit.
    #[error("{field} is {value}: a position is a whole number from 0 to {max}")]
    Position {
        /// The member.
        field: &'static str,
        /// Its value.
        value: String,
        /// The greatest.
        max: i64,
    },
    /// No usable time.
    #[error("{field} is {value}: a time is a whole number of 64 bits")]
    Time {
        /// The member.
        field: &'static str,
        /// Its value.
        value: String,
    },
    /// No time at all.
    #[error(
        "neither the source block (ts_us, ts_ns, ts_ms) nor the envelope nor the record says when the change was made"
    )]
    NoTime,
    /// A row of an outbox without what every event has.
    #[error(
        "the outbox {table} has no {column}, or it is null: aggregates.TYPE.outbox says which columns hold the id, \
         aggregate_type, aggregate_id, event_type and payload"
    )]
    NoOutboxColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A change without the row it speaks of.
    #[error("the event has the operation {operation} and no row in {member}; the connector must send whole envelopes")]
    NoRow {
        /// The operation's letter.
        operation: &'static str,
        /// `before` or `after`.
        member: &'static str,
    },
    /// A row that is no object.
    #[error("{member} is {found}, not a JSON object of columns")]
    RowNotAnObject {
        /// `before` or `after`.
        member: &'static str,
        /// What it is.
        found: String,
    },
    /// Neither the record nor the configuration gives a key.
    #[error(
        "table {table} has no key in its records, so its rows cannot be told apart: declare one with \
         [aggregates.{aggregate_type}] key = [\"…\"] (or --key {aggregate_type}=…)"
    )]
    NoKey {
        /// The table, as the source names it.
        table: String,
        /// Its aggregate type.
        aggregate_type: String,
    },
    /// A key that has no columns.
    #[error(
        "the record's key is {found}, not a JSON object of key columns: use a JSON converter for keys, or declare the key \
         with [aggregates.{aggregate_type}] key = [\"…\"]"
    )]
    KeyNotAnObject {
        /// What it is.
        found: String,
        /// The aggregate type.
        aggregate_type: String,
    },
    /// A key column without a value.
    #[error("key column {column} of {aggregate_type} is {state} in {member}: {remedy}")]
    NullKey {
        /// The column.
        column: String,
        /// The aggregate type.
        aggregate_type: String,
        /// `null`, `missing`, or a default that stands for nothing.
        state: &'static str,
        /// The record's key, `before` or `after`.
        member: &'static str,
        /// What helps.
        remedy: &'static str,
    },
    /// An aggregate id that no index can hold.
    #[error(
        "the key of this {aggregate_type} is {length} bytes long, and {limit} are the most: declare other key columns \
         under [aggregates.{aggregate_type}]"
    )]
    LongKey {
        /// The aggregate type.
        aggregate_type: String,
        /// Of the id, in bytes.
        length: usize,
        /// [`crate::Limits::aggregate_id_bytes`].
        limit: usize,
    },
    /// A schema that does not say enough.
    #[error("{0}")]
    Schema(#[from] SchemaError),
    /// An aggregate type that would be one of the store's own.
    #[error(
        "table {table} would be the aggregate type \"{aggregate_type}\", and names with $ are the store's own: set \
         [aggregates] name to a template that begins otherwise, as in \"t_{{table}}\""
    )]
    ReservedName {
        /// The table, as the source names it.
        table: String,
        /// What it would be called.
        aggregate_type: String,
    },
}

impl DecodeError {
    /// A short name of the reason that never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::TooDeep { .. } => "too_deep",
            Self::Utf8 { .. } => "invalid_utf8",
            Self::Framed { .. } => "registry_framing",
            Self::Truncated { .. } => "truncated_json",
            Self::Json { .. } => "invalid_json",
            Self::NotAnObject { .. } => "not_an_object",
            Self::Format(_) => "unsupported_format",
            Self::Operation(_) => "unknown_operation",
            Self::NoSource { .. } => "no_source",
            Self::Connector(_) => "unsupported_connector",
            Self::Position { .. } => "position_out_of_range",
            Self::Time { .. } => "time_out_of_range",
            Self::NoTime => "no_time",
            Self::NoRow { .. } => "no_row",
            Self::NoOutboxColumn { .. } => "no_outbox_column",
            Self::RowNotAnObject { .. } => "row_not_an_object",
            Self::NoKey { .. } => "no_key",
            Self::KeyNotAnObject { .. } => "key_not_an_object",
            Self::NullKey { .. } => "null_key",
            Self::LongKey { .. } => "long_key",
            Self::Schema(SchemaError::NoScale(_)) => "decimal_without_scale",
            Self::Schema(_) => "invalid_schema",
            Self::ReservedName { .. } => "reserved_name",
        }
    }

    /// What stands where something else was expected, short enough for a message.
    pub(crate) fn found(raw: &str) -> String {
        let kind = match raw.as_bytes().first() {
            Some(b'"') => "the text ",
            Some(b'[') => "the array ",
            Some(b'{') => "the object ",
            _ => "",
        };
        let mut shown: String = raw.chars().take(40).collect();
        if shown.len() < raw.len() {
            shown.push('…');
        }
        format!("{kind}{shown}")
    }
}
