//! Who asks.

use std::sync::Arc;

use super::{Right, Rights};

/// Who asks, and what they may do. Cheap to clone.
///
/// A mutation finds it in its context (`ctx.data::<Principal>()`), to write who did it into the events it makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    name: Arc<str>,
    rights: Rights,
}

impl Principal {
    /// One of this name.
    pub fn new(name: impl Into<Arc<str>>, rights: Rights) -> Self {
        Self { name: name.into(), rights }
    }

    /// Whoever is on this machine, where no authentication is configured: the owner of the data, who may do everything.
    pub fn local() -> Self {
        Self::new("local", Rights::ALL)
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
