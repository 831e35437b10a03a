//! Places in files as offsets of the store.

/// A place in a file, in bytes, as the store keeps it.
pub(crate) fn offset_of(bytes: u64) -> i64 {
    i64::try_from(bytes).expect("no file has 2^63 bytes")
}
