//! The versions of one row of a derived view: what became of it, moment by moment.

use std::sync::Arc;

use async_graphql::dynamic::{Field, FieldFuture, FieldValue, Object, ResolverContext, TypeRef};
use deltafold_view::Stored;

use crate::{
    diff,
    errors::ApiError,
    history,
    model::ViewModel,
    page::{self, Page},
    reading::Moment,
};

/// One version, or the row's absence from a moment on.
struct VersionNode {
    view: Arc<ViewModel>,
    before: Option<Box<str>>,
    stored: Stored,
}

/// The field `_history`, of what `of` finds in its parent.
pub(crate) fn field(
    of: impl Fn(&ResolverContext<'_>) -> Option<(Arc<ViewModel>, String, Moment)> + Send + Sync + 'static,
) -> Field {
    let field = Field::new("_history", TypeRef::named_nn("ViewVersionConnection"), move |ctx| {
        let Some((view, key, moment)) = of(&ctx) else { return FieldFuture::Value(None) };
        FieldFuture::new(async move {
            let node = |before, (stored, _)| Ok(VersionNode { view: view.clone(), before, stored });
            let page = history::page_of(&ctx, &view, &key, moment, "_history", node).await;
            page.map(|page| Some(FieldValue::owned_any(page))).map_err(|error| error.into_graphql(&ctx))
        })
    });
    page::arguments(field.description("Its versions, oldest first, with what each changed."))
}

/// The types.
pub(crate) fn objects() -> [Object; 3] {
    let connection = page::connection::<Page<VersionNode>>("ViewVersionConnection", "ViewVersionEdge", "ViewVersion");
    [connection, page::edge::<VersionNode>("ViewVersionEdge", "ViewVersion"), object()]
}

fn object() -> Object {
    Object::new("ViewVersion")
        .description("A row of a derived view from a moment on, until the next version.")
        .field(
            field_of("validFrom", TypeRef::named_nn("DateTime"), |node| {
                Ok(Some(FieldValue::value(node.stored.entry().valid_from.to_string())))
            })
            .description("Since when it is so."),
        )
        .field(
            field_of("state", TypeRef::named("JSON"), |node| {
                let state = node.stored.row().map(|row| diff::state(&node.view, row)).transpose()?;
                Ok(state.map(FieldValue::value))
            })
            .description("The row, by field; null: from then on there was none."),
        )
        .field(
            field_of("changes", TypeRef::named_nn_list_nn("FieldChange"), |node| {
                let changes = diff::changes(&node.view, node.before.as_deref(), node.stored.row())?;
                Ok(Some(FieldValue::list(changes.into_iter().map(FieldValue::owned_any))))
            })
            .description("The fields that differ from the version before."),
        )
}

fn field_of(
    name: &str,
    type_ref: TypeRef,
    of: fn(&VersionNode) -> Result<Option<FieldValue<'static>>, ApiError>,
) -> Field {
    Field::new(name, type_ref, move |ctx| {
        let Some(node) = ctx.parent_value.downcast_ref::<VersionNode>() else { return FieldFuture::Value(None) };
        match of(node) {
            Ok(value) => FieldFuture::Value(value),
            Err(error) => error.into_field(&ctx),
        }
    })
}
