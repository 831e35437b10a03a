//! `deltafold get VIEW KEY`

use chrono::Utc;
use clap::Args;
use serde_json::{Map, Value, json};

use crate::{
    answers::Answers,
    context::Context,
    exit::{Exit, Failure},
    moment::Moment,
    output::{self, shown},
};

const DOCUMENT: &str = "query ($view: String!, $key: ID!, $asOf: AsOf) {
  aggregate(type: $view, id: $key, asOf: $asOf) { state }
}";

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The view
    view: String,
    /// The row's key; of several columns a JSON array of their values, as in '[17,2]'
    key: String,
    /// As of this moment: a time, a date, 15m/2h/3d ago, or position:N
    #[arg(long, value_name = "MOMENT")]
    as_of: Option<Moment>,
}

impl Get {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let answers = Answers::open(context).await?;
        let as_of = self.as_of.map(|moment| moment.as_of(Utc::now()));
        let variables = json!({ "view": self.view, "key": self.key, "asOf": as_of });
        let data = answers.data(DOCUMENT, variables).await;
        answers.close().await;
        let mut data = data?;
        let Value::Object(row) = data["aggregate"]["state"].take() else {
            let when = if self.as_of.is_some() { " then" } else { "" };
            let message = format!("{} has no row {}{when}", self.view, self.key);
            return Err(Failure::new(Exit::NotFound, message).into());
        };
        if context.json() { output::json(&row) } else { print(&row) }
    }
}

/// One column per line.
fn print(row: &Map<String, Value>) -> anyhow::Result<()> {
    let widest = row.keys().map(|name| name.chars().count()).max().unwrap_or_default();
    for (name, value) in row {
        output::line(format_args!("{name:<widest$}  {}", shown(value)))?;
    }
    Ok(())
}
