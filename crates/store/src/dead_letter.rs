//! Records that could not become events.

use deltafold_event::Timestamp;

/// A record that could not be decoded, whole, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The source's name in the configuration; `file` for files.
    pub source: String,
    /// The topic; for a line of a file, the file's app id.
    pub topic: String,
    /// The partition; 0 for a line of a file.
    pub partition: i32,
    /// The offset; for a line of a file its number, from 1.
    pub offset: i64,
    /// The file's name, when it was one.
    pub file: Option<String>,
    /// The line in it, from 1.
    pub line: Option<u64>,
    /// The record's key, as it came.
    pub key: Option<Vec<u8>>,
    /// The record's value, as it came.
    pub value: Option<Vec<u8>>,
    /// A JSON array of name, value, name, value; empty text when there were none.
    pub headers: String,
    /// A stable name of the reason.
    pub code: String,
    /// The reason, for a person, with what to do.
    pub reason: String,
    /// When it was set aside.
    pub recorded_at: Timestamp,
}

/// Which dead letters to list; an empty filter takes all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// Of this source only.
    pub source: Option<String>,
    /// Of this topic only.
    pub topic: Option<String>,
    /// With this code only.
    pub code: Option<String>,
    /// Numbers greater than this one only.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: Option<usize>,
}
