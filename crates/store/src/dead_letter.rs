//! Records that could not become events.

use std::{fmt, str::FromStr};

use deltafold_event::{EventId, Identity, Timestamp, control};

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
    /// The broker's or producer's time, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// The record's key, as it came.
    pub key: Option<Vec<u8>>,
    /// The record's value, as it came; of a line of a file the whole line.
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

/// What a dead letter is known by, whatever its number in this store: the digest of where it was read and of what.
/// It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(EventId);

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LetterId {
    type Err = <EventId as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl DeadLetter {
    /// What it is known by. Its coordinates alone would not do: a topic that is made again counts from 0 again, and a
    /// last line that was cut off may be set aside once more when it has grown.
    pub fn id(&self) -> LetterId {
        let identity = Identity::domain()
            .text(Some(control::DEAD_LETTER))
            .text(Some(&self.source))
            .text(Some(&self.topic))
            .number(self.partition)
            .number(self.offset)
            .digest(self.key.as_deref())
            .digest(self.value.as_deref());
        LetterId(identity.id())
    }

    /// About how many bytes it takes in memory.
    pub fn size_bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + length(&self.key) + length(&self.value) + self.headers.len() + self.reason.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frozen: an id that changes would open letters again that are settled.
    #[test]
    fn ids_never_change() {
        let letter = DeadLetter {
            source: "shop".into(),
            topic: "shop.public.orders".into(),
            partition: 2,
            offset: 17,
            file: None,
            line: None,
            timestamp_ms: Some(1),
            key: Some(b"{}".to_vec()),
            value: None,
            headers: String::new(),
            code: "no_key".into(),
            reason: "because".into(),
            recorded_at: Timestamp::from_micros(0),
        };
        assert_eq!(letter.id().to_string(), "1b561c2d-5a9a-565e-99fb-f94feae26615");
        assert_eq!(letter.id().to_string().parse(), Ok(letter.id()));
        let later = DeadLetter { code: "other".into(), recorded_at: Timestamp::from_micros(9), ..letter.clone() };
        assert_eq!(later.id(), letter.id());
        assert_ne!(DeadLetter { value: Some(Vec::new()), ..letter.clone() }.id(), letter.id());
    }
}
