//! `deltafold compact`

use serde_json::json;

use crate::{context::Context, failures::OrExit, output};

pub(crate) async fn run(context: &Context) -> anyhow::Result<()> {
    context.refuse_url("compact")?;
    let store = context.open_existing_store().await?;
    let report = store.compact().await.or_exit()?;
    if context.json() {
        return output::json(&json!({
            "merged": report.merged,
            "written": report.written,
            "events": report.events,
            "bytesBefore": report.bytes_before,
            "bytesAfter": report.bytes_after,
        }));
    }
    Ok(output::line(format_args!(
        "{} files with {} events became {}; {} bytes became {}",
        report.merged,
        output::count(report.events),
        report.written,
        output::count(report.bytes_before),
        output::count(report.bytes_after),
    ))?)
}
