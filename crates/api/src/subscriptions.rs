//! Subscriptions: a feed tells what there is to push, and for each of that the selection is run as a query would be, on
//! what there is to read by then.

mod changes;
mod events;
mod progress;

use std::sync::Arc;

use async_graphql::{
    Name, Value,
    dynamic::{
        Field, FieldFuture, FieldValue, InputValue, Object, Subscription as Root, SubscriptionField,
        SubscriptionFieldFuture, TypeRef,
    },
    indexmap::IndexMap,
    parser::types::{Field as Selected, OperationType},
};
use futures::stream::{self, Empty};

pub(crate) use self::changes::object;
use self::{changes::ChangeNode, events::EventFeed};
use crate::{
    Api, answer::Answer, api::Asked, auth::Principal, documents::root_fields, errors::ApiError, events::EventNode,
    model::Model, reading::Reading, request::Request, status::ProjectionNode,
};

/// The name of the root type.
pub(crate) const ROOT: &str = "Subscription";

/// What is pushed, under the root field.
pub(crate) enum Pushed {
    Event(EventNode),
    Change(ChangeNode),
    Progress(ProjectionNode),
}

/// What a feed tells.
enum Told {
    Event(Box<deltafold_event::StoredEvent>),
    Change(changes::Change),
    Progress(Arc<str>),
}

impl Told {
    /// As it is shown by what there is to read now; none: it is not there any more.
    fn pushed(self, reading: &Reading) -> Option<Pushed> {
        match self {
            Self::Event(event) => Some(Pushed::Event(EventNode::stored(*event))),
            Self::Change(change) => ChangeNode::of(change, reading).map(Pushed::Change),
            Self::Progress(name) => ProjectionNode::named(&name, reading).map(Pushed::Progress),
        }
    }
}

/// Where that comes from.
enum Feed {
    Events(EventFeed),
    Changes(Box<changes::ChangeFeed>),
    Progress(progress::ProgressFeed),
}

impl Feed {
    /// What comes next, as soon as there is something; none: nothing will come any more.
    async fn next(&mut self, api: &Api) -> Result<Option<Told>, ApiError> {
        match self {
            Self::Events(feed) => Ok(feed.next(api).await?.map(|event| Told::Event(Box::new(event)))),
            Self::Changes(feed) => Ok(feed.next(api).await?.map(Told::Change)),
            Self::Progress(feed) => Ok(feed.next(api).await?.map(Told::Progress)),
        }
    }
}

/// A field of the root.
struct Offered {
    name: String,
    /// The type of what is pushed.
    of: String,
    description: String,
    arguments: Vec<InputValue>,
}

/// The fields of the root.
fn fields(model: &Model) -> Vec<Offered> {
    let mut fields = vec![events::field(), progress::field()];
    fields.extend(model.views.iter().map(|view| changes::field(view)));
    fields
}

/// The root as clients see it.
pub(crate) fn root(model: &Model) -> Root {
    fields(model).into_iter().fold(Root::new(ROOT), |root, Offered { name, of, description, arguments }| {
        let field = SubscriptionField::new(name, TypeRef::named_nn(of), |_| {
            // They are run as queries of the other root.
            SubscriptionFieldFuture::new(async {
                Ok::<Empty<async_graphql::Result<FieldValue<'_>>>, _>(stream::empty())
            })
        });
        root.field(arguments.into_iter().fold(field.description(description), SubscriptionField::argument))
    })
}

/// The root of the schema that is run for each thing that is pushed, which is in the request's data.
pub(crate) fn pushing(model: &Model) -> Object {
    fields(model).into_iter().fold(Object::new(ROOT), |root, Offered { name, of, arguments, .. }| {
        // Null while nothing is pushed yet.
        let field = Field::new(name, TypeRef::named(of), |ctx| {
            FieldFuture::Value(match ctx.ctx.data_unchecked::<Option<Pushed>>() {
                None => None,
                Some(Pushed::Event(node)) => Some(FieldValue::borrowed_any(node)),
                Some(Pushed::Change(node)) => Some(FieldValue::borrowed_any(node)),
                Some(Pushed::Progress(node)) => Some(FieldValue::borrowed_any(node)),
            })
        });
        root.field(arguments.into_iter().fold(field, Field::argument))
    })
}

/// What becomes of a request that may be a subscription.
pub(crate) enum Opened {
    /// It is none: its answer.
    Once(Answer),
    /// It is one.
    Open(Box<Subscription>),
}

