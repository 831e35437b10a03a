//! What must not be shown.

use std::{fmt, str::FromStr};

/// A secret that JWTs are signed with; not shown when it is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A secret that can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a secret of at least {} bytes, found {found}", Secret::LEAST_BYTES)]
pub struct WeakSecret {
    found: usize,
}

impl Secret {
    /// The fewest bytes: as many as HS256's hash has (<https://www.rfc-editor.org/rfc/rfc7518#section-3.2>).
    pub const LEAST_BYTES: usize = 32;

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl FromStr for Secret {
    type Err = WeakSecret;

    fn from_str(text: &str) -> Result<Self, WeakSecret> {
        match text.len() {
            found if found < Self::LEAST_BYTES => Err(WeakSecret { found }),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
