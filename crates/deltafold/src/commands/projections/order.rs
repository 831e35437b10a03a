//! `deltafold projections rebuild | cancel | pause | resume | skip`

use clap::Args;
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    context::Context,
    output::{self, shown},
};

/// What can be ordered, and the mutation that does.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Cancel,
    Pause,
    Resume,
    Swap,
    Undo,
}

impl Order {
    fn mutation(self) -> &'static str {
        match self {
            Self::Cancel => "cancelRebuild",
            Self::Pause => "pauseProjection",
            Self::Resume => "resumeProjection",
            Self::Swap => "swapProjection",
            Self::Undo => "undoRebuild",
        }
    }

    fn told(self) -> &'static str {
        match self {
            Self::Cancel => "stays as it is shown: what was being built is given up",
            Self::Pause => "is left as it is",
            Self::Resume => "goes on",
            Self::Swap => "is shown as it was built",
            Self::Undo => "is shown again as it was before",
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Named {
    /// The projection
    name: String,
    /// Why: it stays on record
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Rebuild {
    #[command(flatten)]
    named: Named,
    /// Do not show it yet: `diff` compares, `swap` shows it
    #[arg(long)]
    hold: bool,
}

impl Rebuild {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let document = "mutation ($name: String!, $reason: String, $hold: Boolean) {
            rebuildProjection(name: $name, reason: $reason, hold: $hold) { name position }
        }";
        let variables = json!({ "name": self.named.name, "reason": self.named.reason, "hold": self.hold });
        say(context, document, variables, "rebuildProjection", "is built anew").await
    }
}

#[derive(Debug, Args)]
pub(super) struct Skip {
    /// The projection
    name: String,
    /// The event that could not be folded, as `projections list` names it
    event: String,
    /// Why: it stays on record
    #[arg(long)]
    reason: String,
}

impl Named {
    pub(super) async fn run(self, order: Order, context: &Context) -> anyhow::Result<()> {
        let mutation = order.mutation();
        let document = format!(
            "mutation ($name: String!, $reason: String) {{ {mutation}(name: $name, reason: $reason) {{ name position }} }}"
        );
        let variables = json!({ "name": self.name, "reason": self.reason });
        say(context, &document, variables, mutation, order.told()).await
    }
}

impl Skip {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let document = "mutation ($name: String!, $event: ID!, $reason: String!) {
            skipEvent(name: $name, event: $event, reason: $reason) { name position }
        }";
        let variables = json!({ "name": self.name, "event": self.event, "reason": self.reason });
        say(context, document, variables, "skipEvent", "goes on without that event").await
    }
}

async fn say(context: &Context, document: &str, variables: Value, mutation: &str, told: &str) -> anyhow::Result<()> {
    let answers = Answers::open(context).await?;
    let data = answers.data(document, variables).await;
    let settled = match &data {
        Ok(_) => answers.settled().await,
        Err(_) => Ok(()),
    };
    answers.close().await;
    let said = data?[mutation].take();
    settled?;
    if context.json() {
        return output::json(&said);
    }
    let [name, position] = ["name", "position"].map(|part| shown(&said[part]));
    Ok(output::line(format_args!("{name} {told}: on record at position {position}"))?)
}
