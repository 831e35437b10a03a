//! `deltafold serve`

use clap::Args;

use crate::{cli::Listen, config::Flags, context::Context, engine::Engine, server::Server, shutdown};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,
}

impl Serve {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("serve")?;
        let mut flags = Flags::default();
        self.listen.set(&mut flags);
        let loaded = context.config(&flags)?;
        let cancel = shutdown::on_ctrl_c();
        let server = Server::bind(loaded.config.http.listen).await?;
        let store = context.open_store().await?;
        let engine = Engine::start(&context.data(), &store, loaded.config.aggregates.declared()).await?;
        let care = tokio::spawn({
            let cancel = cancel.clone();
            async move { store.maintain(cancel).await }
        });
        let served = server.run(&engine, cancel.clone()).await;
        cancel.cancel();
        engine.stop().await;
        care.await?;
        served
    }
}
