//! Mutations: one file for each group of them, all of the same form. The root field says what it takes, calls its
//! [`crate::Commands`] with who asks, and gives back what was done.

mod append;
mod dead_letters;
mod new_epoch;
mod projections;

use std::sync::Arc;

use async_graphql::dynamic::{InputObject, Object, ResolverContext};

use crate::commands::Commands;

/// The root type's name.
pub(crate) const ROOT: &str = "Mutation";

/// The root type.
pub(crate) fn root() -> Object {
    let fields = append::fields().into_iter().chain(dead_letters::fields());
    let fields = fields.chain(new_epoch::fields()).chain(projections::fields());
    fields.fold(Object::new(ROOT), Object::field)
}

/// The types.
pub(crate) fn objects() -> impl Iterator<Item = Object> {
    dead_letters::objects().into_iter().chain([append::object(), new_epoch::object(), projections::object()])
}

/// The input types.
pub(crate) fn inputs() -> impl Iterator<Item = InputObject> {
    append::inputs().into_iter()
}

/// What does it, for the request that is being answered.
fn commands<'a>(ctx: &ResolverContext<'a>) -> &'a Arc<dyn Commands> {
    ctx.ctx.data_unchecked::<Arc<dyn Commands>>()
}
