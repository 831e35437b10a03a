//! A record as Kafka gives it.

use crate::Headers;

/// One record of a topic, or one line of a file brought into that shape.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The topic; for a line of a file that names none, the file's app id.
    pub topic: &'a str,
    /// The partition; 0 for such a line.
    pub partition: i32,
    /// The offset; for such a line its number.
    pub offset: i64,
    /// The broker's or producer's time, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The key's bytes.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; none is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers.
    pub headers: Headers<'a>,
}
