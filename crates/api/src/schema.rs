//! The GraphQL schema of a catalog.

use std::sync::Arc;

use async_graphql::{
    SDLExportOptions, ValidationMode,
    dynamic::{Object, Schema, SchemaBuilder},
};

use crate::{
    aggregate, as_of, by_key, dead_letters, errors::ApiError, events, filter, groups, history, list,
    measures::ReadKinds, model::Model, mutations, order, origins, page, permission, projection_diff, row, scalars,
    sources, status, versions,
};

/// A model with its schema.
#[derive(Debug)]
pub(crate) struct Built {
    /// The names.
    pub(crate) model: Arc<Model>,
    /// Validates documents; for those that were not seen before.
    pub(crate) strict: Schema,
    /// Takes documents as valid; for those that were.
    pub(crate) fast: Schema,
    /// What kinds of read there are.
    pub(crate) kinds: ReadKinds,
    /// Tells this schema from others.
    pub(crate) number: u64,
}

impl Built {
    /// Builds the schema of a model.
    ///
    /// # Errors
    /// When the names clash, or a mutation declares no right: they never do.
    pub(crate) fn new(model: Arc<Model>, introspection: bool, number: u64) -> Result<Self, ApiError> {
        let finish = |mode: ValidationMode| {
            // Depth and cost are limited before, with the sizes of pages (`limits`).
            let builder = register(&model).validation_mode(mode);
            let builder = if introspection { builder } else { builder.disable_introspection() };
            builder.finish().map_err(|error| ApiError::internal("schema", error))
        };
        let (strict, fast) = (finish(ValidationMode::Strict)?, finish(ValidationMode::Fast)?);
        permission::check_schema(strict.registry())?;
        Ok(Self { strict, fast, kinds: ReadKinds::new(&model), model, number })
    }

    /// The schema definition, in a stable order.
    pub(crate) fn sdl(&self) -> String {
        self.strict.sdl_with_options(SDLExportOptions::new().use_space_ident())
    }
}

fn register(model: &Model) -> SchemaBuilder {
    let [event, events] = events::fields();
    let mut query = Object::new("Query");
    for view in &model.views {
        query = query.field(by_key::field(view)).field(list::field(view)).field(groups::field(view));
    }
    query = query.field(event).field(events).field(aggregate::field());
    query = query.field(sources::field()).field(projection_diff::field());
    query = status::fields().into_iter().chain(dead_letters::fields()).fold(query, Object::field);

    let mut schema = Schema::build("Query", Some(mutations::ROOT), None)
        .register(as_of::input())
        .register(order::directions())
        .register(dead_letters::states());
    schema = scalars::all().fold(schema, SchemaBuilder::register);
    let objects = [page::page_info(), row::version_object(), aggregate::object()]
        .into_iter()
        .chain(history::objects())
        .chain(versions::objects())
        .chain(events::objects())
        .chain(status::objects())
        .chain(projection_diff::objects())
        .chain(sources::objects())
        .chain(origins::objects())
        .chain(dead_letters::objects())
        .chain(mutations::objects())
        .chain([mutations::root()]);
    schema = objects.fold(schema, SchemaBuilder::register);
    let columns = || model.views.iter().flat_map(|view| view.columns()).map(|column| &column.column_type);
    let inputs = events::inputs().into_iter().chain(dead_letters::inputs()).chain(filter::column_inputs(columns()));
    schema = inputs.fold(schema, SchemaBuilder::register);
    for view in &model.views {
        schema = schema.register(row::object(view)).register(filter::view_input(view));
        if order::has_order(view) {
            schema = schema.register(order::view_input(view));
        }
        let objects = list::objects(view).into_iter().chain(groups::objects(view));
        schema = objects.fold(schema, SchemaBuilder::register);
        schema = groups::group_by(view).into_iter().fold(schema, SchemaBuilder::register);
    }
    schema.register(query)
}
