//! Who asks.

use std::sync::Arc;

use async_graphql::Context;

use super::{Right, Rights};
use crate::errors::ApiError;

/// Who asks, and what they may do. Cheap to clone.
///
/// The name goes on record with what a mutation does.
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
