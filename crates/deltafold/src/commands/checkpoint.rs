//! `deltafold checkpoint`

use serde_json::json;

use crate::{context::Context, failures::OrExit, output};

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    context.refuse_url("checkpoint")?;
    let store = context.open_existing_store().await?;
    let report = store.checkpoint().await.or_exit()?;
    if context.json() {
        return output::json(&json!({ "events": report.events_version, "deadLetters": report.dead_letters_version }));
    }
    Ok(output::line(format_args!(
        "checkpoints written: events at version {}, dead letters at version {}",
        report.events_version, report.dead_letters_version
    ))?)
}
