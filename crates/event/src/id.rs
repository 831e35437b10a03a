//! Event ids.

use std::{fmt, io::Write, str::FromStr};

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};
use xxhash_rust::xxh3::xxh3_128;

/// The id of an event: a UUID v5 of its identity at its source, so that a change has the same id each time it
/// is delivered (`fold.md`, "Identity"). It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// From the sixteen bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The sixteen bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Collects the bytes of an identity: the kind, then the fields, each a u32 big-endian length and UTF-8;
/// numbers are decimal text, null is the length 2³²−1.
#[derive(Debug, Clone)]
pub struct Identity(Vec<u8>);

impl Identity {
    /// Of a log event or a logical message. Fields: connector, server, database, schema, table, raw position
    /// (PostgreSQL: lsn; MySQL, MariaDB: server id, file, pos, row), transaction, operation, digest of before,
    /// digest of after.
    pub fn log() -> Self {
        Self::of_kind("log")
    }

    /// Of a snapshot row, and of anything else without a position. Fields: source, topic, partition, offset,
    /// digest of the value.
    pub fn read() -> Self {
        Self::of_kind("read")
    }

    /// Of a domain event. Fields: aggregate type, its own id.
    pub fn domain() -> Self {
        Self::of_kind("domain")
    }

    fn of_kind(kind: &str) -> Self {
        let identity = Self(Vec::with_capacity(256));
        identity.text(Some(kind))
    }

    /// Appends a text field, or null.
    #[must_use]
    pub fn text(mut self, field: Option<&str>) -> Self {
        match field {
            Some(text) => {
                self.0.extend_from_slice(&(text.len() as u32).to_be_bytes());
                self.0.extend_from_slice(text.as_bytes());
            }
            None => self.0.extend_from_slice(&u32::MAX.to_be_bytes()),
        }
        self
    }

    /// Appends a number as decimal text.
    #[must_use]
    pub fn number(mut self, field: impl Into<i128>) -> Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        let number = field.into();
        match i64::try_from(number) {
            Ok(short) => write!(self.0, "{short}"),
            Err(_) => write!(self.0, "{number}"),
        }
        .expect("a Vec takes all bytes");
        let length = (self.0.len() - start - 4) as u32;
        self.0[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self
    }

    /// Appends the digest of exact bytes, or null: xxh3-128 as 32 hex digits.
    #[must_use]
    pub fn digest(mut self, bytes: Option<&[u8]>) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let Some(bytes) = bytes else { return self.text(None) };
        self.0.extend_from_slice(&32_u32.to_be_bytes());
        for byte in xxh3_128(bytes).to_be_bytes() {
            self.0.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xF)]]);
        }
        self
    }

    /// The id of what was collected.
    pub fn id(&self) -> EventId {
        // `Uuid::new_v5` does the same with a slower SHA-1.
        let digest = Sha1::new().chain_update(namespace().as_bytes()).chain_update(&self.0).finalize();
        let bytes = *digest.first_chunk::<16>().expect("SHA-1 has twenty bytes");
        EventId(Builder::from_sha1_bytes(bytes).into_uuid())
    }
}

/// `v5(DNS, "deltafold")`, computed once.
fn namespace() -> Uuid {
    static NAMESPACE: std::sync::OnceLock<Uuid> = std::sync::OnceLock::new();
    *NAMESPACE.get_or_init(|| Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"deltafold"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_as_the_uuid_crates() {
        let identity = Identity::domain().text(Some("x")).number(-5).digest(Some(b"y")).text(None);
        assert_eq!(identity.id().0, Uuid::new_v5(&namespace(), &identity.0));
    }

    /// Frozen: an id that changes would make every known event a new one.
    #[test]
    fn ids_never_change() {
        let log = Identity::log()
            .text(Some("postgresql"))
            .text(Some("shop"))
            .text(Some("shop"))
            .text(Some("public"))
            .text(Some("orders"))
            .number(26_492_464)
            .text(Some("730"))
            .text(Some("c"))
            .digest(None)
            .digest(Some(br#"{"id":1}"#));
        let read = Identity::read().text(Some("file")).text(Some("orders")).number(0).number(17).digest(Some(b"{}"));
        let domain = Identity::domain().text(Some("orders")).text(Some("order-1"));
        // Computed by a Python of a dozen lines from the documented bytes (hashlib, uuid, xxhash).
        assert_eq!(log.id().to_string(), "9c16b559-642f-5d78-8edd-14f17bdb70fa");
        assert_eq!(read.id().to_string(), "23f058ae-12b6-5ce3-a0c7-347ba5f8e06f");
        assert_eq!(domain.id().to_string(), "e7b290fb-4832-5ecc-8acc-7ca880718745");
    }
}
