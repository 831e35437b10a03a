//! The keys of what a side of a join remembers.
//!
//! | key | value |
//! |---|---|
//! | operator, key, `J` | which rows there are now, if they are few, and until when others were |
//! | operator, key, `O`, digest | where they are many: one of them |
//! | operator, key, `C`, end, digest | a row that was there until a moment |
//!
//! The key is what has to be equal on both sides; the digest is that of the row: the first half of its SHA-256.

use sha2::{Digest, Sha256};

use crate::fold::keys::{at_bytes, begin};

const NOW: u8 = b'J';
const OPEN: u8 = b'O';
const CLOSED: u8 = b'C';

pub(super) fn now(operator: u16, key: &[u8]) -> Vec<u8> {
    begin(operator, NOW, key)
}

/// The beginning of the keys of all rows that there are now.
pub(super) fn all_open(operator: u16, key: &[u8]) -> Vec<u8> {
    begin(operator, OPEN, key)
}

pub(super) fn open(operator: u16, key: &[u8], row: &[u8]) -> Vec<u8> {
    let mut of_row = all_open(operator, key);
    of_row.extend_from_slice(&digest(row));
    of_row
}

/// The beginning of the keys of all rows that were there.
pub(super) fn all_closed(operator: u16, key: &[u8]) -> Vec<u8> {
    begin(operator, CLOSED, key)
}

/// The beginning of those of all that were there until a moment.
pub(super) fn closed_at(operator: u16, key: &[u8], end: i64) -> Vec<u8> {
    let mut of_moment = all_closed(operator, key);
    of_moment.extend_from_slice(&at_bytes(end));
    of_moment
}

pub(super) fn closed(operator: u16, key: &[u8], end: i64, row: &[u8]) -> Vec<u8> {
    let mut of_row = closed_at(operator, key, end);
    of_row.extend_from_slice(&digest(row));
    of_row
}

/// The key of a row in a part that begins with a digest.
pub(super) fn open_from(operator: u16, key: &[u8], digest: [u8; 16]) -> Vec<u8> {
    let mut from = all_open(operator, key);
    from.extend_from_slice(&digest);
    from
}

/// The moment until which the row of a key was there, where [`all_closed`] is so long.
pub(super) fn end_of(beginning: usize, key: &[u8]) -> Option<i64> {
    key.get(beginning..)?.first_chunk().map(|bytes| crate::fold::keys::at(*bytes))
}

pub(super) fn digest(row: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(row).into();
    *digest.first_chunk().expect("it is longer")
}
