//! The keys of what a group remembers.
//!
//! | key | value |
//! |---|---|
//! | operator, group, `L` | the record of the newest moments at which the group changed |
//! | operator, group, `M`, call, element | how many there are of a value now |
//! | operator, group, `T`, moment | the record of older moments, of which this is the first |
//!
//! A group is the bytes of its row (`arrow::row`), of which none is the beginning of another.

pub(super) use crate::fold::keys::{at, at_bytes, begin, end};

const NEWEST: u8 = b'L';
const MOMENT: u8 = b'T';
const VALUE: u8 = b'M';

pub(super) fn newest(operator: u16, group: &[u8]) -> Vec<u8> {
    begin(operator, NEWEST, group)
}

/// The beginning of the keys of all records of older moments.
pub(super) fn moments(operator: u16, group: &[u8]) -> Vec<u8> {
    begin(operator, MOMENT, group)
}

pub(super) fn moment(operator: u16, group: &[u8], at: i64) -> Vec<u8> {
    let mut key = moments(operator, group);
    key.extend_from_slice(&at_bytes(at));
    key
}

/// The beginning of the keys of all values of a call.
pub(super) fn values(operator: u16, group: &[u8], call: u8) -> Vec<u8> {
    let mut key = begin(operator, VALUE, group);
    key.push(call);
    key
}

pub(super) fn count(value: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(value.try_into().ok()?))
}
