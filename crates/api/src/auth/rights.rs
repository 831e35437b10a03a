//! What a token allows.

use std::{fmt, str::FromStr};

/// What may be done. None of them implies another but [`Right::Admin`], which implies all: what only appends need
/// not see what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To ask: queries, the schema, the console, readiness, metrics.
    Read,
    /// To append events, and to try dead letters again, which appends what they have become.
    Append,
    /// Everything else that changes something: epochs, rebuilds, discarded dead letters.
    Admin,
}

impl Right {
    const ALL: [Self; 3] = [Self::Read, Self::Append, Self::Admin];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Append => "append",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of rights. As text its names, separated by commas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u8);

impl Rights {
    /// Every right.
    pub const ALL: Self = Self::NONE.with(Right::Read).with(Right::Append).with(Right::Admin);
    /// No right.
    pub const NONE: Self = Self(0);

    /// These and one more.
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | 1 << right as u8)
    }

    /// Whether this right is among them, or implied.
    pub const fn allow(self, right: Right) -> bool {
        let is_admin = self.0 & 1 << Right::Admin as u8 != 0;
        is_admin || self.0 & 1 << right as u8 != 0
    }

    /// The rights among these words; other words mean nothing here.
    pub(crate) fn among<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        words.into_iter().filter_map(right).fold(Self::NONE, Self::with)
    }
}

impl FromStr for Rights {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, UnknownRight> {
        let mut each = text.split(',').map(|word| right(word).ok_or_else(|| UnknownRight(word.to_owned())));
        each.try_fold(Self::NONE, |rights, right| right.map(|right| rights.with(right)))
    }
}

fn right(word: &str) -> Option<Right> {
    Right::ALL.into_iter().find(|right| right.name() == word)
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Right::ALL.into_iter().filter(|right| self.0 & 1 << *right as u8 != 0).map(Right::name);
        f.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

/// A word that names no right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no right {0:?}: expected read, append or admin, separated by commas")]
pub struct UnknownRight(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_admin_implies_others() {
        let allowed = |rights: &str| {
            let rights: Rights = rights.parse().unwrap();
            Right::ALL.map(|right| rights.allow(right))
        };
        assert_eq!(allowed("read"), [true, false, false]);
        assert_eq!(allowed("append"), [false, true, false]);
        assert_eq!(allowed("append,read"), [true, true, false]);
        assert_eq!(allowed("admin"), [true, true, true]);
        assert_eq!(Right::ALL.map(|right| Rights::NONE.allow(right)), [false; 3]);
    }

    #[test]
    fn rights_are_written_as_they_are_read() {
        for text in ["read", "append", "read,append", "admin", "read,append,admin"] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), text);
        }
        assert_eq!(
            "read,write".parse::<Rights>().unwrap_err().to_string(),
            "there is no right \"write\": expected read, append or admin, separated by commas"
        );
        assert!("".parse::<Rights>().is_err());
        assert_eq!(Rights::among(["openid", "append", "profile"]), Rights::NONE.with(Right::Append));
    }
}
