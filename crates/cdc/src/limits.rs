//! What is too much.

use crate::DecodeError;

/// Limits on what is read; what is beyond them is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line or value.
    pub length_bytes: usize,
    /// The deepest nesting of JSON arrays and objects; at most 127, which is where the readers of what is stored
    /// stop as well.
    pub depth: usize,
    /// The longest aggregate id: each is part of the keys of an index, and those have an end.
    pub aggregate_id_bytes: usize,
}

impl Limits {
    /// Refuses an aggregate id that is too long.
    pub(crate) fn check_id(&self, id: &str, aggregate_type: &str) -> Result<(), DecodeError> {
        if id.len() <= self.aggregate_id_bytes {
            return Ok(());
        }
        Err(DecodeError::LongKey {
            aggregate_type: aggregate_type.to_owned(),
            length: id.len(),
            limit: self.aggregate_id_bytes,
        })
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { length_bytes: 32 << 20, depth: 127, aggregate_id_bytes: 16 << 10 }
    }
}
