//! How far a file was read.

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, RollingDigest};

/// A place in a file, with a digest of all before it: what a `$file` event holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Bytes before it, decompressed.
    pub bytes: u64,
    /// The digest of those bytes.
    pub digest: Digest,
    /// Line ends among them. A last line without an end is not counted, so that the line which follows it when
    /// the file has grown has the number it would have had.
    pub lines: u64,
}

impl Mark {
    /// Before the first byte.
    pub fn start() -> Self {
        Self { bytes: 0, digest: RollingDigest::new().digest(), lines: 0 }
    }
}
