//! `deltafold sources [list]`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use deltafold_event::control;
use deltafold_ingest::FileMark;
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    context::Context,
    failures::OrExit,
    output::{self, shown},
};

const DOCUMENT: &str = "{ sources { files { id name bytes lines events recordedAt } } }";

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
        let What::List = self.what.unwrap_or(What::List);
        let files = match context.url() {
            Some(_) => of_server(context).await?,
            None => of_data(context).await?,
        };
        if context.json() {
            return files.iter().try_for_each(output::json);
        }
        let mut table = output::table(&["source", "name", "lines", "bytes", "events", "read at"]);
        for file in &files {
            let [lines, bytes, events] =
                ["lines", "bytes", "events"].map(|part| file[part].as_u64().map(output::count).unwrap_or_default());
            let [id, name, read_at] = ["id", "name", "readAt"].map(|part| shown(&file[part]));
            table.add_row([id, name, lines, bytes, events, read_at]);
        }
        Ok(output::print_table(&table)?)
    }
}

async fn of_data(context: &Context) -> anyhow::Result<Vec<Value>> {
    let store = context.open_existing_store().await?;
    let mut files = BTreeMap::new();
    for stored in store.control(control::FILE).await.or_exit()? {
        let (Some(id), Ok(mark)) = (stored.event.aggregate_id.clone(), FileMark::of(&stored.event)) else { continue };
        let file = json!({
            "id": id,
            "name": mark.name,
            "bytes": mark.mark.bytes,
            "lines": mark.mark.lines,
            "events": mark.events,
            "readAt": stored.recorded_at.to_string(),
        });
        files.insert(id, file);
    }
    Ok(files.into_values().collect())
}

/// The same from what a server says, where 64-bit numbers are texts.
async fn of_server(context: &Context) -> anyhow::Result<Vec<Value>> {
    let data = Answers::open(context).await?.data(DOCUMENT, json!({})).await?;
    let sources = data["sources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let files = sources.iter().flat_map(|source| source["files"].as_array().map(Vec::as_slice).unwrap_or_default());
    let number = |value: &Value| value.as_str().and_then(|digits| digits.parse::<u64>().ok());
    let document = |file: &Value| {
        json!({
            "id": file["id"],
            "name": file["name"],
            "bytes": number(&file["bytes"]),
            "lines": number(&file["lines"]),
            "events": number(&file["events"]),
            "readAt": file["recordedAt"],
        })
    };
    Ok(files.map(document).collect())
}
