//! `deltafold projections diff NAME`

use clap::Args;
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    context::Context,
    exit::{Exit, Failure},
    output::{self, shown},
};

const DOCUMENT: &str = "query ($name: String!, $first: Int) { projectionDiff(name: $name, first: $first) {
  generation ready same added removed changed inThePast first { key from shown ready } } }";

#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The projection
    name: String,
    /// How many of the keys that differ are shown
    #[arg(long, default_value_t = 10)]
    first: u32,
}

impl Diff {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let answers = Answers::open(context).await?;
        let data = answers.data(DOCUMENT, json!({ "name": self.name, "first": self.first })).await;
        answers.close().await;
        let diff = data?["projectionDiff"].take();
        if diff.is_null() {
            let name = &self.name;
            let what = format!("nothing waits to be shown of {name}: `projections rebuild {name} --hold` builds it");
            return Err(Failure::new(Exit::NotFound, what).into());
        }
        if context.json() {
            return output::json(&diff);
        }
        let [generation, ready, same, added, removed, changed, in_the_past] =
            ["generation", "ready", "same", "added", "removed", "changed", "inThePast"].map(|part| shown(&diff[part]));
        output::line(format_args!(
            "generation {ready} beside {generation}: {same} keys are the same, {added} come, {removed} go, {changed} are \
             another row now, {in_the_past} were"
        ))?;
        for key in diff["first"].as_array().map(Vec::as_slice).unwrap_or_default() {
            output::line(format_args!("\n{} from {}", shown(&key["key"]), shown(&key["from"])))?;
            output::line(format_args!("    shown  {}", row(&key["shown"])))?;
            output::line(format_args!("    ready  {}", row(&key["ready"])))?;
        }
        Ok(())
    }
}

fn row(row: &Value) -> String {
    if row.is_null() { "no row".to_owned() } else { row.to_string() }
}
