//! The keys of what operators remember: the operator, of what it is remembered, what it is, and more.
//!
//! The operator is its number in the plan, in one byte up to 127, else in two with the first bit set. What something is
//! remembered of is the bytes of a row (`arrow::row`), of which none is the beginning of another. Moments have their sign
//! flipped, so that bytes order as what they say.

/// How each of them begins.
pub(super) fn begin(operator: u16, kind: u8, of: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(of.len() + 32);
    match u8::try_from(operator) {
        Ok(operator @ ..0x80) => key.push(operator),
        _ => key.extend_from_slice(&(0x8000 | operator).to_be_bytes()),
    }
    key.extend_from_slice(of);
    key.push(kind);
    key
}

/// The operator that remembers something under a key, and where in the key what comes after it begins.
pub fn operator_of(key: &[u8]) -> Option<(u16, usize)> {
    match key {
        [operator @ ..0x80, ..] => Some((u16::from(*operator), 1)),
        [first, second, ..] => Some((u16::from_be_bytes([*first, *second]) & !0x8000, 2)),
        _ => None,
    }
}

/// A moment, microseconds.
pub(super) fn at_bytes(at: i64) -> [u8; 8] {
    (at ^ i64::MIN).to_be_bytes()
}

/// The moment that these bytes say.
pub(super) fn at(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
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
