//! Mutations: one file for each group of them, all of the same form. The root field says what it takes, calls its
//! [`crate::Commands`] with the name of who asks, and gives back what was done.

mod dead_letters;

use std::sync::Arc;

use async_graphql::dynamic::{Object, ResolverContext};

use crate::{commands::Commands, origins};

/// The root type's name.
pub(crate) const ROOT: &str = "Mutation";

/// The root type.
pub(crate) fn root() -> Object {
    dead_letters::fields().into_iter().chain(origins::mutations()).fold(Object::new(ROOT), Object::field)
}

/// The types.
pub(crate) fn objects() -> [Object; 2] {
    dead_letters::objects()
}

/// What does it, for the request that is being answered.
fn commands<'a>(ctx: &ResolverContext<'a>) -> &'a Arc<dyn Commands> {
    ctx.ctx.data_unchecked::<Arc<dyn Commands>>()
}
