//! The keys of what a group remembers.
//!
//! | key | value |
//! |---|---|
//! | operator, group, `L` | the record of the newest moments at which the group changed |
//! | operator, group, `M`, call, element | how many there are of a value now |
//! | operator, group, `T`, moment | the record of older moments, of which this is the first |
//!
//! The operator is its number in the plan, in one byte up to 127, else in two with the first bit set; a group is the
//! bytes of its row (`arrow::row`), of which none is the beginning of another; moments have their sign flipped, so that
//! bytes order as what they say.

const NEWEST: u8 = b'L';
const MOMENT: u8 = b'T';
const VALUE: u8 = b'M';

fn begin(operator: u16, kind: u8, group: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(group.len() + 16);
    match u8::try_from(operator) {
        Ok(operator @ ..0x80) => key.push(operator),
        _ => key.extend_from_slice(&(0x8000 | operator).to_be_bytes()),
    }
    key.extend_from_slice(group);
    key.push(kind);
    key
}

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

pub(super) fn at_bytes(at: i64) -> [u8; 8] {
    (at ^ i64::MIN).to_be_bytes()
}

/// The moment that these bytes say.
pub(super) fn at(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

/// The beginning of the keys of all values of a call.
pub(super) fn values(operator: u16, group: &[u8], call: u8) -> Vec<u8> {
    let mut key = begin(operator, VALUE, group);
    key.push(call);
    key
}

/// Above all keys with a beginning.
pub(super) fn end(beginning: &[u8]) -> Vec<u8> {
    let mut end = beginning.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

pub(super) fn count(value: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(value.try_into().ok()?))
}
