//! Who asks.

use std::sync::Arc;

use async_graphql::Context;

use super::{Right, Rights};
use crate::errors::ApiError;

/// Who does on record what the owner of the data does.
const LOCAL: &str = "local";
/// Who does on record what the configuration does (`on_reset = "continue"`): never anybody who asks.
const CONFIGURATION: &str = "configuration";

/// Who asks, and what they may do. Cheap to clone.
///
/// The name goes on record with what a mutation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    name: Arc<str>,
    rights: Rights,
}

impl Principal {
    /// The most bytes of a name.
    pub(crate) const NAME_BYTES: usize = 256;

    /// Whoever has a token of this name; none if the name is [not one](Self::is_name).
    pub(crate) fn with_token(name: &str, rights: Rights) -> Option<Self> {
        Self::is_name(name).then(|| Self { name: name.into(), rights })
    }

    /// Whoever is on this machine, where no authentication is configured: the owner of the data, who may do everything.
    pub fn local() -> Self {
        Self { name: LOCAL.into(), rights: Rights::ALL }
    }

    /// Whether a token may have this name: one that can be put on record, and read there, for nobody else's.
    pub(crate) fn is_name(name: &str) -> bool {
        let is_readable = !name.is_empty() && name.len() <= Self::NAME_BYTES && !name.contains(char::is_control);
        is_readable && ![LOCAL, CONFIGURATION].contains(&name)
    }

    /// Whoever asks for the mutation that is being run.
    ///
    /// # Errors
    /// When nobody is known to: then it is not run, rather than in the owner's name.
    pub(crate) fn of(ctx: &Context<'_>) -> Result<Self, ApiError> {
        let who = ctx.data_opt::<Self>().cloned();
        who.ok_or_else(|| ApiError::internal("principal", "a mutation without one"))
    }

    /// The name: of a token its name in the file, of a JWT its subject.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether they have a right.
    pub fn may(&self, right: Right) -> bool {
        self.rights.allow(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_s_name_is_readable_and_nobody_else_s() {
        for name in ["ci", "auth0|5f7c8ec7c33c6c004bbafe82", "Jürgen Groß", "locals", &"x".repeat(256)] {
            assert!(Principal::is_name(name), "{name}");
        }
        for name in ["", "local", "configuration", "a\nb", "a\u{1b}[2J", "a\u{85}b", &"x".repeat(257)] {
            assert!(!Principal::is_name(name), "{name:?}");
        }
        assert!(!Principal::is_name(Principal::local().name()));
    }
}
