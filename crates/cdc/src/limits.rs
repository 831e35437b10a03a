//! What is too much.

/// Limits on what is read; what is beyond them is a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line or value.
    pub length_bytes: usize,
    /// The deepest nesting of JSON arrays and objects; at most 127, which is where the readers of what is stored
    /// stop as well.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { length_bytes: 32 << 20, depth: 127 }
    }
}