/// A subscription that is open.
pub(crate) struct Subscription {
    api: Api,
    principal: Principal,
    asked: Asked,
    feed: Feed,
    is_over: bool,
}

impl Api {
    /// Answers a request, or begins what it subscribes to.
    pub(crate) async fn open(&self, request: Request, principal: &Principal) -> Opened {
        let limit = self.options().limits.timeout;
        match tokio::time::timeout(limit, self.opened(request, principal)).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => Opened::Once(error.into()),
            Err(_) => Opened::Once(ApiError::Timeout { limit_ms: limit.as_millis() as u64 }.into()),
        }
    }

    async fn opened(&self, request: Request, principal: &Principal) -> Result<Opened, ApiError> {
        let began = std::time::Instant::now();
        let asked = self.asked(request, principal).await?;
        if asked.operation().ty != OperationType::Subscription {
            return self.run(asked, principal, began).await.map(Opened::Once);
        }
        let validated = self.push(&asked, None).await?;
        if validated.refusal().is_some() {
            return Ok(Opened::Once(validated));
        }
        let fields = root_fields(asked.document(), asked.operation());
        let [field] = fields.as_slice() else {
            return Err(ApiError::BadRequest("a subscription has one field at its root".to_owned()));
        };
        let feed = self.feed(field, &asked).await?;
        let subscription =
            Subscription { api: self.clone(), principal: principal.clone(), asked, feed, is_over: false };
        Ok(Opened::Open(Box::new(subscription)))
    }

    async fn feed(&self, field: &Selected, asked: &Asked) -> Result<Feed, ApiError> {
        let arguments = arguments(field, asked);
        let name = field.name.node.as_str();
        let view = asked.built().model.views.iter().find(|view| view.names.changed() == name);
        match (view, name) {
            (Some(view), _) => {
                let feed = changes::ChangeFeed::open(self, view, &arguments).await?;
                Ok(Feed::Changes(Box::new(feed)))
            }
            (None, events::NAME) => EventFeed::open(self, &arguments).map(Feed::Events),
            (None, progress::NAME) => progress::ProgressFeed::open(self, &arguments).map(Feed::Progress),
            (None, other) => Err(ApiError::BadRequest(format!("{other} cannot be subscribed to"))),
        }
    }
}

impl Subscription {
    /// What comes next, as soon as there is something; none: nothing will come any more.
    pub(crate) async fn next(&mut self) -> Option<Answer> {
        if self.is_over {
            return None;
        }
        let next = self.pushed().await;
        self.is_over =
            next.as_ref().map_or_else(|_| true, |next| next.as_ref().is_none_or(|next| next.refusal().is_some()));
        next.unwrap_or_else(|error| Some(error.into()))
    }

    async fn pushed(&mut self) -> Result<Option<Answer>, ApiError> {
        let Some(told) = self.feed.next(&self.api).await? else { return Ok(None) };
        let reading = loop {
            let (built, reading) = self.api.reading_now()?;
            if Arc::ptr_eq(&built, self.asked.built()) {
                break reading;
            }
            // What was asked for may not be there any more.
            self.asked = self.api.asked(self.asked.again(), &self.principal).await?;
        };
        let Some(pushed) = told.pushed(&reading) else { return Ok(None) };
        let limit = self.api.options().limits.timeout;
        let run = tokio::time::timeout(limit, self.api.push(&self.asked, Some((pushed, reading)))).await;
        run.unwrap_or(Err(ApiError::Timeout { limit_ms: limit.as_millis() as u64 })).map(Some)
    }
}

/// The arguments of a field with the values of variables. All were checked.
fn arguments(field: &Selected, asked: &Asked) -> IndexMap<Name, Value> {
    let definitions = &asked.operation().variable_definitions;
    let default = |name: &Name| {
        let definition = definitions.iter().find(|definition| definition.node.name.node == *name);
        definition.and_then(|definition| definition.node.default_value.as_ref()).map(|value| value.node.clone())
    };
    let value =
        |name: Name| Ok::<_, ()>(asked.variables().get(&name).cloned().or_else(|| default(&name)).unwrap_or_default());
    let arguments = field.arguments.iter().filter_map(|(name, given)| {
        let given = given.node.clone().into_const_with(value).ok()?;
        (given != Value::Null).then(|| (name.node.clone(), given))
    });
    arguments.collect()
}
