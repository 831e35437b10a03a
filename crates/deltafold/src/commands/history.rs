//! `deltafold history TYPE ID`

use clap::Args;
use serde_json::{Value, json};

use crate::{
    answers::Answers,
    context::Context,
    exit::{Exit, Failure},
    output::{self, shown},
};

/// Events asked for at once.
const PAGE: u32 = 500;

const DOCUMENT: &str = "query ($type: String!, $id: ID!, $first: Int!, $after: String) {
  aggregate(type: $type, id: $id) {
    history(first: $first, after: $after) {
      edges {
        node {
          id revision eventType operation occurredAt validFrom position transactionId movedFrom movedTo incomplete
          diff { field before after }
        }
      }
      pageInfo { hasNextPage endCursor }
    }
  }
}";

#[derive(Debug, Args)]
pub(crate) struct History {
    /// The aggregate's type
    #[arg(value_name = "TYPE")]
    aggregate_type: String,
    /// Its id; of several key columns a JSON array of their values, as in '[17,2]'
    id: String,
}

impl History {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<()> {
        let answers = Answers::open(context).await?;
        let told = self.tell(&answers, context.json()).await;
        answers.close().await;
        told
    }

    /// Page by page, as they come.
    async fn tell(&self, answers: &Answers, as_json: bool) -> anyhow::Result<()> {
        let mut after = Value::Null;
        let mut is_first = true;
        loop {
            let variables = json!({ "type": self.aggregate_type, "id": self.id, "first": PAGE, "after": after });
            let data = answers.data(DOCUMENT, variables).await?;
            let history = &data["aggregate"]["history"];
            let edges = history["edges"].as_array().map(Vec::as_slice).unwrap_or_default();
            if edges.is_empty() && is_first {
                let message = format!("{} {} has no events", self.aggregate_type, self.id);
                return Err(Failure::new(Exit::NotFound, message).into());
            }
            for edge in edges {
                if as_json {
                    output::json(&edge["node"])?;
                } else {
                    tell(&edge["node"], is_first)?;
                }
                is_first = false;
            }
            if history["pageInfo"]["hasNextPage"] != true {
                return Ok(());
            }
            after = history["pageInfo"]["endCursor"].clone();
        }
    }
}

/// One event: a line of what it is, then a line for each column that it changed.
fn tell(node: &Value, is_first: bool) -> anyhow::Result<()> {
    if !is_first {
        output::line("")?;
    }
    let mut what = shown(&node["eventType"]);
    for (field, word) in [("movedFrom", "from"), ("movedTo", "to")] {
        if !node[field].is_null() {
            what.push_str(&format!(" (moved {word} {})", shown(&node[field])));
        }
    }
    output::line(format_args!("{}  {what}  position {}", shown(&node["occurredAt"]), shown(&node["position"])))?;
    let changes = node["diff"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(output::changes("    ", changes)?)
}
