//! `deltafold serve`

use clap::Args;

use crate::{cli::Serves, context::Context, kafka_statuses::KafkaStatuses, serving::Serving};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    serves: Serves,
}

impl Serve {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("serve")?;
        Serving::start(context, &self.serves, |_| KafkaStatuses::default()).await?.run().await
    }
}
