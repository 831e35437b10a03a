//! What there is and how far it has come: `projections`, `store`.

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::{
    Value,
    dynamic::{Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, TypeRef},
};
use deltafold_projector::{Progress, ProjectionInfo};
use deltafold_view::At;

use crate::{
    errors::ApiError,
    model::ViewModel,
    reading::{Moment, Reading, last_before},
    row, scalars,
};

/// The root fields.
pub(crate) fn fields() -> [Field; 3] {
    [
        Field::new("projections", TypeRef::named_nn_list_nn("Projection"), |ctx| {
            let projections = all(Reading::of(ctx.ctx)).into_values();
            FieldFuture::Value(Some(FieldValue::list(projections.map(FieldValue::owned_any))))
        })
        .description("All projections: what each is called here, and how far it has come."),
        Field::new("projection", TypeRef::named("Projection"), |ctx| {
            let name = ctx.args.get("name").and_then(|name| name.string().ok()).unwrap_or_default();
            let found = ProjectionNode::named(name, Reading::of(ctx.ctx));
            FieldFuture::Value(found.map(FieldValue::owned_any))
        })
        .description("The projection of this name; null if there is none.")
        .argument(InputValue::new("name", TypeRef::named_nn(TypeRef::STRING)).description("The view's name.")),
        Field::new("store", TypeRef::named_nn("Store"), |_| FieldFuture::Value(Some(FieldValue::owned_any(StoreNode))))
            .description("The event store."),
    ]
}

/// The types.
pub(crate) fn objects() -> [Object; 4] {
    [projection(), build(), column(), store()]
}

/// A projection: a mirror, or a definition with what has come of it.
pub(crate) struct ProjectionNode {
    name: Arc<str>,
    /// What it produces, as soon as that is there.
    view: Option<Arc<ViewModel>>,
    definition: Option<Arc<ProjectionInfo>>,
}

impl ProjectionNode {
    /// The projection of this name, if there is one.
    pub(crate) fn named(name: &str, reading: &Reading) -> Option<Self> {
        all(reading).remove(name)
    }

    /// What changes of it but by what is folded.
    pub(crate) fn state(&self, reading: &Reading) -> ProjectionState {
        let definition = self.definition.as_ref();
        ProjectionState {
            status: status(self, reading),
            problem: definition.and_then(|definition| definition.problem.clone()),
            shown: self.view.as_ref().map(|view| view.info.generation),
            ready: definition.and_then(|definition| definition.ready),
            build: definition.and_then(|definition| definition.building.as_ref()).map(|building| building.progress()),
        }
    }
}

/// What has come of a projection, as far as it does not change with every commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectionState {
    status: &'static str,
    problem: Option<String>,
    shown: Option<u32>,
    ready: Option<u32>,
    build: Option<Progress>,
}

fn all(reading: &Reading) -> BTreeMap<Arc<str>, ProjectionNode> {
    let of_view = |view: &Arc<ViewModel>| {
        let name = Arc::clone(&view.info.name);
        (Arc::clone(&name), ProjectionNode { name, view: Some(Arc::clone(view)), definition: None })
    };
    let mut all: BTreeMap<Arc<str>, ProjectionNode> = reading.model.views.iter().map(of_view).collect();
    for definition in &reading.catalog.projections {
        let node = ProjectionNode { name: Arc::clone(&definition.name), view: None, definition: None };
        let node = all.entry(Arc::clone(&definition.name)).or_insert(node);
        // One that bears a mirror's name says so, and is not that mirror.
        if node.view.as_ref().is_none_or(|view| !view.is_mirror()) {
            node.definition = Some(Arc::clone(definition));
        }
    }
    all
}

/// A column of a projection.
struct ColumnNode {
    view: Arc<ViewModel>,
    index: usize,
}

fn status(node: &ProjectionNode, reading: &Reading) -> &'static str {
    let lags = || if reading.lag_ms() == 0 { "live" } else { "catching_up" };
    match &node.definition {
        _ if reading.catalog.failure.is_some() => "stopped",
        None => lags(),
        Some(definition) => match &**definition {
            ProjectionInfo { is_paused: true, .. } => "paused",
            ProjectionInfo { is_live: true, .. } => lags(),
            ProjectionInfo { building: Some(_), .. } => "building",
            ProjectionInfo { problem: Some(_), generation: Some(_), .. } => "stopped",
            _ => "waiting",
        },
    }
}

