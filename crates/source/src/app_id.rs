//! How a file is called in the store.

use std::{fmt, sync::Arc};

use crate::digest::{Digest, RollingDigest};

/// The id under which the store remembers how far a file was read: `file/` and the digest of its first line, then
/// `#2`, `#3`… for files that begin alike but differ later.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(Arc<str>);

impl AppId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, to be shared.
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The `number`th file, from 1, whose first line has this digest.
    pub(crate) fn of(first_line: Digest, number: u32) -> Self {
        match number {
            1 => Self(format!("file/{first_line}").into()),
            _ => Self(format!("file/{first_line}#{number}").into()),
        }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The digest of a first line. White space at its end is left out, so that the id does not change when a first line that was read
/// without its end gets one.
pub(crate) fn first_line_digest(line: &[u8]) -> Digest {
    let mut digest = RollingDigest::new();
    digest.update(line.trim_ascii_end());
    digest.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_files_with_the_same_beginning_get_numbers() {
        let digest = first_line_digest(b"{}");
        assert_eq!(AppId::of(digest, 1).as_str(), format!("file/{digest}"));
        assert_eq!(AppId::of(digest, 2).as_str(), format!("file/{digest}#2"));
    }

    #[test]
    fn the_end_of_the_line_is_no_part_of_it() {
        assert_eq!(first_line_digest(b"{\"id\":1}"), first_line_digest(b"{\"id\":1}\r"));
        assert_ne!(first_line_digest(b"{\"id\":1}"), first_line_digest(b"{\"id\":2}"));
    }
}
