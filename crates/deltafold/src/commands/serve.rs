//! `deltafold serve`

use clap::Args;

use crate::{cli::Listen, context::Context, serving::Serving};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    listen: Listen,
}

impl Serve {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("serve")?;
        Serving::start(context, &self.listen).await?.run().await
    }
}
