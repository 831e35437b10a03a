//! `deltafold projections [list | check FILE…]`

mod check;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    answers::Answers,
    context::Context,
    output::{self, shown},
};

const DOCUMENT: &str =
    "{ projections { name kind status checkpoint lagMs generation historyStart rows columns { name type } } }";

#[derive(Debug, Args)]
pub(crate) struct Projections {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One line for each
    List,
    /// Say what definitions would give, or what is wrong with them
    Check(check::Check),
}

impl Projections {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self.what.unwrap_or(What::List) {
            What::List => list(context).await,
            What::Check(check) => check.run(context).await,
        }
    }
}

async fn list(context: &Context) -> anyhow::Result<()> {
    let answers = Answers::open(context).await?;
    let data = answers.data(DOCUMENT, json!({})).await;
    answers.close().await;
    let data = data?;
    let projections = data["projections"].as_array().map(Vec::as_slice).unwrap_or_default();
    if context.json() {
        return projections.iter().try_for_each(output::json);
    }
    let mut table = output::table(&["view", "kind", "status", "rows", "columns", "checkpoint", "history from"]);
    for projection in projections {
        let columns = projection["columns"].as_array().map_or(0, Vec::len);
        let [name, kind, status, rows, checkpoint, start] =
            ["name", "kind", "status", "rows", "checkpoint", "historyStart"].map(|field| shown(&projection[field]));
        table.add_row([name, kind, status, rows, columns.to_string(), checkpoint, start]);
    }
    Ok(output::print_table(&table)?)
}
