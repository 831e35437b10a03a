//! `projectionProgress`: what becomes of a projection.

use std::{sync::Arc, time::Duration};

use async_graphql::{
    Name, Value,
    dynamic::{InputValue, TypeRef},
    indexmap::IndexMap,
};
use deltafold_projector::Catalog;
use tokio::{sync::watch, time::timeout};

use super::Offered;
use crate::{
    Api, CommandError,
    errors::ApiError,
    status::{ProjectionNode, ProjectionState},
};

pub(super) const NAME: &str = "projectionProgress";

/// How often a build is looked at, which tells nobody when it has come further.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub(super) fn field() -> Offered {
    let description = "The projection, now and whenever its state changes or its build has come further. It is not told \
                       of every commit: whoever comes back is told the state there is.";
    let name = InputValue::new("name", TypeRef::named_nn(TypeRef::STRING)).description("The view's name.");
    let (of, description, arguments) = ("Projection".to_owned(), description.to_owned(), vec![name]);
    Offered { name: NAME.to_owned(), of, description, arguments }
}

/// A projection's changes of state.
pub(super) struct ProgressFeed {
    name: Arc<str>,
    told: Option<ProjectionState>,
    catalog: watch::Receiver<Arc<Catalog>>,
}

impl ProgressFeed {
    pub(super) fn open(api: &Api, arguments: &IndexMap<Name, Value>) -> Result<Self, ApiError> {
        let Some(Value::String(name)) = arguments.get("name") else {
            return Err(ApiError::input("projectionProgress.name", "a name", "nothing"));
        };
        let (_, reading) = api.reading_now()?;
        if ProjectionNode::named(name, &reading).is_none() {
            return Err(ApiError::Command(CommandError::NotFound(format!("there is no projection {name}"))));
        }
        Ok(Self { name: name.as_str().into(), told: None, catalog: api.catalog() })
    }

    pub(super) async fn next(&mut self, api: &Api) -> Result<Option<Arc<str>>, ApiError> {
        loop {
            // What comes from here on is looked at next time.
            self.catalog.mark_unchanged();
            let (_, reading) = api.reading_now()?;
            let Some(projection) = ProjectionNode::named(&self.name, &reading) else { return Ok(None) };
            let state = projection.state(&reading);
            if self.told.as_ref() != Some(&state) {
                self.told = Some(state);
                return Ok(Some(self.name.clone()));
            }
            drop(reading);
            if let Ok(Err(_)) = timeout(LOOK_EVERY, self.catalog.changed()).await {
                return Ok(None);
            }
        }
    }
}
