//! `deltafold serve`

use clap::Args;

use crate::{cli::Listen, context::Context, kafka_statuses::KafkaStatuses, serving::Serving};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,
}

impl Serve {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("serve")?;
        Serving::start(context, &self.listen, |_| KafkaStatuses::default()).await?.run().await
    }
}
