//! `deltafold run`

use clap::Args;

use crate::{
    cli::Listen, commands::ingest::configured, config::Flags, context::Context, engine::Engine, server::Server,
    shutdown,
};

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    listen: Listen,
}

impl Run {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("run")?;
        let mut flags = Flags::default();
        self.listen.set(&mut flags);
        let loaded = context.config(&flags)?;
        let cancel = shutdown::on_ctrl_c();
        let server = Server::bind(loaded.config.http.listen).await?;
        let store = context.open_store().await?;
        let engine = Engine::start(&context.data(), &store, loaded.config.aggregates.declared()).await?;
        let care = tokio::spawn({
            let (store, cancel) = (store.clone(), cancel.clone());
            async move { store.maintain(cancel).await }
        });
        let sources = tokio::spawn({
            let cancel = cancel.clone();
            async move {
                let ended = configured(&store, &loaded, &cancel).await;
                match &ended {
                    Ok(summary) => tracing::info!(
                        appended = summary.appended,
                        dead_letters = summary.dead_letters,
                        "sources read to their ends"
                    ),
                    // Nothing more comes in: that is not a state to go on in unnoticed.
                    Err(_) => cancel.cancel(),
                }
                ended
            }
        });
        let served = server.run(&engine, cancel.clone()).await;
        cancel.cancel();
        let ingested = sources.await?;
        engine.stop().await;
        care.await?;
        served?;
        ingested?;
        Ok(())
    }
}
