//! `deltafold vacuum`

use serde_json::json;

use crate::{context::Context, failures::OrExit, output};

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    context.refuse_url("vacuum")?;
    let store = context.open_existing_store().await?;
    let report = store.vacuum().await.or_exit()?;
    if context.json() {
        return output::json(&json!({
            "files": report.files,
            "bytes": report.bytes,
            "logEntries": report.log.entries,
            "checkpoints": report.log.checkpoints,
            "frontier": report.log.frontier.to_string(),
        }));
    }
    Ok(output::line(format_args!(
        "{} files of {} bytes, {} log entries and {} checkpoints removed",
        report.files,
        output::count(report.bytes),
        report.log.entries,
        report.log.checkpoints,
    ))?)
}
