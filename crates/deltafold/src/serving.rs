//! What `run` and `serve` share: a data directory that is folded, answered from and taken care of.

use deltafold_projector::Publisher;
use deltafold_store::EventStore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{
    cli::Serves,
    config::{Config, Flags, Loaded},
    context::Context,
    definitions,
    engine::Engine,
    kafka_statuses::KafkaStatuses,
    server::Server,
    shutdown,
};

/// A server with everything behind it, until Ctrl-C.
pub(crate) struct Serving {
    pub(crate) loaded: Loaded,
    pub(crate) store: EventStore,
    /// How the sources are doing that this process reads.
    pub(crate) sources: KafkaStatuses,
    /// Ends it.
    pub(crate) cancel: CancellationToken,
    server: Server,
    engine: Engine,
    care: JoinHandle<()>,
    publisher: Option<Publisher>,
}

impl Serving {
    /// Binds the address, opens the store and the index, and begins to fold; `reads` says which sources this process reads.
    pub(crate) async fn start(
        context: &Context,
        serves: &Serves,
        reads: impl FnOnce(&Config) -> KafkaStatuses,
    ) -> anyhow::Result<Self> {
        let mut flags = Flags::default();
        serves.set(&mut flags);
        let loaded = context.config(&flags)?;
        let cancel = shutdown::on_ctrl_c();
        let server = Server::bind(&loaded.config.http).await?;
        let store = context.open_store().await?;
        let sources = reads(&loaded.config);
        let engine =
            Engine::start(&loaded.config.index.of(&context.data()), &store, &loaded.config, sources.clone()).await?;
        let care = tokio::spawn({
            let (store, cancel) = (store.clone(), cancel.clone());
            async move { store.maintain(cancel).await }
        });
        let publisher = loaded.config.publisher(&context.data()).map(|options| engine.publish(options)).transpose()?;
        Ok(Self { loaded, store, sources, cancel, server, engine, care, publisher })
    }

    /// Answers until cancelled, and stops what was started.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let definitions = definitions::of(&self.loaded.config)?;
        let following = tokio::spawn({
            let (store, cancel) = (self.store.clone(), self.cancel.clone());
            let folder = self.loaded.config.projections.dir.clone();
            definitions::follow(store, folder, definitions.clone(), cancel)
        });
        let defining = async {
            if let Some(definitions) = &definitions
                && let Err(error) = self.engine.define(definitions).await
            {
                tracing::error!(%error, "definitions cannot be put on record");
            }
        };
        let (served, ()) = tokio::join!(self.server.run(&self.engine, self.cancel.clone()), defining);
        self.cancel.cancel();
        following.await?;
        if let Some(publisher) = self.publisher {
            publisher.stop().await;
        }
        self.engine.stop().await;
        self.care.await?;
        served
    }
}
