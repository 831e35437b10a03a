//! `deltafold run`

use clap::Args;

use crate::{
    cli::Serves, commands::ingest::configured, context::Context, kafka_statuses::KafkaStatuses, serving::Serving,
};

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    serves: Serves,
}

impl Run {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("run")?;
        let serving = Serving::start(context, &self.serves, KafkaStatuses::of).await?;
        let sources = tokio::spawn({
            let (store, loaded, cancel) = (serving.store.clone(), serving.loaded.clone(), serving.cancel.clone());
            let statuses = serving.sources.clone();
            async move {
                // Where this fails, or panics, nothing more comes in: that is not a state to go on in unnoticed.
                let stop = cancel.clone().drop_guard();
                let ended = configured(&store, &loaded, &statuses, &cancel).await;
                if let Ok(summary) = &ended {
                    tracing::info!(
                        appended = summary.appended,
                        dead_letters = summary.dead_letters,
                        "sources read to their ends"
                    );
                    stop.disarm();
                }
                ended
            }
        });
        let served = serving.run().await;
        let ingested = sources.await?;
        served?;
        ingested?;
        Ok(())
    }
}
