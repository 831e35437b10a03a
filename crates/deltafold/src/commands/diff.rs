//! `deltafold diff VIEW KEY --from MOMENT --to MOMENT`

use chrono::Utc;
use clap::Args;
use serde_json::json;

use crate::{
    answers::Answers,
    context::Context,
    exit::{Exit, Failure},
    moment::Moment,
    output,
};

const DOCUMENT: &str = "query ($view: String!, $key: ID!, $from: AsOf!, $to: AsOf!) {
  from: aggregate(type: $view, id: $key, asOf: $from) { state }
  to: aggregate(type: $view, id: $key, asOf: $to) { state }
  aggregate(type: $view, id: $key) { diff(from: $from, to: $to) { field before after } }
}";

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The view
    view: String,
    /// The row's key; of several columns a JSON array of their values, as in '[17,2]'
    key: String,
    /// The first moment: a time, a date, 15m/2h/3d ago, or position:N
    #[arg(long, value_name = "MOMENT")]
    from: Moment,
    /// The second moment
    #[arg(long, value_name = "MOMENT")]
    to: Moment,
}

impl Diff {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let answers = Answers::open(context).await?;
        let now = Utc::now();
        let variables =
            json!({ "view": self.view, "key": self.key, "from": self.from.as_of(now), "to": self.to.as_of(now) });
        let data = answers.data(DOCUMENT, variables).await;
        answers.close().await;
        let data = data?;
        let (from, to) = (&data["from"]["state"], &data["to"]["state"]);
        if from.is_null() && to.is_null() {
            let message = format!("{} has no row {} at either moment", self.view, self.key);
            return Err(Failure::new(Exit::NotFound, message).into());
        }
        let changes = data["aggregate"]["diff"].as_array().map(Vec::as_slice).unwrap_or_default();
        if context.json() {
            return output::json(&json!({ "from": from, "to": to, "changes": changes }));
        }
        let row = format!("{} {}", self.view, self.key);
        if from.is_null() {
            output::line(format_args!("{row} came to be"))?;
        } else if to.is_null() {
            output::line(format_args!("{row} ceased to be"))?;
        } else if changes.is_empty() {
            output::line(format_args!("{row} is the same at both moments"))?;
        }
        Ok(output::changes("", changes)?)
    }
}
