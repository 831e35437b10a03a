//! `deltafold sources [list]`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use deltafold_event::control;
use deltafold_ingest::FileMark;
use serde_json::{Value, json};

use crate::{context::Context, failures::OrExit, output};

#[derive(Debug, Args)]
pub(crate) struct Sources {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum What {
    /// One line for each
    List,
}

impl Sources {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        context.refuse_url("sources")?;
        let What::List = self.what.unwrap_or(What::List);
        let store = context.open_existing_store().await?;
        let mut files = BTreeMap::new();
        for stored in store.control(control::FILE).await.or_exit()? {
            let (Some(app_id), Ok(mark)) = (stored.event.aggregate_id.clone(), FileMark::of(&stored.event)) else {
                continue;
            };
            files.insert(app_id, (mark, stored.recorded_at));
        }
        if context.json() {
            for (app_id, (mark, recorded_at)) in &files {
                let document: Value = json!({
                    "id": app_id,
                    "kind": "file",
                    "name": mark.name,
                    "bytes": mark.mark.bytes,
                    "lines": mark.mark.lines,
                    "events": mark.events,
                    "readAt": recorded_at.to_string(),
                });
                output::json(&document)?;
            }
            return Ok(());
        }
        let mut table = output::table(&["source", "name", "lines", "bytes", "events", "read at"]);
        for (app_id, (mark, recorded_at)) in files {
            let numbers = [mark.mark.lines, mark.mark.bytes, mark.events].map(output::count);
            let [lines, bytes, events] = numbers;
            table.add_row([app_id, mark.name, lines, bytes, events, recorded_at.to_string()]);
        }
        Ok(output::print_table(&table)?)
    }
}
