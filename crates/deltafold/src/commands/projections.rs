//! `deltafold projections [list | check FILE… | rebuild NAME | cancel NAME | pause NAME | resume NAME |
//! skip NAME EVENT | diff NAME | swap NAME | undo NAME]`

mod check;
mod diff;
mod order;

use clap::{Args, Subcommand};
use order::Order;
use serde_json::json;

use crate::{
    answers::Answers,
    context::Context,
    output::{self, shown},
};

const DOCUMENT: &str =
    "{ projections { name kind status error checkpoint lagMs generation historyStart rows columns { name type }
      build { aggregates ofAggregates } } }";

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
    /// Build a view anew, beside the one that is shown, and then show it
    Rebuild(order::Rebuild),
    /// Give up what is being built
    Cancel(order::Named),
    /// Leave a view as it is
    Pause(order::Named),
    /// Go on after a pause or a failure
    Resume(order::Named),
    /// How what was built and held differs from what is shown
    Diff(diff::Diff),
    /// Show what was built and held
    Swap(order::Named),
    /// Show again what was shown before the last rebuild
    Undo(order::Named),
    /// Go on without what an event did, which could not be folded
    Skip(order::Skip),
}

impl Projections {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        match self.what.unwrap_or(What::List) {
            What::List => list(context).await,
            What::Check(check) => check.run(context).await,
            What::Rebuild(rebuild) => rebuild.run(context).await,
            What::Diff(diff) => diff.run(context).await,
            What::Swap(named) => named.run(Order::Swap, context).await,
            What::Undo(named) => named.run(Order::Undo, context).await,
            What::Cancel(named) => named.run(Order::Cancel, context).await,
            What::Pause(named) => named.run(Order::Pause, context).await,
            What::Resume(named) => named.run(Order::Resume, context).await,
            What::Skip(skip) => skip.run(context).await,
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
    output::print_table(&table)?;
    for projection in projections.iter().filter(|projection| !projection["error"].is_null()) {
        output::line(format_args!("{}: {}", shown(&projection["name"]), shown(&projection["error"])))?;
    }
    for projection in projections.iter().filter(|projection| !projection["build"].is_null()) {
        let build = &projection["build"];
        let [done, all] = ["aggregates", "ofAggregates"].map(|part| shown(&build[part]));
        output::line(format_args!("{}: {done} of {all} aggregates are built anew", shown(&projection["name"])))?;
    }
    Ok(())
}
