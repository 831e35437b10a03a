//! What is in the keys of entries.

use deltafold_event::Timestamp;

use super::{Index, Kind};
use crate::{ReadError, key};

/// What is in one.
pub(super) struct Entry<'k> {
    pub(super) values: Vec<&'k [u8]>,
    /// Escaped.
    pub(super) id: &'k [u8],
    pub(super) values_and_id: &'k [u8],
}

impl Index {
    /// Since when it was so, in a key of an entry for ever.
    pub(super) fn since(&self, key: &[u8]) -> Option<Timestamp> {
        let is_ever = key.get(self.prefix(None).len()) == Some(&(Kind::Ever as u8));
        let (front, _) = key.split_at_checked(key.len().checked_sub(2 * self.columns.len())?)?;
        is_ever.then(|| front.last_chunk().map(|since| Timestamp::from_bytes(*since))).flatten()
    }
}

impl<'k> Entry<'k> {
    pub(super) fn of(index: &Index, key: &'k [u8]) -> Result<Self, ReadError> {
        let read = || {
            let (front, lens) = key.split_at_checked(key.len().checked_sub(2 * index.columns.len())?)?;
            let (prefix, rest) = front.split_at_checked(index.prefix(Some(Kind::Now)).len())?;
            let is_ever = *prefix.last()? == Kind::Ever as u8;
            let values_and_id = if is_ever { rest.split_last_chunk::<8>()?.0 } else { rest };
            let mut rest = values_and_id;
            let mut values = Vec::with_capacity(index.columns.len());
            for len in lens.chunks_exact(2) {
                let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes(len.try_into().ok()?)))?;
                values.push(value);
                rest = after;
            }
            Some(Self { values, id: rest.get(..rest.len().checked_sub(2)?)?, values_and_id })
        };
        read().ok_or_else(|| damaged(key))
    }

    pub(super) fn id(&self) -> Result<Box<str>, ReadError> {
        key::unescaped(self.id).ok_or_else(|| damaged(self.values_and_id))
    }
}

fn damaged(key: &[u8]) -> ReadError {
    ReadError::Corrupt(format!("a key of {} bytes is none of an index", key.len()))
}
