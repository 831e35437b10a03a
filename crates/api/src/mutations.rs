//! Mutations: one file for each group of them, all of the same form. The root field says what it takes, calls its
//! [`crate::Commands`] with who asks, and gives back what was done.

mod dead_letters;
mod new_epoch;
mod projections;

use std::sync::Arc;

use async_graphql::dynamic::{Object, ResolverContext};

use crate::commands::Commands;

/// The root type's name.
pub(crate) const ROOT: &str = "Mutation";

/// The root type.
pub(crate) fn root() -> Object {
    let fields = dead_letters::fields().into_iter().chain(new_epoch::fields()).chain(projections::fields());
    fields.fold(Object::new(ROOT), Object::field)
}

/// The types.
pub(crate) fn objects() -> impl Iterator<Item = Object> {
    dead_letters::objects().into_iter().chain([new_epoch::object(), projections::object()])
}

/// What does it, for the request that is being answered.
fn commands<'a>(ctx: &ResolverContext<'a>) -> &'a Arc<dyn Commands> {
    ctx.ctx.data_unchecked::<Arc<dyn Commands>>()
}
