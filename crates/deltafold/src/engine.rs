//! The system inside this process: the store, the views folded from it, and the GraphQL executor over them.

use std::{io, path::Path, sync::Arc};

use deltafold_api::Api;
use deltafold_projector::{Projector, Publisher, PublisherOptions};
use deltafold_store::EventStore;
use deltafold_view::{OpenError, ViewStore};
use serde_json::Value;

use crate::{
    config::Config,
    definitions::{self, Definitions},
    event_schemas::EventSchemas,
    exit::{Exit, Failure},
    failures::OrExit,
    kafka_statuses::KafkaStatuses,
    operations::Operations,
};

/// Everything that answers, from one store and an index of it.
pub(crate) struct Engine {
    store: EventStore,
    views: ViewStore,
    projector: Projector,
    api: Api,
}

impl Engine {
    /// Opens the index and begins to fold what it has not. `sources` are those that this process reads.
    pub(crate) async fn start(
        index: &Path,
        store: &EventStore,
        config: &Config,
        sources: KafkaStatuses,
    ) -> Result<Self, Failure> {
        let views = open_views(index)?;
        let options = config.projector();
        let projector = Projector::start(store.clone(), views.clone(), options).await.or_exit()?;
        let schemas = EventSchemas::read(&config.aggregates).map_err(|error| Failure::new(Exit::Usage, error))?;
        let operations = Arc::new(Operations::new(store.clone(), config.clone(), schemas));
        let (catalog, sources) = (projector.watch(), Arc::new(sources));
        let options = deltafold_api::Options { relations: config.relations(), ..config.http.api() };
        let api = Api::new(store.clone(), views.clone(), catalog, operations, sources, options)
            .map_err(|error| Failure::new(Exit::Failed, error))?;
        Ok(Self { store: store.clone(), views, projector, api })
    }

    /// Waits until everything in the store is folded.
    pub(crate) async fn caught_up(&self) -> Result<(), Failure> {
        self.projector.caught_up().await.or_exit()?;
        Ok(())
    }

    /// Says which definitions there are, as soon as it is known which there were.
    pub(crate) async fn define(&self, definitions: &Definitions) -> Result<(), Failure> {
        let catalog = self.projector.caught_up().await.or_exit()?;
        definitions::define(&self.store, &catalog, definitions).await.or_exit()
    }

    /// Waits until all views are built that can be.
    pub(crate) async fn built(&self) -> Result<(), Failure> {
        self.projector.built().await.or_exit()?;
        Ok(())
    }

    /// Begins to publish views as Delta tables.
    pub(crate) fn publish(&self, options: PublisherOptions) -> io::Result<Publisher> {
        Publisher::start(self.views.clone(), self.projector.watch(), options)
    }

    /// What answers.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }

    /// The response to a GraphQL request, an object with `query` and `variables`.
    pub(crate) async fn execute(&self, request: Value) -> Value {
        self.api.execute(request).await
    }

    /// Ends folding; what was folded is on disk, what was not will be folded next time. The process is about to end, too.
    pub(crate) async fn stop(self) {
        drop(self.api);
        self.projector.stop().await;
        if let Err(error) = self.views.leave_open() {
            tracing::warn!(%error, "what was folded last may have to be folded again");
        }
    }
}

/// Opens the index; a damaged one is emptied, to be folded again.
fn open_views(index: &Path) -> Result<ViewStore, Failure> {
    match ViewStore::open(index, deltafold_view::Options::default()) {
        Err(OpenError::Corrupt { reason, .. }) => {
            tracing::warn!(index = %index.display(), "the index is damaged ({reason}); it is folded again from the store");
            ViewStore::reset(index).or_exit()?;
            ViewStore::open(index, deltafold_view::Options::default()).or_exit()
        }
        Err(error @ OpenError::Locked { .. }) => Err(Failure::new(
            Exit::Unavailable,
            format!("{error} http://HOST:PORT; or give this process an index of its own with --index DIR"),
        )),
        other => other.or_exit(),
    }
}