fn projection() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&ProjectionNode, &Reading) -> Option<Value>| {
        Field::new(name, type_ref, move |ctx| {
            FieldFuture::from_value(node(&ctx).and_then(|node| of(node, Reading::of(ctx.ctx))))
        })
    };
    let text = || TypeRef::named(TypeRef::STRING);
    Object::new("Projection")
        .description("A definition of what a view contains, and the view it produces.")
        .field(field("name", TypeRef::named_nn(TypeRef::STRING), |node, _| Some(Value::from(&*node.name))))
        .field(
            field("removedAt", TypeRef::named("DateTime"), |node, _| {
                node.definition.as_ref()?.removed.map(|removed| removed.to_string().into())
            })
            .description("When its definition was removed: the view is shown for some time more."),
        )
        .field(
            field("kind", TypeRef::named_nn(TypeRef::STRING), |node, _| {
                Some(if node.definition.is_none() { "mirror" } else { "derived" }.into())
            })
            .description(
                "mirror: the rows of one aggregate type; derived: what a definition makes of the rows of such types.",
            ),
        )
        .field(
            field("status", TypeRef::named_nn(TypeRef::STRING), |node, reading| Some(status(node, reading).into()))
                .description(
                    "live; catching_up; building, nothing being shown yet; paused; stopped, which error explains; or \
                     waiting for what its definition names.",
                ),
        )
        .field(
            field("error", text(), |node, reading| {
                let stopped = || "folding has stopped; the server's log says why".to_owned();
                let problem = || node.definition.as_ref().and_then(|definition| definition.problem.clone());
                reading.catalog.failure.as_ref().map(|_| stopped()).or_else(problem).map(Value::from)
            })
            .description("Why it has stopped, or cannot be folded as things are."),
        )
        .field(
            field("definition", text(), |node, _| Some(Value::from(&*node.definition.as_ref()?.sql)))
                .description("The text of its file; null of a mirror."),
        )
        .field(
            Field::new("build", TypeRef::named("ProjectionBuild"), |ctx| {
                let progress =
                    node(&ctx).and_then(|node| Some(node.definition.as_ref()?.building.as_ref()?.progress()));
                FieldFuture::Value(progress.map(FieldValue::owned_any))
            })
            .description("How far the next generation is, while one is being built."),
        )
        .field(
            field("checkpoint", TypeRef::named_nn("Position"), |_, reading| {
                Some(reading.position().to_string().into())
            })
            .description("The last position it has folded."),
        )
        .field(
            field("lagMs", TypeRef::named_nn(TypeRef::INT), |_, reading| Some(reading.lag_ms().into()))
                .description("How long ago it held all that there is; 0 while it does."),
        )
        .field(
            field("generation", TypeRef::named(TypeRef::INT), |node, _| {
                Some(node.view.as_ref()?.info.generation.into())
            })
            .description("Which build of its view is shown."),
        )
        .field(
            field("historyStart", TypeRef::named("DateTime"), |node, reading| {
                let start = reading.catalog.view(&node.name)?.history_start?;
                Some(start.to_string().into())
            })
            .description("The first moment known of it: before, absence means unknown."),
        )
        .field(
            Field::new("rows", TypeRef::named("BigInt"), |ctx| {
                let Some(view) = view(&ctx).cloned() else { return FieldFuture::Value(None) };
                FieldFuture::new(async move {
                    let count = rows(Reading::of(ctx.ctx), &view).await;
                    let count = count.map_err(|error| error.into_graphql(&ctx))?;
                    Ok(Some(Value::from(count.to_string())))
                })
            })
            .description("How many rows it has now; counted when asked for."),
        )
        .field(
            field("typeName", text(), |node, _| Some(node.view.as_ref()?.names.row.as_str().into()))
                .description("Its rows' type in GraphQL."),
        )
        .field(
            field("listField", text(), |node, _| Some(node.view.as_ref()?.names.list.as_str().into()))
                .description("The root field of its list."),
        )
        .field(
            field("byKeyField", text(), |node, _| Some(node.view.as_ref()?.names.by_key().into()))
                .description("The root field of one row."),
        )
        .field(
            Field::new("key", TypeRef::named_nn_list_nn("ProjectionColumn"), |ctx| {
                let key = view(&ctx).map(|view| columns(view, view.key.iter().copied()));
                FieldFuture::Value(Some(key.unwrap_or_else(|| FieldValue::list(Vec::<Value>::new()))))
            })
            .description("The columns of its key, in order: the arguments of the root field of one row."),
        )
        .field(
            Field::new("columns", TypeRef::named_nn_list_nn("ProjectionColumn"), |ctx| {
                let all = view(&ctx).map(|view| columns(view, 0..view.columns().len()));
                FieldFuture::Value(Some(all.unwrap_or_else(|| FieldValue::list(Vec::<Value>::new()))))
            })
            .description("Its columns, with the names they have in GraphQL."),
        )
}

