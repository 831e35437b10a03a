//! Where the source says a change stands.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Room for a PostgreSQL position without an allocation, in no more than a `Vec` takes beside its own.
const INLINE_BYTES: usize = 24;

/// An order-preserving encoding of a source position, comparable within one origin and epoch only.
///
/// | source | bytes |
/// |---|---|
/// | PostgreSQL | `P`, `lsn` as u64 |
/// | MySQL, MariaDB | `M`, server id u64, file base UTF-8 and a zero byte, file number u64, `pos` u64, `row` u32 |
///
/// All numbers are big-endian. The empty encoding stands before every other: it is the anchor of what arrives
/// without a position before anything of its aggregate is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourcePosition(#[serde(with = "bytes")] SmallVec<[u8; INLINE_BYTES]>);

/// Where a change stands in the log of a MySQL or MariaDB server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binlog {
    /// The server that wrote it; 0 where the source did not say.
    pub server_id: u64,
    /// The number of the file.
    pub file: u64,
    /// The place in the file.
    pub pos: u64,
    /// The row of the statement.
    pub row: u32,
}

impl SourcePosition {
    /// PostgreSQL's `lsn`.
    pub fn postgres(lsn: u64) -> Self {
        let mut bytes = SmallVec::new();
        bytes.push(b'P');
        bytes.extend_from_slice(&lsn.to_be_bytes());
        Self(bytes)
    }

    /// MySQL's and MariaDB's binlog coordinates. `file` is split into its base and the number after its last
    /// dot (`mysql-bin.000012`): as text, `999999` would stand after `1000000`.
    pub fn binlog(server_id: u64, file: &str, pos: u64, row: u32) -> Self {
        let (base, number) = match file.rsplit_once('.') {
            Some((base, digits)) => match digits.parse::<u64>() {
                Ok(number) => (base, number),
                Err(_) => (file, 0),
            },
            None => (file, 0),
        };
        let mut bytes = SmallVec::with_capacity(base.len() + 30);
        bytes.push(b'M');
        bytes.extend_from_slice(&server_id.to_be_bytes());
        bytes.extend_from_slice(base.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&pos.to_be_bytes());
        bytes.extend_from_slice(&row.to_be_bytes());
        Self(bytes)
    }

    /// The numbers of a binlog position; none of another one.
    pub fn as_binlog(&self) -> Option<Binlog> {
        let (server_id, rest) = self.0.strip_prefix(b"M")?.split_first_chunk()?;
        let (rest, row) = rest.split_last_chunk()?;
        let (rest, pos) = rest.split_last_chunk()?;
        let (_, file) = rest.split_last_chunk()?;
        Some(Binlog {
            server_id: u64::from_be_bytes(*server_id),
            file: u64::from_be_bytes(*file),
            pos: u64::from_be_bytes(*pos),
            row: u32::from_be_bytes(*row),
        })
    }

    /// The bytes as the event table holds them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// From the bytes of the event table.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(SmallVec::from_slice(bytes))
    }

    /// Whether it stands before every other.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Serde as one byte string rather than a sequence of numbers.
mod bytes {
    use std::fmt;

    use serde::{
        Deserializer, Serializer,
        de::{Error, SeqAccess, Visitor},
    };
    use smallvec::SmallVec;

    use super::INLINE_BYTES;

    type Bytes = SmallVec<[u8; INLINE_BYTES]>;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        struct Position;

        impl<'de> Visitor<'de> for Position {
            type Value = Bytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a source position")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(SmallVec::from_slice(bytes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Bytes, A::Error> {
                let mut bytes = SmallVec::new();
                while let Some(byte) = numbers.next_element()? {
                    bytes.push(byte);
                }
                Ok(bytes)
            }
        }

        deserializer.deserialize_bytes(Position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binlog_files_order_by_number() {
        let older = SourcePosition::binlog(1, "bin.999999", 900, 3);
        let newer = SourcePosition::binlog(1, "bin.1000000", 4, 0);
        assert!(older < newer);
        assert!(SourcePosition::default() < older);
    }

    #[test]
    fn binlog_numbers_can_be_read_again() {
        let numbers = Binlog { server_id: 5401, file: 12, pos: 900, row: 3 };
        assert_eq!(SourcePosition::binlog(5401, "mysql-bin.000012", 900, 3).as_binlog(), Some(numbers));
        assert_eq!(SourcePosition::postgres(5).as_binlog(), None);
        assert_eq!(SourcePosition::default().as_binlog(), None);
    }
}
