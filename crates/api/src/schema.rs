//! The GraphQL schema of a catalog.

use std::sync::{Arc, OnceLock};

use async_graphql::{
    SDLExportOptions, ValidationMode,
    dynamic::{Object, Schema, SchemaBuilder},
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    aggregate, as_of, by_key, dead_letters, differences, errors::ApiError, events, filter, groups, history, list,
    measures::ReadKinds, model::Model, mutations, order, origins, page, permission, pinned::Roots, projection_diff,
    relations, row, scalars, sources, status, subscriptions, versions,
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
    /// Its root is what may be subscribed to: run for each thing that is pushed.
    pub(crate) pushing: Schema,
    /// What kinds of read there are.
    pub(crate) kinds: ReadKinds,
    /// Tells this schema from others.
    pub(crate) number: u64,
    /// Which root fields have answers that may stay as they are.
    pub(crate) roots: Roots,
    fingerprint: OnceLock<u64>,
}

impl Built {
    /// Builds the schema of a model.
    ///
    /// # Errors
    /// When the names clash, or a mutation declares no right: they never do.
    pub(crate) fn new(model: Arc<Model>, introspection: bool, number: u64) -> Result<Self, ApiError> {
        let finish = |mode: ValidationMode| {
            // Depth and cost are limited before, with the sizes of pages (`limits`).
            let root = Schema::build("Query", Some(mutations::ROOT), Some(subscriptions::ROOT));
            let builder = register(root, &model).register(query(&model)).register(subscriptions::root(&model));
            let builder = if introspection { builder } else { builder.disable_introspection() };
            builder.validation_mode(mode).finish().map_err(|error| ApiError::internal("schema", error))
        };
        let (strict, fast) = (finish(ValidationMode::Strict)?, finish(ValidationMode::Fast)?);
        permission::check_schema(strict.registry())?;
        let pushing = register(Schema::build(subscriptions::ROOT, Some(mutations::ROOT), None), &model)
            .register(subscriptions::pushing(&model))
            .finish()
            .map_err(|error| ApiError::internal("schema of subscriptions", error))?;
        Ok(Self {
            strict,
            fast,
            pushing,
            kinds: ReadKinds::new(&model),
            roots: Roots::new(&model),
            model,
            number,
            fingerprint: OnceLock::new(),
        })
    }

    /// A digest of the schema definition, alike for every server that has the same.
    pub(crate) fn fingerprint(&self) -> u64 {
        *self.fingerprint.get_or_init(|| xxh3_64(self.sdl().as_bytes()))
    }

    /// The schema definition, in a stable order.
    pub(crate) fn sdl(&self) -> String {
        self.strict.sdl_with_options(SDLExportOptions::new().use_space_ident())
    }
}

fn query(model: &Model) -> Object {
    let [event, events] = events::fields();
    let mut query = Object::new("Query");
    for view in &model.views {
        let fields = [by_key::field(view), list::field(view), groups::field(view), differences::field(view)];
        query = fields.into_iter().map(|field| view.root(field)).fold(query, Object::field);
    }
    query = query.field(event).field(events).field(aggregate::field());
    query = query.field(sources::field()).field(projection_diff::field());
    status::fields().into_iter().chain(dead_letters::fields()).fold(query, Object::field)
}

/// Registers everything but the roots that are read from.
fn register(mut schema: SchemaBuilder, model: &Model) -> SchemaBuilder {
    schema = schema.register(as_of::input()).register(order::directions()).register(dead_letters::states());
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
    let inputs = events::inputs()
        .into_iter()
        .chain(dead_letters::inputs())
        .chain(mutations::inputs())
        .chain(filter::column_inputs(columns()));
    schema = inputs.fold(schema, SchemaBuilder::register);
    for view in &model.views {
        let object = relations::fields(view, &model.relations).into_iter().fold(row::object(view), Object::field);
        schema = schema.register(object).register(filter::view_input(view));
        if order::has_order(view) {
            schema = schema.register(order::view_input(view));
        }
        let objects = list::objects(view).into_iter().chain(groups::objects(view)).chain([subscriptions::object(view)]);
        let objects = objects.chain(differences::objects(view));
        schema = objects.fold(schema, SchemaBuilder::register);
        schema = groups::group_by(view).into_iter().fold(schema, SchemaBuilder::register);
    }
    schema
}

#[cfg(test)]
mod tests {
    use async_graphql::registry::MetaType;

    use super::*;
    use crate::names;

    /// A view that came first would take a name away from it otherwise.
    #[test]
    fn what_is_ours_is_reserved() {
        let built = Built::new(Arc::new(Model { views: Vec::new(), relations: Vec::new() }), true, 0).unwrap();
        let registry = built.strict.registry();
        let ours = registry.types.keys().filter(|name| !name.starts_with("__"));
        let free: Vec<&String> = ours.filter(|name| !names::is_reserved_type(name)).collect();
        assert!(free.is_empty(), "these belong into TYPES: {free:?}");
        for root in ["Query", subscriptions::ROOT] {
            let Some(MetaType::Object { fields, .. }) = registry.types.get(root) else { panic!("{root} is no object") };
            let ours = fields.keys().filter(|name| !name.starts_with("__"));
            let free: Vec<&String> = ours.filter(|name| !names::is_reserved_root(name)).collect();
            assert!(free.is_empty(), "these belong into ROOT_FIELDS: {free:?}");
        }
    }
}