/// How far a generation is built.
fn build() -> Object {
    let field = |name: &str, of: fn(&Progress) -> u64| {
        Field::new(name, TypeRef::named_nn("BigInt"), move |ctx| {
            let progress = ctx.parent_value.downcast_ref::<Progress>();
            FieldFuture::from_value(progress.map(|progress| of(progress).to_string().into()))
        })
    };
    Object::new("ProjectionBuild")
        .description("A generation of a view that is being built beside the one that is shown.")
        .field(field("aggregates", |progress| progress.aggregates).description("How many aggregates are folded."))
        .field(
            field("ofAggregates", |progress| progress.of_aggregates)
                .description("How many there were when it began; those that change meanwhile are folded again."),
        )
}

fn columns<'a>(view: &Arc<ViewModel>, indices: impl Iterator<Item = usize>) -> FieldValue<'a> {
    FieldValue::list(indices.map(|index| FieldValue::owned_any(ColumnNode { view: view.clone(), index })))
}

fn node<'a>(ctx: &ResolverContext<'a>) -> Option<&'a ProjectionNode> {
    ctx.parent_value.downcast_ref::<ProjectionNode>()
}

fn view<'a>(ctx: &ResolverContext<'a>) -> Option<&'a Arc<ViewModel>> {
    node(ctx)?.view.as_ref()
}

async fn rows(reading: &Reading, view: &ViewModel) -> Result<usize, ApiError> {
    let [position, _] = reading.whole(&view.info.name)?;
    let at = At { position, ..At::NOW };
    // One that has stopped in the middle may be shown as of before what is still kept of it.
    reading.enter(view, Moment { at, is_past: false }, "projection.rows").await?;
    let reader = reading.reader(view, position);
    let counted =
        tokio::task::spawn_blocking(move || reader.scan(at).try_fold(0_usize, |count, row| row.map(|_| count + 1)));
    match counted.await {
        Ok(Ok(count)) => Ok(count),
        Ok(Err(error)) => Err(ApiError::internal("rows", error)),
        Err(error) => Err(ApiError::internal("rows", error)),
    }
}

fn column() -> Object {
    let field = |name: &str, of: fn(&ViewModel, usize) -> String| {
        Field::new(name, TypeRef::named_nn(TypeRef::STRING), move |ctx| {
            let node = ctx.parent_value.downcast_ref::<ColumnNode>();
            FieldFuture::from_value(node.map(|node| of(&node.view, node.index).into()))
        })
    };
    Object::new("ProjectionColumn")
        .field(field("name", |view, index| view.columns()[index].name.clone()).description("Its name at the source."))
        .field(field("field", |view, index| view.names.columns[index].clone()).description("Its name in GraphQL."))
        .field(
            field("type", |view, index| view.type_of(index).to_string())
                .description("Its type, as it would be declared: decimal(12,2), timestamptz, text[]."),
        )
        .field(
            field("graphqlType", |view, index| row::output_type(view.type_of(index)).to_string())
                .description("Its type in GraphQL."),
        )
        .field(
            field("scalar", |view, index| scalars::of_type(view.type_of(index)).to_owned())
                .description("The scalar of its values: what an argument for it has."),
        )
}

/// The event store: everything about it is in the reading.
struct StoreNode;

fn store() -> Object {
    let field = |name: &str, type_ref: TypeRef, of: fn(&Reading) -> Value| {
        Field::new(name, type_ref, move |ctx| FieldFuture::from_value(Some(of(Reading::of(ctx.ctx)))))
    };
    Object::new("Store")
        .description("The event store.")
        .field(
            field("events", TypeRef::named_nn("BigInt"), |reading| {
                reading.log.store().event_count().to_string().into()
            })
            .description("How many events it holds, each delivery counted."),
        )
        .field(field("deadLetters", TypeRef::named_nn("BigInt"), |reading| {
            reading.log.store().dead_letter_count().to_string().into()
        }))
        .field(
            field("position", TypeRef::named_nn("Position"), |reading| {
                last_before(reading.log.store().high_water_mark()).to_string().into()
            })
            .description("The last position that is safe to read."),
        )
}
